import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Surroundings } from '@exomem/core';

const cell = new Int32Array(new SharedArrayBuffer(4));

/** The clocks and the chance of Node. */
export const surroundings: Surroundings = {
  now: () => performance.now(),
  wallClock: () => BigInt(Date.now()) * 1_000_000n,
  random: () => randomBytes(4).readUInt32LE(),
  sleep: (milliseconds, signal) =>
    sleep(milliseconds, undefined, { signal }).then(
      () => undefined,
      () => undefined,
    ),
  sleepSync: (milliseconds) => void Atomics.wait(cell, 0, 0, milliseconds),
};
