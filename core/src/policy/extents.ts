import { ExomemError } from '../errors.js';
import type { Extent } from './policy.js';
import { runMask } from './run-bits.js';

/** Why a run lies where it lies. */
export const reasons = [
  'the fullest started group of this client that had room for it: groups that nobody has touched stay whole',
  'the lowest group that nobody owned: the far end stays free for long runs',
  'the run of free groups nearest to the far end: the near end is for small allocations',
  'where another client had allocated it: this principal was taken over as it was',
] as const;

/** A run that an allocator has given out, or found. */
export class HeldExtent implements Extent {
  live = true;
  constructor(
    readonly page: number,
    readonly pages: number,
    readonly named: boolean,
    /** The allocator that may take it back. */
    readonly owner: object,
    readonly reason: number,
  ) {}
}

/** An extent can be given back, or turned into something else, once. */
export function spend(extent: Extent, owner: object): HeldExtent {
  if (!(extent instanceof HeldExtent) || extent.owner !== owner) {
    throw new ExomemError('PermissionDenied', 'that allocation was given out by another client: it is not ours');
  }
  if (!extent.live) throw new ExomemError('StaleHandle', `the allocation at page ${extent.page} was freed before`);
  extent.live = false;
  return extent;
}

/** In words, where a run lies and why. */
export function explain(extent: Extent, groupPages: number): string {
  if (!(extent instanceof HeldExtent)) return 'another policy chose it';
  const first = Math.floor(extent.page / groupPages);
  const last = Math.floor((extent.page + extent.pages - 1) / groupPages);
  const where = last > first ? `groups ${first} to ${last}` : `group ${first}`;
  return `${extent.pages} page(s) from page ${extent.page} in ${where}: ${reasons[extent.reason]}`;
}

/** The pages of a run that lie in one group: bit per page, and as a mask of the low half. */
export interface Part {
  readonly group: number;
  readonly set: number;
  readonly mask: number;
}

/** A run of pages, group by group. */
export function partsOf(page: number, pages: number, groupPages: number): Part[] {
  const parts: Part[] = [];
  for (let at = page; at < page + pages; ) {
    const group = Math.floor(at / groupPages);
    const index = at - group * groupPages;
    const count = Math.min(page + pages - at, groupPages - index);
    parts.push({ group, set: ((1 << count) - 1) << index, mask: runMask(index, count) });
    at += count;
  }
  return parts;
}
