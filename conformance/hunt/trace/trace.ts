import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { chances } from '../pattern.js';

/** One operation of a trace: so many bytes for a block, or, with 0, its end. */
export interface TraceStep {
  readonly id: number;
  readonly bytes: number;
}

/** Reads a trace: lines `a ID BYTES` and `f ID` in the order of time; it may be compressed by gzip. @throws at what is none */
export function readTrace(path: string): TraceStep[] {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('latin1');
  return parseTrace(text, path);
}

export function parseTrace(text: string, where = 'a trace'): TraceStep[] {
  const steps: TraceStep[] = [];
  const live = new Set<number>();
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const wrong = (what: string): Error => new Error(`${where}, line ${at + 1}: ${what}: ${line}`);
    const found = /^(?:a (\d+) (\d+)|f (\d+))\r?$/.exec(line);
    if (found === null) throw wrong('neither "a ID BYTES" nor "f ID"');
    const [, made, bytes, gone] = found;
    const id = Number(made ?? gone);
    if (made === undefined) {
      if (!live.delete(id)) throw wrong('it is freed and was not allocated');
      steps.push({ id, bytes: 0 });
    } else {
      if (Number(bytes) < 1) throw wrong('nothing is asked for');
      if (live.has(id)) throw wrong('it is allocated already');
      live.add(id);
      steps.push({ id, bytes: Number(bytes) });
    }
  }
  return steps;
}

const [KiB, MiB] = [1024, 1024 * 1024];

/**
 * A trace of our own: a cache of blocks, most of 2 MiB, the rest from 4 KiB to 8 MiB. Which one goes is mostly the oldest, and
 * now and then any: so holes are of all sizes.
 */
export function makeTrace(seed: number, steps: number, live = 400): TraceStep[] {
  const chance = chances(seed);
  const below = (most: number): number => Math.floor(chance() * most);
  const made: TraceStep[] = [];
  const cache: number[] = [];
  for (let id = 0; made.length < steps; id++) {
    while (cache.length >= live) {
      const at = chance() < 0.7 ? 0 : below(cache.length);
      made.push({ id: cache.splice(at, 1)[0]!, bytes: 0 });
    }
    cache.push(id);
    made.push({ id, bytes: chance() < 0.7 ? 2 * MiB : 4 * KiB * 2 ** below(12) });
  }
  return made;
}

/** Everybody's own part of a trace, by the number of the block. */
export function partOf(trace: readonly TraceStep[], who: number, of: number): TraceStep[] {
  return trace.filter(({ id }) => id % of === who);
}

/** By how much sizes are to be divided so that at no time more than `room` bytes are live, in whole pages. */
export function divisorFor(trace: readonly TraceStep[], room: number, pageSize: number): number {
  const [smallest, largest] = [1, 2 ** 20];
  for (let divisor = smallest; divisor <= largest; divisor *= 1.25) {
    if (peakOf(trace, divisor, pageSize) <= room) return divisor;
  }
  throw new Error(`the trace has more blocks at a time than the region has pages`);
}

/** Bytes of a step in a region that is smaller than that of the trace. */
export const scaled = (bytes: number, divisor: number): number => Math.max(1, Math.floor(bytes / divisor));

function peakOf(trace: readonly TraceStep[], divisor: number, pageSize: number): number {
  const sizes = new Map<number, number>();
  let [now, peak] = [0, 0];
  for (const { id, bytes } of trace) {
    if (bytes === 0) {
      now -= sizes.get(id) ?? 0;
      sizes.delete(id);
      continue;
    }
    const size = Math.ceil(scaled(bytes, divisor) / pageSize) * pageSize;
    sizes.set(id, size);
    now += size;
    peak = Math.max(peak, now);
  }
  return peak;
}
