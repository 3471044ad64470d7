import type { FreeSpace, Need, PlaceKind, Placement } from '../placement.js';
import { firstRun, lowestFree, lowestStarted } from './search.js';

const reasons: Record<PlaceKind, string> = {
  started: 'the lowest place that had room for it, in a group that this client had started',
  free: 'the lowest place that had room for it, in a group that nobody owned',
  groups: 'the lowest run of free groups that was long enough',
};

/** The lowest place that is large enough. */
export const firstFit: Placement = {
  name: 'first-fit',
  apiVersion: 1,
  place(space: FreeSpace, need: Need): number {
    if (need.groups > 0) return firstRun(space, need);
    const started = lowestStarted(space, need);
    const free = lowestFree(space, need);
    return started >= 0 && (free < 0 || started < free) ? started : free;
  },
  explain: ({ kind }) => reasons[kind],
};
