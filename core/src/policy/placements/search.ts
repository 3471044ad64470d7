import type { FreeSpace, Need } from '../placement.js';

/** The lowest place for a small run in groups that nobody owns, after those to pass over; -1 if there is none. */
export function lowestFree(space: FreeSpace, need: Need): number {
  let found = -1;
  let skip = need.skip;
  for (let run = space.nextRun(1); run !== undefined; run = space.nextRun(1, run.end)) {
    for (let group = run.start; group < run.end; group++) {
      const page = space.placeInFree(group, need);
      if (page < 0) continue;
      found = page;
      if (skip-- <= 0) return found;
    }
  }
  return found;
}

/** The lowest place for a small run in started groups of ours; -1 if there is none. */
export function lowestStarted(space: FreeSpace, need: Need): number {
  let found = -1;
  for (const started of space.started(need.pages)) {
    if (found >= 0 && started.group * space.geometry.groupPages > found) continue;
    const page = space.placeIn(started, need);
    if (page >= 0) found = page;
  }
  return found;
}

/** The lowest place for whole groups. */
export function firstRun(space: FreeSpace, need: Need): number {
  const { groups } = need;
  for (let run = space.nextRun(groups); run !== undefined; run = space.nextRun(groups, run.end)) {
    for (let group = run.start; group + groups <= run.end; group++) {
      if (space.mayBegin(group, need)) return group * space.geometry.groupPages;
    }
  }
  return -1;
}

/** Runs that are looked at to find a short one: more of them make a search longer and little better. */
const candidates = 64;

/** The place for whole groups at the end of the shortest run, of those towards the far end that are long enough. */
export function tightRunFromEnd(space: FreeSpace, need: Need): number {
  const { groups } = need;
  let found = -1;
  let least = Infinity;
  let left = candidates;
  for (let run = space.previousRun(groups); run !== undefined; run = space.previousRun(groups, run.start)) {
    const length = run.end - run.start;
    if (length >= least) {
      if (--left <= 0) break;
      continue;
    }
    for (let group = run.end - groups; group >= run.start; group--) {
      if (!space.mayBegin(group, need)) continue;
      found = group;
      least = length;
      left--;
      break;
    }
    if (least === groups || (found >= 0 && left <= 0)) break;
  }
  return found < 0 ? -1 : found * space.geometry.groupPages;
}
