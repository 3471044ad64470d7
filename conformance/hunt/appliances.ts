import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { shippedPolicies } from '@exomem/core';
import type { Answer } from './appliance.js';
import { Crew } from './crew.js';
import { holdFiles } from './ledger.js';
import { facts } from './operation.js';
import { chances } from './pattern.js';
import { formatApart } from './reach.js';
import { type Place, Scene } from './scene.js';
import { Nursery, type VictimProcess } from './victims.js';

export interface AppliancesOptions {
  /** How often one of them is killed, or both. */
  readonly count: number;
  readonly seed?: number;
  /** Milliseconds. Default 3,000. */
  readonly lease?: number;
  readonly policy?: string | undefined;
}

export interface AppliancesReport {
  /** Processes that were killed: those of the data, of the metadata. */
  readonly data: number;
  readonly metadata: number;
  /** What the workers did. */
  readonly acts: number;
  /** Workers that gave up, or were declared dead, since nobody served them. */
  readonly ended: number;
}

const MiB = 1024 * 1024;
/** What a worker may say when an appliance was away: nothing was acknowledged then. */
const lost = ['Disconnected', 'OutcomeUnknown', 'DeadlineExceeded', 'Fenced'];

/**
 * Kills the appliance of the data, that of the metadata, or both, while three workers work, and serves the same bytes again: what
 * was acknowledged is there, who is served again goes on, what the others held comes back.
 */
export async function endAppliances(options: AppliancesOptions): Promise<AppliancesReport> {
  const { count, seed = 1, lease = 3000, policy } = options;
  await using halves = await Halves.open({ lease, policy });
  await using nursery = new Nursery('./worker.js', 1);
  const chance = chances(seed);
  const killed = { data: 0, metadata: 0 };
  let acts = 0;
  let ended = 0;
  for (let round = 0; round < count; round++) {
    const workers = await atWork(halves, nursery, seed + round);
    await sleep(chance() * 300);
    const which = [['data'], ['metadata'], ['data', 'metadata']][(seed + round) % 3] as ('data' | 'metadata')[];
    for (const half of which) killed[half]++;
    await Promise.all(which.map((half) => halves.kill(half)));
    await sleep(chance() * 300);
    const before = workers.map(({ told }) => told.length);
    await Promise.all(which.map((half) => halves.serve(half)));
    // All of them go on, or have given up.
    await Promise.all(workers.map((worker, at) => worker.hears('acts', before[at])));
    for (const worker of workers) worker.send({});
    await Promise.all(workers.map((worker) => worker.ended()));
    for (const worker of workers) {
      if (wasLost(worker)) ended++;
      acts += facts<{ acts: number }>(worker.told, 'acts').at(-1)?.acts ?? 0;
    }
    // Whoever looks now was not there before.
    await using scene = await Scene.open(halves, { steward: false });
    for (const { told } of workers) await holdFiles(scene, told);
    await scene.audit();
    await scene.clear();
  }
  return { ...killed, acts, ended };
}

async function atWork(halves: Halves, nursery: Nursery, seed: number): Promise<readonly VictimProcess[]> {
  await using scene = await Scene.open(halves, { steward: false });
  const crew = new Crew(scene, nursery, { seed, hold: MiB, perseveres: true });
  return crew.hire(3);
}

/** Whether a worker ended before it was told to. @throws if it found something wrong */
function wasLost({ told }: VictimProcess): boolean {
  const [failure] = facts<{ code: string; what: string }>(told, 'failed');
  if (failure !== undefined && !lost.includes(failure.code)) throw new Error(`a worker failed: ${failure.what}`);
  return failure !== undefined;
}

/** Two appliances, in a process each, with files that outlive them. */
class Halves implements Place, AsyncDisposable {
  readonly #folder: string;
  readonly #served = new Map<'data' | 'metadata', { readonly child: ChildProcess; readonly url: string }>();
  #url = '';

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open({ lease, policy = 'atomic' }: { lease: number; policy?: string | undefined }): Promise<Halves> {
    const halves = new Halves(await mkdtemp(join(tmpdir(), 'exomem-halves-')));
    try {
      const [data, metadata] = [await halves.serve('data'), await halves.serve('metadata')];
      const rule = shippedPolicies.find(({ name }) => name === policy);
      const options = { zeroed: true, lease, wait: Math.ceil(lease * 1.3), policy: rule };
      halves.#url = await formatApart(data, metadata, options);
      return halves;
    } catch (error) {
      await halves.close();
      throw error;
    }
  }

  /** At the address that it had before, if it had one. */
  async serve(half: 'data' | 'metadata'): Promise<string> {
    const before = this.#served.get(half);
    const listen = before === undefined ? '127.0.0.1:0' : new URL(before.url).host;
    const size = half === 'data' ? 24 * MiB : 16 * MiB;
    const child = fork(fileURLToPath(new URL('./half.js', import.meta.url)), [this.#file(half), String(size), listen], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [told] = await Promise.race([once(child, 'message'), once(child, 'exit')]);
    if (typeof told !== 'object') throw new Error(`the appliance of the ${half} ended with ${told}`);
    const { url } = told as { url: string };
    this.#served.set(half, { child, url });
    return url;
  }

  async kill(half: 'data' | 'metadata'): Promise<void> {
    const { child } = this.#served.get(half)!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  #file(half: string): string {
    return join(this.#folder, half);
  }

  async region(): Promise<Answer> {
    return { id: 0, name: 'halves', url: this.#url };
  }
  async withdraw(): Promise<void> {}

  async close(): Promise<void> {
    for (const half of this.#served.keys()) await this.kill(half);
    await rm(this.#folder, { recursive: true });
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
