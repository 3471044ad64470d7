import { pageBits, repeatBits } from '../../region/words.js';
import { count, hex } from '../finding.js';
import { overTables } from '../oracle.js';
import { ownerName } from '../standing.js';

export const reserve = overTables(
  {
    id: 'reserve',
    sentence:
      'A group of the reserve is free or withheld as a whole, and those that the snapshot of the root lies in are withheld.',
    decidedByBytes: true,
  },
  (found, { tables, pending }) => {
    const { geometry, log } = tables;
    const { groupCount, reserveGroups, groupPages } = geometry;
    const whole = repeatBits(groupPages, pageBits.withheld);
    const named = new Set(log.snapshot?.groups);
    const idle = new Map<number, { group: number; groups: number }>();
    for (let group = groupCount - reserveGroups; group < groupCount; group++) {
      const high = tables.high(group);
      const where = tables.wordAt(group);
      const place = { group };
      if (high >>> 16 === 0) {
        if (named.has(group))
          found.damage(`the snapshot of the root lies in group ${group}, which is free`, where, place);
      } else if (tables.low(group) !== whole) {
        found.damage(
          `group ${group} of the reserve shows ${hex(tables.low(group))}: it is not withheld as a whole`,
          where,
          place,
        );
      } else if (!named.has(group) && log.begin !== undefined) {
        const known = idle.get(high);
        if (known === undefined) idle.set(high, { group, groups: 1 });
        else known.groups++;
      }
    }
    for (const [high, { group, groups }] of idle) {
      found.add(
        pending,
        `${ownerName(high)} has ${count(groups, 'group')} of the reserve, the first ${group}, for a snapshot that is not made yet, or past`,
        tables.wordAt(group),
        { group, principal: high >>> 16 },
      );
    }
  },
);
