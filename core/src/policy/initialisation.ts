import type { Protocol } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { pageOffset } from '../region/geometry.js';
import { write } from '../transport/step.js';
import { retried } from './resolve.js';

/** What one write carries; nobody writes to it. */
const zeros = new Uint8Array(256 * 1024);

/** Zeroes pages. Zeroing twice is zeroing once: an unknown outcome is simply done again, in a new epoch. */
export function* clear(geometry: Geometry, page: number, pages: number): Protocol<void> {
  const start = pageOffset(geometry, page);
  const length = pages * geometry.pageSize;
  for (let at = 0; at < length; at += zeros.length) {
    const step = write(start + at, zeros.subarray(0, Math.min(zeros.length, length - at)));
    yield* retried(function* () {
      yield step;
    });
  }
}
