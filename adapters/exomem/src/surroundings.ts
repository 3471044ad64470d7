import { randomFillSync } from 'node:crypto';
import type { Surroundings } from '@exomem/core';

const chance = new Uint32Array(64);
let drawn = chance.length;
const cell = new Int32Array(new SharedArrayBuffer(4));

/** Time and chance as Node has them. */
export const surroundings: Surroundings = {
  /** The same for all threads of the process, which `performance.now()` is not. */
  now() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  },
  // Below a millisecond the wall clock of Node says nothing; what the monotonic one adds keeps times of files apart.
  wallClock: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n,
  random() {
    if (drawn === chance.length) {
      randomFillSync(chance);
      drawn = 0;
    }
    return chance[drawn++]!;
  },
  /** An abort ends it early; that is no error. */
  sleep: (milliseconds, signal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      signal?.addEventListener('abort', end, { once: true });
    }),
  sleepSync: (milliseconds) => void Atomics.wait(cell, 0, 0, milliseconds),
};
