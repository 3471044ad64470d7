import { hex, type Place } from '../finding.js';
import { overTables } from '../oracle.js';
import { ownerName, type Standing } from '../standing.js';

/** Both bits of a page, for all of a group: what only pages of an owned group show. */
const owned = 0xaaaa_aaaa;

export const groups = overTables(
  {
    id: 'groups',
    sentence:
      'A group word has one of the forms that there are, and its owner is a principal that was registered in that incarnation.',
    decidedByBytes: true,
  },
  (found, { tables, pending }) => {
    const { groupPages, groupCount } = tables.geometry;
    const unused = groupPages === 16 ? 0 : 0xffff_ffff >>> (2 * groupPages);
    /** Owners whose words wait for somebody, and how many these are. */
    const waiting = new Map<number, { standing: Standing; group: number; groups: number }>();
    for (let group = 0; group < groupCount; group++) {
      const [high, low] = [tables.high(group), tables.low(group)];
      const where = tables.wordAt(group);
      const place: Place = { group };
      if ((low & unused) !== 0)
        found.damage(`the word of group ${group} has bits for pages that a group here does not have`, where, place);
      if (high >>> 16 === 0) {
        if (high !== 0) found.damage(`group ${group} belongs to nobody, in incarnation ${high & 0xffff}`, where, place);
        if ((low & owned & ~unused) !== 0)
          found.damage(`group ${group} belongs to nobody, and its word ${hex(low)} shows pages in use`, where, place);
        continue;
      }
      const standing = tables.standings.of(high);
      if (standing === 'alive' || standing === 'kept') continue;
      if (standing === 'never') {
        found.damage(`group ${group} belongs to ${ownerName(high)}, who was never registered`, where, {
          ...place,
          principal: high >>> 16,
        });
        continue;
      }
      const known = waiting.get(high);
      if (known === undefined) waiting.set(high, { standing, group, groups: 1 });
      else known.groups++;
    }
    for (const [high, { standing, group, groups }] of waiting) {
      const whose = groups === 1 ? `group ${group} belongs` : `${groups} groups, the first ${group}, belong`;
      found.add(pending, `${whose} to ${ownerName(high)}, who ${fates[standing]}`, tables.wordAt(group), {
        group,
        principal: high >>> 16,
      });
    }
  },
);

const fates: Record<Standing, string> = {
  alive: 'is there',
  kept: 'is kept',
  left: 'has left: whoever comes next takes it over',
  stranded: 'is stranded',
  dying: 'is being recovered',
  adopting: 'is being adopted',
  gone: 'is no more: a scrub takes it over',
  never: 'was never there',
};
