import type { GroupRun } from '../free-runs.js';
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

/** Runs that are looked at to find one that fits well: more of them make a search longer and little better. */
const candidates = 64;

/**
 * The place for whole groups at the end of a run towards the far end: of one that it fills, else of one that it leaves a
 * quarter of its own length of at most, else of the last that is long enough. To take the shortest run whatever is left of it
 * would leave many pieces that nothing fits into; to take the last one always, no run that fits what is asked for most.
 */
export function nearRunFromEnd(space: FreeSpace, need: Need): number {
  const { groups } = need;
  let near = -1;
  let last = -1;
  let left = candidates;
  for (let run = space.previousRun(groups); run !== undefined; run = space.previousRun(groups, run.start)) {
    const place = lastIn(space, need, run);
    if (place >= 0) {
      const spare = run.end - run.start - groups;
      if (spare === 0) return place * space.geometry.groupPages;
      if (near < 0 && 4 * spare <= groups) near = place;
      if (last < 0) last = place;
    }
    // A place is looked for until there is one.
    if (--left <= 0 && last >= 0) break;
  }
  if (last < 0) return -1;
  return (near < 0 ? last : near) * space.geometry.groupPages;
}

/** The last group of a run that whole groups may begin with; -1 if there is none. */
function lastIn(space: FreeSpace, need: Need, run: GroupRun): number {
  for (let group = run.end - need.groups; group >= run.start; group--) if (space.mayBegin(group, need)) return group;
  return -1;
}
