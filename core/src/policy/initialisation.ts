import type { Protocol } from '../protocol/protocol.js';
import { batch } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { pageOffset } from '../region/geometry.js';
import { type BytesStep, write } from '../transport/step.js';
import { retried } from './resolve.js';

/** What one write carries; nobody writes to it. */
const zeros = new Uint8Array(256 * 1024);

/** Zeroes pages. Zeroing twice is zeroing once: an unknown outcome is simply done again, in a new epoch. */
export function* clear(geometry: Geometry, page: number, pages: number): Protocol<void> {
  const length = pages * geometry.pageSize;
  if (length > zeros.length) return yield* clearAll(geometry, [{ page, pages }]);
  const step = write(pageOffset(geometry, page), zeros.subarray(0, length));
  yield* retried(function* () {
    yield step;
  });
}

/** Bytes of zeros, and writes, that one batch of them carries. */
const zeroBatch = { bytes: 1024 * 1024, writes: 256 };

/** Zeroes many runs, several by each batch; runs that meet are written as one. */
export function* clearAll(
  geometry: Geometry,
  runs: readonly { readonly page: number; readonly pages: number }[],
): Protocol<void> {
  const joined: { page: number; pages: number }[] = [];
  for (const { page, pages } of [...runs].sort((one, other) => one.page - other.page)) {
    const last = joined.at(-1);
    if (last !== undefined && last.page + last.pages === page) last.pages += pages;
    else joined.push({ page, pages });
  }
  let steps: BytesStep[] = [];
  let bytes = 0;
  const send = function* (): Protocol<void> {
    const sent = steps;
    steps = [];
    bytes = 0;
    yield* retried(function* () {
      yield batch(sent);
    });
  };
  for (const { page, pages } of joined) {
    const start = pageOffset(geometry, page);
    const length = pages * geometry.pageSize;
    for (let at = 0; at < length; at += zeros.length) {
      const piece = Math.min(zeros.length, length - at);
      steps.push(write(start + at, zeros.subarray(0, piece)));
      bytes += piece;
      if (bytes >= zeroBatch.bytes || steps.length === zeroBatch.writes) yield* send();
    }
  }
  if (steps.length > 0) yield* send();
}
