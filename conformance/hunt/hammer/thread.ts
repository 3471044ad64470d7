/**
 * A thread that hammers a few words of shared memory, and takes down what it does in memory that outlives it: who is terminated
 * in the middle of a step has said that it had begun.
 */
import { workerData } from 'node:worker_threads';
import type { Session } from '@exomem/core';
import { chances } from '../pattern.js';
import { begun, done, type Slate, slate } from './slate.js';

export interface ThreadWork {
  /** URL of a module with `open(region, number)`, which opens a session. */
  readonly module: string;
  readonly region: unknown;
  readonly number: number;
  readonly seed: number;
  readonly offsets: readonly number[];
  readonly memory: SharedArrayBuffer;
  /** Of two words: how many are ready, and whether all begin. */
  readonly gate: SharedArrayBuffer;
}

const work = workerData as ThreadWork;
const { open } = (await import(work.module)) as { open(region: unknown, number: number): Session };
const session = open(work.region, work.number);
const chance = chances(work.seed);
const log = slate(work.memory);
const gate = new Int32Array(work.gate);
Atomics.add(gate, 0, 1);
Atomics.wait(gate, 1, 0);

const bytes = new Uint8Array(8);
const view = new DataView(bytes.buffer);
const seen = new Map<number, bigint>();
for (let at = 0; at < log.capacity; at += 1) act(log, at);

function act(log: Slate, at: number): void {
  const offset = work.offsets[Math.floor(chance() * work.offsets.length)]!;
  const kind = Math.floor(chance() * 10);
  const expected = seen.get(offset) ?? 0n;
  // Nobody else writes this value, so that whoever reads it says whom it comes from.
  const own = BigInt(work.number) * 1_000_000n + BigInt(at + 1);
  let result = 0n;
  if (kind === 0) {
    begun(log, at, 'write', offset, own, 0n);
    view.setBigUint64(0, own, true);
    session.write(offset, bytes);
  } else if (kind < 3) {
    begun(log, at, 'read', offset, 0n, 0n);
    result = session.load(offset) as bigint;
  } else if (kind < 6) {
    begun(log, at, 'fetchAdd', offset, own, 0n);
    result = session.fetchAdd(offset, own) as bigint;
  } else {
    begun(log, at, 'compareExchange', offset, expected, own);
    result = session.compareExchange(offset, expected, own) as bigint;
  }
  done(log, at, result);
  const after = kind === 0 || (kind >= 6 && result === expected) ? own : kind >= 3 && kind < 6 ? result + own : result;
  seen.set(offset, BigInt.asUintN(64, after));
}
