/**
 * A process that works in a region for as long as it is let: files in a directory of its own, such that end with it, open ones
 * without a name, anonymous memory.
 * It holds everything that it reads against what it wrote, and tells of what was acknowledged.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Allocation, Client, isExomemError, type RegionFile } from '@exomem/core';
import { surroundings } from 'exomem';
import type { Fact } from './operation.js';
import { chances, differs, pattern } from './pattern.js';
import { transportTo } from './reach.js';

/** What a worker is to do. */
export interface Work {
  readonly url: string;
  /** Names its directory, and decides what it does. */
  readonly seed: number;
  /** Bytes that it holds at most as anonymous memory. */
  readonly hold: number;
  /** Where nobody serves the region it waits until somebody does, and goes on in another directory. */
  readonly perseveres?: boolean;
}

/** Nobody served it: whether it happened is not known. */
const lost = ['Disconnected', 'OutcomeUnknown', 'DeadlineExceeded'] as const;

const tell = (fact: Fact): void => void writeSync(1, `${JSON.stringify(fact)}\n`);
let stopping = false;

class Worker {
  readonly #client: Client;
  readonly #chance: () => number;
  readonly #seed: number;
  #home: string;
  #homes = 0;
  readonly #hold: number;
  readonly #files = new Map<string, { seed: number; length: number }>();
  readonly #held: { memory: Allocation; seed: number }[] = [];
  #seeds: number;

  constructor(client: Client, { seed, hold }: Work) {
    this.#client = client;
    this.#chance = chances(seed);
    this.#seed = seed;
    this.#home = `/w${seed}`;
    this.#hold = hold;
    this.#seeds = seed * 1000;
  }

