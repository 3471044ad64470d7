import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { HistoryEvent } from '@exomem/conformance';
import { createRegion } from '@exomem/transport-shared-array-buffer';
import { chances } from '../pattern.js';
import { eventsOf, slate, slateBytes } from './slate.js';
import type { ThreadWork } from './thread.js';

export interface ThreadOptions {
  readonly seed: number;
  /** Default 3. */
  readonly threads?: number;
  /** Steps of each. Default 3,000. */
  readonly steps?: number;
  /** Words that they share. Default 2. */
  readonly words?: number;
  /** How many of them are terminated in the middle. Default 1. */
  readonly ended?: number;
  /** URL of a module with `open(region, number)`; the shared memory of this repository unless given. */
  readonly module?: string;
}

/** Threads that change a few words of shared memory as fast as they can; some are terminated at any step. What they did. */
export async function hammerThreads(options: ThreadOptions): Promise<HistoryEvent[]> {
  const { seed, threads = 3, steps = 3_000, words = 2, ended = 1 } = options;
  const module = options.module ?? new URL('./shared-memory.js', import.meta.url).href;
  const chance = chances(seed);
  const region = createRegion(4096);
  const gate = new SharedArrayBuffer(8);
  const works = Array.from(
    { length: threads },
    (_, number): ThreadWork => ({
      module,
      region,
      number: number + 1,
      seed: seed * 31 + number,
      offsets: Array.from({ length: words }, (_, word) => word * 8),
      memory: new SharedArrayBuffer(slateBytes(steps)),
      gate,
    }),
  );
  const workers = works.map((workerData) => new Worker(new URL('./thread.js', import.meta.url), { workerData }));
  const ends = workers.map(
    (worker) =>
      new Promise<void>((resolve, reject) => {
        worker.once('error', reject);
        worker.once('exit', () => resolve());
      }),
  );
  const all = Promise.all(ends);
  all.catch(() => undefined);
  try {
    const ready = new Int32Array(gate);
    while (Atomics.load(ready, 0) < threads) await Promise.race([sleep(1), all]);
    Atomics.store(ready, 1, 1);
    Atomics.notify(ready, 1);
    for (let left = ended; left > 0; left -= 1) {
      const victim = works[left % threads]!;
      const { states } = slate(victim.memory);
      // Somewhere on its way, wherever that is.
      const from = Math.floor(chance() * steps * 0.9);
      while (Atomics.load(states, from) === 0) await new Promise(setImmediate);
      await workers[left % threads]!.terminate();
    }
    await all;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return works.flatMap(({ memory, number }) => eventsOf(slate(memory), `thread ${number}`));
}
