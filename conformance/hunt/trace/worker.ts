/**
 * Replays its part of a trace: each block is looked through for what is not zero, filled with a pattern of its own, and looked
 * through again before it is given back. Tells what it is told before it does anything else, so that whoever kills it knows.
 */
import { writeSync } from 'node:fs';
import { type Allocation, Client, isExomemError } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';
import { differs, pattern } from '../pattern.js';

/** What it is told first. */
export interface Assignment {
  readonly url: string;
  /** Of all workers that ever were. */
  readonly who: number;
}
/** What it is told then, again and again: steps, the first of which is number `at`. */
export interface Portion {
  readonly at: number;
  /** What is to be done before: give everything back, or show that it lives; or to do nothing else, and leave. */
  readonly first?: 'clear' | 'prove' | 'leave';
  /** Block and bytes, 0 for its end. */
  readonly steps: readonly (readonly [id: number, bytes: number])[];
}
/** What it tells. Times in microseconds. */
export type Told =
  | { readonly note: 'up' | 'joined' | 'more' | 'proved' | 'over' }
  | { readonly note: 'held'; at: number; id: number; offset: number; length: number; begun: number; done: number }
  | { readonly note: 'frees'; at: number; id: number; begun: number }
  | { readonly note: 'full' | 'passed'; at: number }
  | { readonly note: 'failed'; code: string; what: string };

const tell = (told: Told): void => void writeSync(1, `${JSON.stringify(told)}\n`);
const now = (): number => Number(process.hrtime.bigint() / 1000n);
const blocks = new Map<number, Allocation>();
const seedOf = (who: number, id: number): number => who * 1_000_003 + id;

async function look(memory: Allocation): Promise<Uint8Array> {
  const bytes = new Uint8Array(memory.length);
  await memory.read(0, bytes);
  return bytes;
}

async function take(client: Client, who: number, at: number, id: number, bytes: number): Promise<void> {
  const begun = now();
  let memory: Allocation;
  try {
    memory = await client.allocate(bytes);
  } catch (error) {
    // Busy: whoever coordinates was killed just now.
    if (!['RegionFull', 'Fragmented', 'Busy'].includes(isExomemError(error) ? error.code : '')) throw error;
    tell({ note: 'full', at });
    return;
  }
  tell({ note: 'held', at, id, offset: memory.offset, length: memory.length, begun, done: now() });
  blocks.set(id, memory);
  const dirty = (await look(memory)).findIndex((byte) => byte !== 0);
  if (dirty >= 0) throw new Error(`block ${id}, at ${memory.offset}, is fresh and shows a byte of another at ${dirty}`);
  await memory.write(0, pattern(seedOf(who, id), bytes));
}

async function give(who: number, at: number, id: number): Promise<void> {
  const memory = blocks.get(id);
  if (memory === undefined) {
    // It was the dead one's, or there was no room.
    tell({ note: 'passed', at });
    return;
  }
  const wrong = differs(await look(memory), seedOf(who, id));
  if (wrong >= 0) throw new Error(`block ${id}, at ${memory.offset}, has lost its byte ${wrong} of ${memory.length}`);
  blocks.delete(id);
  tell({ note: 'frees', at, id, begun: now() });
  await memory.free();
}

/** Whoever was declared dead is told so by any step that it takes. */
async function prove(): Promise<void> {
  for (const memory of blocks.values()) {
    await memory.read(0, new Uint8Array(1));
    break;
  }
  tell({ note: 'proved' });
}

async function replay(client: Client, who: number, { at, first, steps }: Portion): Promise<void> {
  if (first === 'prove') await prove();
  else if (first !== undefined) for (const id of [...blocks.keys()]) await give(who, at - 1, id);
  for (const [index, [id, bytes]] of steps.entries()) {
    if (bytes === 0) await give(who, at + index, id);
    else await take(client, who, at + index, id, bytes);
  }
}

process.once('message', ({ url, who }: Assignment) => {
  const fail = (error: unknown): never => {
    tell({ note: 'failed', code: isExomemError(error) ? error.code : '', what: String((error as Error).stack) });
    process.exit();
  };
  const join = async (): Promise<void> => {
    const client = await Client.open({ transport: tcp(), url, surroundings, label: `trace ${who}`, pid: process.pid });
    tell({ note: 'joined' });
    process.on('message', (portion: Portion) => {
      const work = async (): Promise<void> => {
        await replay(client, who, portion);
        if (portion.first !== 'leave') return tell({ note: 'more' });
        await client.close();
        tell({ note: 'over' });
        process.exit();
      };
      work().catch(fail);
    });
  };
  join().catch(fail);
});
process.once('disconnect', () => process.exit());
tell({ note: 'up' });
