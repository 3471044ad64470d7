import { userGroups } from '../../region/geometry.js';
import { pageBits } from '../../region/words.js';
import type { Tables } from '../image.js';
import { overTables } from '../oracle.js';
import { highOf, nameOf } from '../standing.js';
import type { Owner } from '../told.js';

export const I13 = overTables(
  {
    id: 'I13',
    sentence: 'RegionFull is said only if at some one instant nothing was free that the caller could claim.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    for (const { pages, alwaysFitted, principal, incarnation } of told.refusals ?? []) {
      if (alwaysFitted)
        found.damage(
          `${nameOf({ principal, incarnation })} was refused ${pages} pages, and at no instant was there no room`,
          tables.geometry.groupOffset,
          { principal },
        );
    }
  },
);

export const I14 = overTables(
  { id: 'I14', sentence: 'A client that stands still blocks nobody’s allocation.', decidedByBytes: false },
  (found, { tables, told }) => {
    for (const { what, steps, most, ...owner } of told.waits ?? []) {
      if (steps > most)
        found.damage(
          `${nameOf(owner)} has taken ${steps} steps to ${what}, which takes ${most} where nobody is in the way`,
          tables.geometry.groupOffset,
          { principal: owner.principal },
        );
    }
  },
);

/** Whether a run fits at this instant that the owner could claim: in its own room, or in groups that nobody owns. */
export function fits(tables: Tables, owner: Owner, pages: number, alignment = 1): boolean {
  const { groupPages } = tables.geometry;
  const own = highOf(owner);
  const aligned = (page: number): boolean => tables.pageAt(page) % alignment === 0;
  let run = 0;
  for (let group = userGroups(tables.geometry) - 1; group >= 0; group--) {
    const nobody = tables.high(group) >>> 16 === 0;
    const mine = tables.high(group) === own;
    run = nobody || (mine && tables.low(group) === 0) ? run + groupPages : 0;
    const first = group * groupPages;
    if (pages > groupPages) {
      if (run >= pages && aligned(first)) return true;
      continue;
    }
    let length = 0;
    for (let index = groupPages - 1; index >= 0; index--) {
      length = nobody || (mine && tables.bits(first + index) === pageBits.free) ? length + 1 : 0;
      if (length >= pages && aligned(first + index)) return true;
    }
  }
  return false;
}
