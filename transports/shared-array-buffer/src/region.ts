import { ExomemError } from '@exomem/core';
import { Roster } from './roster.js';

/** The longest segment that {@link createRegion} makes, in bytes: one buffer of 1 GiB. */
export const segmentBytes = 2 ** 30;

/** The memory of a region, which threads share. It can be cloned: all copies are the same memory. */
export interface SharedRegion {
  /** All of the same length but the last, lengths in multiples of 8. */
  readonly segments: readonly SharedArrayBuffer[];
  /** Where threads note which members they act for. Without it the end of none can be proven. */
  readonly roster?: SharedArrayBuffer;
}

/**
 * Sets aside the memory of a region, all zero: one SharedArrayBuffer up to 1 GiB, several of 1 GiB beyond, and its roster.
 * Hand it to worker threads as `workerData` or by `postMessage`: it is shared, not copied.
 * @param bytes the size of the region, a positive multiple of 8.
 * @throws `OutOfRange` if `bytes` is no such number; `Unavailable` if this process cannot have that much memory.
 */
export function createRegion(bytes: number): SharedRegion {
  if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % 8 !== 0) {
    throw new ExomemError('OutOfRange', `a region cannot have ${bytes} bytes`, {
      advice: 'give a positive multiple of 8',
    });
  }
  const segments: SharedArrayBuffer[] = [];
  for (let left = bytes; left > 0; left -= segmentBytes) {
    try {
      segments.push(new SharedArrayBuffer(Math.min(left, segmentBytes)));
    } catch (cause) {
      throw new ExomemError('Unavailable', `no memory for a region of ${bytes} bytes`, {
        advice: 'ask for less',
        cause,
      });
    }
  }
  return { segments, roster: Roster.allocate() };
}
