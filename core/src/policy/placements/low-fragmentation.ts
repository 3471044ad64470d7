import type { FreeSpace, Need, PlaceKind, Placement } from '../placement.js';
import { lowestFree, nearRunFromEnd } from './search.js';

const reasons: Record<PlaceKind, string> = {
  started: 'the fullest started group of this client that had room for it: groups that nobody has touched stay whole',
  free: 'the lowest group that nobody owned: the far end stays free for long runs',
  groups:
    'a run of free groups towards the far end that it fills or nearly fills, else the last that was long enough: the near end is for small allocations',
};

/**
 * Small runs fill the fullest group that has room for them, long ones a gap towards the far end that they nearly fill, else
 * the end of the last one: the two do not mix, and what is free stays in large pieces.
 */
export const lowFragmentation: Placement = {
  name: 'low-fragmentation',
  apiVersion: 1,
  place(space: FreeSpace, need: Need): number {
    if (need.groups > 0) return nearRunFromEnd(space, need);
    const page = space.fullest(need);
    return page >= 0 ? page : lowestFree(space, need);
  },
  explain: ({ kind }) => reasons[kind],
};
