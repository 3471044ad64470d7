import type { FreeSpace, Need, PlaceKind, Placement } from '../placement.js';

const reasons: Record<PlaceKind, string> = {
  started: 'the smallest hole that had room for it, in a group that this client had started',
  free: 'the end of the shortest run of groups that nobody owned: no started group had room for it',
  groups: 'the shortest run of free groups that was long enough',
};

/** The smallest hole that is large enough. */
export const bestFit: Placement = {
  name: 'best-fit',
  apiVersion: 1,
  place(space: FreeSpace, need: Need): number {
    if (need.groups > 0) return shortestRun(space, need);
    const page = smallestHole(space, need);
    return page >= 0 ? page : inShortestRun(space, need);
  },
  explain: ({ kind }) => reasons[kind],
};

function shortestRun(space: FreeSpace, need: Need): number {
  const { groups } = need;
  let found = -1;
  let least = Infinity;
  for (let run = space.nextRun(groups); run !== undefined; run = space.nextRun(groups, run.end)) {
    const length = run.end - run.start;
    if (length >= least) continue;
    for (let group = run.start; group + groups <= run.end; group++) {
      if (!space.mayBegin(group, need)) continue;
      found = group;
      least = length;
      break;
    }
    if (least === groups) break;
  }
  return found < 0 ? -1 : found * space.geometry.groupPages;
}

/** The hole of started groups that leaves least behind; of two the lower one. */
function smallestHole(space: FreeSpace, need: Need): number {
  const { groupPages } = space.geometry;
  let found = -1;
  let least = Infinity;
  for (const started of space.started(need.pages)) {
    for (let index = 0; index < groupPages; ) {
      if (((started.low >>> (30 - 2 * index)) & 3) !== 0) {
        index++;
        continue;
      }
      const first = index;
      while (index < groupPages && ((started.low >>> (30 - 2 * index)) & 3) === 0) index++;
      const length = index - first;
      if (length < need.pages || length > least) continue;
      // All around the hole counts as in use: the place is in it, or there is none.
      const page = space.placeIn({ group: started.group, low: outside(first, length) }, need);
      if (page < 0 || (length === least && page > found)) continue;
      found = page;
      least = length;
    }
  }
  return found;
}

function outside(first: number, length: number): number {
  const inside = length === 16 ? 0xffff_ffff : ((1 << (2 * length)) - 1) << (32 - 2 * (first + length));
  return ~inside >>> 0;
}

function inShortestRun(space: FreeSpace, need: Need): number {
  let found = -1;
  let least = Infinity;
  let skip = need.skip;
  for (let run = space.nextRun(1); run !== undefined; run = space.nextRun(1, run.end)) {
    const length = run.end - run.start;
    // Who comes too late takes what it comes upon.
    if (length >= least && need.skip === 0) continue;
    for (let group = run.start; group < run.end; group++) {
      const page = space.placeInFree(group, need);
      if (page < 0) continue;
      found = page;
      least = length;
      if (need.skip === 0) break;
      if (skip-- <= 0) return found;
    }
  }
  return found;
}
