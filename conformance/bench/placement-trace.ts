import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** A course of allocations: for each operation an id, and the bytes of an allocation or 0 for a free. */
export interface Trace {
  readonly name: string;
  readonly ids: Uint32Array;
  readonly bytes: Float64Array;
  /** The most bytes that are allocated at one moment. */
  readonly peak: number;
}

/**
 * Reads a file of lines `a ID BYTES` and `f ID` in the order of time, perhaps gzipped.
 * @throws what names the line that is none of these
 */
export function readTrace(path: string): Trace {
  const file = readFileSync(path);
  const text = (file[0] === 0x1f && file[1] === 0x8b ? gunzipSync(file) : file).toString('latin1');
  const ids: number[] = [];
  const bytes: number[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const match = /^(?:a (\d+) ([1-9]\d*)|f (\d+))$/.exec(line);
    if (match === null) throw new Error(`${path}:${at + 1}: "${line}" is neither "a ID BYTES" nor "f ID"`);
    ids.push(Number(match[1] ?? match[3]));
    bytes.push(Number(match[2] ?? 0));
  }
  return traceOf(basename(path), ids, bytes);
}

/** How long the blocks are that have not 2 MiB: a few lengths, as the pieces of a model have, or any. */
export type Lengths = 'powers of two' | 'any length';

/**
 * A cache of blocks that drops the one that was used longest ago: seven of ten blocks have 2 MiB, the others 4 KiB to 8 MiB,
 * each order of magnitude as often; a few blocks are asked for much more often than the rest.
 * @param course 0 up: each is another
 */
export function makeTrace(lengths: Lengths, course = 0, blocks = 1000, requests = 20_000): Trace {
  let state = Math.imul(0x2545_f491, 2 * course + 1);
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const other = (): number => {
    if (lengths === 'powers of two') return 2 ** (12 + Math.floor(12 * random()));
    return Math.ceil(2 ** (12 + 11 * random()) / 4096) * 4096;
  };
  const ids: number[] = [];
  const bytes: number[] = [];
  const cache = new Map<number, number>();
  for (let at = 0; at < requests; at++) {
    const id = Math.floor(blocks * 40 * random() ** 3);
    const held = cache.get(id);
    if (held !== undefined) {
      cache.delete(id);
      cache.set(id, held);
      continue;
    }
    const size = random() < 0.7 ? 2 ** 21 : other();
    ids.push(id);
    bytes.push(size);
    cache.set(id, size);
    if (cache.size <= blocks) continue;
    const [oldest] = cache.keys();
    cache.delete(oldest!);
    ids.push(oldest!);
    bytes.push(0);
  }
  return traceOf(`${blocks} blocks, ${lengths}`, ids, bytes);
}

function traceOf(name: string, ids: readonly number[], bytes: readonly number[]): Trace {
  const live = new Map<number, number>();
  let sum = 0;
  let peak = 0;
  for (const [at, id] of ids.entries()) {
    const size = bytes[at]!;
    const before = live.get(id);
    if (size > 0 === (before !== undefined)) throw new Error(`${name}: block ${id} is allocated or freed twice`);
    sum += size - (before ?? 0);
    if (size > 0) live.set(id, size);
    else live.delete(id);
    peak = Math.max(peak, sum);
  }
  return { name, ids: Uint32Array.from(ids), bytes: Float64Array.from(bytes), peak };
}
