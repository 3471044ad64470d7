import { parentPort, workerData } from 'node:worker_threads';
import {
  atomic,
  type Bench,
  encodePrincipal,
  planGeometry,
  principalState,
  principalWordOffset,
  runSync,
} from '@exomem/core';
import { type SharedRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { surroundings } from './surroundings.js';

/** What a thread is given to begin with. */
export interface Given {
  readonly region: SharedRegion;
  readonly size: number;
  /** 1 up; its principal and its word for the bare exchange. */
  readonly thread: number;
  /** Threads that begin together wait here for each other. */
  readonly gate: SharedArrayBuffer;
}

/** What a thread is asked for. */
export interface Asked {
  readonly work: 'pairs' | 'bare';
  readonly count: number;
  readonly threads: number;
}

const { region, size, thread, gate } = workerData as Given;
const geometry = planGeometry(size);
const session = sharedArrayBuffer({ region }).open('sab:region', { clientId: new Uint8Array(16), lane: thread });
const bench: Bench = { session, surroundings };
const word = encodePrincipal({
  state: principalState.active,
  incarnation: 1,
  member: thread,
  memberIncarnation: 1,
  policy: 0,
});
session.compareExchange(principalWordOffset(geometry, thread), 0n, word);
const allocator = atomic.create({ geometry, identity: { principal: thread, incarnation: 1, word } });
const request = { pages: 1, initialise: 'none' } as const;
// A cache line for each thread.
const bare = new BigUint64Array(new SharedArrayBuffer(64));
const waiting = new Int32Array(gate);

const works = {
  pairs(count: number): void {
    for (let at = 0; at < count; at++) runSync(allocator.free(runSync(allocator.allocate(request), bench)), bench);
  },
  bare(count: number): void {
    for (let at = 0; at < count; at++) {
      Atomics.compareExchange(bare, 0, 0n, 1n);
      Atomics.compareExchange(bare, 0, 1n, 0n);
    }
  },
};

parentPort!.on('message', ({ work, count, threads }: Asked) => {
  // Whoever comes last opens the gate for all.
  const round = Atomics.load(waiting, 1);
  if (Atomics.add(waiting, 0, 1) === threads - 1) {
    Atomics.store(waiting, 0, 0);
    Atomics.add(waiting, 1, 1);
    Atomics.notify(waiting, 1);
  } else {
    Atomics.wait(waiting, 1, round);
  }
  const start = performance.now();
  works[work](count);
  parentPort!.postMessage(performance.now() - start);
});