  #below(most: number): number {
    return Math.floor(this.#chance() * most);
  }
  get #path(): string {
    return `${this.#home}/${'abcdefgh'[this.#below(8)]}`;
  }

  async begin(): Promise<void> {
    await this.#client.namespace.mkdir(this.#home);
    tell({ note: 'home', path: this.#home });
  }

  /** What it was at is left as it is: nobody was told of it. */
  async beginAnew(): Promise<void> {
    this.#files.clear();
    for (;;) {
      this.#home = `/w${this.#seed}.${++this.#homes}`;
      try {
        return await this.begin();
      } catch (error) {
        if (!lost.some((code) => isExomemError(error, code))) throw error;
        await sleep(50);
      }
    }
  }

  async act(): Promise<void> {
    const held = this.#held.reduce((sum, { memory }) => sum + memory.length, 0);
    switch (this.#below(8)) {
      case 0:
      case 1:
        return this.#put(this.#path);
      case 2:
        return this.#remove(this.#path);
      case 3:
        return this.#look(this.#path);
      case 4:
        return this.#own(`${this.#home}/own`);
      case 5:
        return this.#scratch(`${this.#home}/scratch`);
      default:
        return held > this.#hold || (held > 0 && this.#chance() < 0.4) ? this.#giveBack() : this.#take();
    }
  }

  /** A file that ends with this process takes the place of the one before. */
  async #own(path: string): Promise<void> {
    const seed = this.#seeds++;
    const length = 1 + this.#below(30_000);
    {
      await using file = await this.#client.namespace.open(`${path}~`, { create: true, lifetime: 'owner' });
      await file.truncate(0);
      await file.write(0, pattern(seed, length));
    }
    await this.#client.namespace.rename(`${path}~`, path);
    await mustRead(await this.#client.namespace.open(path), seed, length);
  }

  /** A file loses its name and is written and read on. */
  async #scratch(path: string): Promise<void> {
    const seed = this.#seeds++;
    const [before, length] = [1 + this.#below(30_000), 30_000 + this.#below(30_000)];
    const file = await this.#client.namespace.open(path, { create: true, truncate: true });
    try {
      await file.write(0, pattern(seed, before));
      await this.#client.namespace.unlink(path);
      await file.write(before, pattern(seed, length - before, before));
    } catch (error) {
      await file.close();
      throw error;
    }
    await mustRead(file, seed, length);
  }

  /** A file is written beside its name and takes it whole. */
  async #put(path: string): Promise<void> {
    const seed = this.#seeds++;
    const length = 1 + this.#below(60_000);
    tell({ note: 'will put', path, seed, length });
    {
      await using file = await this.#client.namespace.open(`${path}~`, { create: true, truncate: true });
      await file.write(0, pattern(seed, length));
    }
    await this.#client.namespace.rename(`${path}~`, path);
    this.#files.set(path, { seed, length });
    tell({ note: 'put', path, seed, length });
  }

  async #remove(path: string): Promise<void> {
    if (!this.#files.has(path)) return;
    tell({ note: 'will remove', path });
    await this.#client.namespace.unlink(path);
    this.#files.delete(path);
    tell({ note: 'removed', path });
  }

  async #look(path: string): Promise<void> {
    const known = this.#files.get(path);
    if (known === undefined) return;
    await using file = await this.#client.namespace.open(path);
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    if (bytes.length !== known.length || differs(bytes, known.seed) >= 0) {
      throw new Error(
        `${path} has lost bytes: ${bytes.length}, of ${known.length}, from ${differs(bytes, known.seed)} on`,
      );
    }
  }

  async #take(): Promise<void> {
    const memory = await this.#client.allocate(1 + this.#below(this.#chance() < 0.2 ? 150_000 : 20_000));
    const bytes = new Uint8Array(memory.length);
    await memory.read(0, bytes);
    if (bytes.some((byte) => byte !== 0)) throw new Error('a fresh page shows bytes of another');
    const seed = this.#seeds++;
    await memory.write(0, pattern(seed, memory.length));
    this.#held.push({ memory, seed });
  }

  async #giveBack(): Promise<void> {
    const at = this.#below(this.#held.length);
    const [{ memory, seed }] = this.#held.splice(at, 1) as [{ memory: Allocation; seed: number }];
    await check(memory, seed);
    await memory.free();
  }

  /** Everything that it has is as it was written; it leaves. */
  async end(): Promise<void> {
    for (const { memory, seed } of this.#held) await check(memory, seed);
    for (const path of this.#files.keys()) await this.#look(path);
    await this.#client.close();
  }
}

/** Reads a file to its end, and closes it. */
async function mustRead(file: RegionFile, seed: number, length: number): Promise<void> {
  try {
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    if (bytes.length !== length || differs(bytes, seed) >= 0)
      throw new Error(`an open file has lost bytes: ${bytes.length}, of ${length}, from ${differs(bytes, seed)} on`);
  } finally {
    await file.close();
  }
}

async function check(memory: Allocation, seed: number): Promise<void> {
  const bytes = new Uint8Array(memory.length);
  await memory.read(0, bytes);
  const at = differs(bytes, seed);
  if (at >= 0)
    throw new Error(`byte ${at} of ${memory.length} anonymous bytes at ${memory.offset} is not what was written`);
}

async function serve(work: Work): Promise<void> {
  let acts = 0;
  try {
    const { url, seed } = work;
    const client = await Client.open({
      transport: transportTo(url),
      url,
      surroundings,
      label: `worker ${seed}`,
      pid: process.pid,
    });
    const worker = new Worker(client, work);
    await worker.begin();
    for (; !stopping; acts++) {
      try {
        await worker.act();
      } catch (error) {
        if (work.perseveres && lost.some((code) => isExomemError(error, code))) await worker.beginAnew();
        else if (!isExomemError(error, 'RegionFull') && !isExomemError(error, 'Fragmented')) throw error;
      }
      if (acts % 20 === 0) tell({ note: 'acts', acts });
    }
    await worker.end();
    tell({ note: 'over', acts });
  } catch (error) {
    tell({ note: 'failed', code: isExomemError(error) ? error.code : '', what: (error as Error).stack, acts });
  }
  process.exit();
}

process.once('message', (work: Work) => {
  process.on('message', () => {
    stopping = true;
  });
  void serve(work);
});
process.once('disconnect', () => process.exit());
tell({ note: 'up' });
