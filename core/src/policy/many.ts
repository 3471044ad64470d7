import { ExomemError, isExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import type { AllocationRequest, Allocator, Extent } from './policy.js';

/** Many runs of the same size, asked for at once. */
export interface ManyRequest extends Omit<AllocationRequest, 'named' | 'initialise'> {
  /** How many runs of `pages` pages: 1 up to what the region has room for. */
  readonly count: number;
  readonly initialise: 'zero' | 'none';
}

/** @throws `OutOfRange` */
export function checkCount({ count, pages }: ManyRequest, total: number): void {
  if (!Number.isSafeInteger(count) || count < 1 || count * pages > total) {
    throw new ExomemError(
      'OutOfRange',
      `${count} runs of ${pages} page(s) are not possible: this region has ${total} pages for its users`,
    );
  }
}

/**
 * Claims many runs of the same size: all of them, or nothing. By the policy's own way where it has one, else run by run.
 * @throws what {@link Allocator.allocate} throws; nothing is held after a throw.
 */
export function* allocateMany(allocator: Allocator, request: ManyRequest): Protocol<readonly Extent[]> {
  if (allocator.allocateMany !== undefined) return yield* allocator.allocateMany(request);
  const { count, ...one } = request;
  checkCount(request, Number.MAX_SAFE_INTEGER);
  const extents: Extent[] = [];
  try {
    while (extents.length < count) extents.push(yield* allocator.allocate(one));
    return extents;
  } catch (error) {
    // After any other error the allocator is asked no more: it was given up, or is no longer ours.
    if (isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented')) yield* freeMany(allocator, extents);
    throw error;
  }
}

/**
 * Gives many runs back. @throws what {@link Allocator.free} throws; where the policy has a way of its own, none is freed if
 * one of them is refused.
 */
export function* freeMany(allocator: Allocator, extents: readonly Extent[]): Protocol<void> {
  if (allocator.freeMany !== undefined) return yield* allocator.freeMany(extents);
  for (const extent of extents) yield* allocator.free(extent);
}
