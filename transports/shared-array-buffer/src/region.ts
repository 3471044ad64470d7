import { ExomemError } from '@exomem/core';

/** The longest segment that {@link createRegion} makes, in bytes: one buffer of 1 GiB. */
export const segmentBytes = 2 ** 30;

/**
 * Sets aside the memory of a region, all zero: one SharedArrayBuffer up to 1 GiB, several of 1 GiB beyond.
 * Hand them to worker threads as `workerData` or by `postMessage`: they are shared, not copied.
 * @param bytes the size of the region, a positive multiple of 8.
 * @throws `OutOfRange` if `bytes` is no such number; `Unavailable` if this process cannot have that much memory.
 */
export function createRegion(bytes: number): SharedArrayBuffer[] {
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
  return segments;
}
