import { userGroups } from '../../region/geometry.js';
import { pageBits, repeatBits } from '../../region/words.js';
import { overTables } from '../oracle.js';
import { ownerName } from '../standing.js';

export const runs = overTables(
  {
    id: 'runs',
    sentence:
      'A page that continues a run follows a page of that run: in its own group, or across whole groups of one owner, in order.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { geometry, standings, log } = tables;
    const { groupPages } = geometry;
    const isNamed = (page: number): boolean => log.complete && tables.named.has(page);
    for (let group = 0; group < userGroups(geometry); group++) {
      const high = tables.high(group);
      if (high >>> 16 === 0) continue;
      const low = tables.low(group);
      // Most words have no continuation.
      if ((low & ~(low << 1) & 0xaaaa_aaaa) === 0) continue;
      for (let index = 0; index < groupPages; index++) {
        if (((low >>> (30 - 2 * index)) & 3) !== pageBits.continuation) continue;
        const page = group * groupPages + index;
        const where = tables.wordAt(group);
        const place = { group, page };
        if (index === 0) {
          const standing = standings.of(high);
          // Whoever takes over words of the dead begins with the first: the others stay behind for a while.
          if (standing !== 'alive' && standing !== 'kept' && standing !== 'left' && standing !== 'stranded') continue;
          const before = group - 1;
          if (
            group === 0 ||
            !standings.oneAgent(high, tables.high(before)) ||
            !reaches(tables.low(before), groupPages)
          ) {
            found.damage(
              `page ${page} of ${ownerName(high)} continues a run, and no run of that owner fills the group before it`,
              where,
              place,
            );
            continue;
          }
        } else if (((low >>> (32 - 2 * index)) & 3) === pageBits.free) {
          found.damage(`page ${page} of ${ownerName(high)} continues a run, and follows a free page`, where, place);
          continue;
        }
        if (isNamed(page - 1))
          found.damage(
            `page ${page} of ${ownerName(high)} continues a run, and follows a page of a file`,
            where,
            place,
          );
      }
    }
  },
);

/** Whether a run may go on behind a group with that low half: one fills it from its first page, or it is being withheld. */
function reaches(low: number, groupPages: number): boolean {
  const first = low >>> 30;
  const rest = (low & 0x3fff_ffff) >>> 0;
  const continued = (repeatBits(groupPages, pageBits.continuation) & 0x3fff_ffff) >>> 0;
  if (rest === continued) return first !== pageBits.free;
  return low === repeatBits(groupPages, pageBits.withheld);
}
