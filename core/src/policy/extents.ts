import { ExomemError } from '../errors.js';
import type { Geometry } from '../region/geometry.js';
import type { PlaceKind, Placement } from './placement.js';
import type { Extent } from './policy.js';
import { runMask } from './run-bits.js';

/** How a run came to lie where it lies: as the placement chose, where that found nothing, or before this allocator was. */
export type Origin = PlaceKind | 'elsewhere' | 'found';

/** A run that an allocator has given out, or found. */
export class HeldExtent implements Extent {
  live = true;
  constructor(
    readonly page: number,
    readonly pages: number,
    readonly named: boolean,
    /** The allocator that may take it back. */
    readonly owner: object,
    readonly origin: Origin,
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
export function explain(extent: Extent, geometry: Geometry, placement: Placement): string {
  if (!(extent instanceof HeldExtent)) return 'another policy chose it';
  const { groupPages } = geometry;
  const first = Math.floor(extent.page / groupPages);
  const last = Math.floor((extent.page + extent.pages - 1) / groupPages);
  const where = last > first ? `groups ${first} to ${last}` : `group ${first}`;
  return `${extent.pages} page(s) from page ${extent.page} in ${where}: ${why(extent, geometry, placement)}`;
}

function why({ origin, page, pages }: HeldExtent, geometry: Geometry, placement: Placement): string {
  if (origin === 'found') return 'where another client had allocated it: this principal was taken over as it was';
  if (origin === 'elsewhere') return `the lowest place: the placement "${placement.name}" found none for it`;
  return placement.explain({ kind: origin, page, pages }, geometry);
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
