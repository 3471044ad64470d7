import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyLink } from '@exomem/conformance';
import { Crew, wasFenced } from './crew.js';
import { Ground } from './ground.js';
import { chances } from './pattern.js';
import { Scene } from './scene.js';
import { Nursery } from './victims.js';

export interface StormOptions {
  /** Kills, stops or cuts. */
  readonly count: number;
  readonly seed?: number;
  /** Milliseconds. */
  readonly lease?: number;
  /** The policy that its regions are formatted for. Default `atomic`. */
  readonly policy?: string | undefined;
  /** The metadata of its regions lie in regions of their own. */
  readonly apart?: boolean | undefined;
}

export interface StormReport {
  /** Kills, stops or cuts that there were. */
  readonly hit: number;
  /** What the others did meanwhile. */
  readonly acts: number;
  /** Of the others, those that were declared dead though nobody had touched them: on a machine that is busy. */
  readonly mistakes: number;
}

const MiB = 1024 * 1024;
/** Of the region: enough for as many member slots as there are dead at a time. */
const bytes = 64 * MiB;
/** Of anonymous memory, by each worker. */
const hold = MiB;

/** Kills workers at random while three others work; everything that they were told stays, what they held comes back. */
export function killAtRandom(options: StormOptions): Promise<StormReport> {
  return storm(options, async (doomed, chance) => {
    const batch = await doomed.hire(4);
    await Promise.all(
      batch.map(async (worker) => {
        await sleep(chance() * 300);
        worker.signal('SIGKILL');
        await worker.ended();
      }),
    );
    return batch.filter((worker) => !wasFenced(worker)).length;
  });
}

/**
 * Stops workers past their lease, and lets them go on: each says `Fenced`, and has damaged nothing of the three that went on
 * working with what it had held.
 */
export function stopAtRandom(options: StormOptions): Promise<StormReport> {
  return storm(options, async (doomed, chance, lease) => {
    const batch = await doomed.hire(4);
    await Promise.all(
      batch.map(async (worker) => {
        await sleep(chance() * 300);
        worker.signal('SIGSTOP');
      }),
    );
    await sleep(3 * lease);
    for (const worker of batch) worker.signal('SIGCONT');
    for (const worker of batch) {
      await worker.ended();
      if (!wasFenced(worker)) throw new Error(`a worker was stopped for ${3 * lease} ms, and went on to ${worker.end}`);
    }
    return batch.length;
  });
}

/** One round of a storm: how many it hit. */
type Round = (doomed: Crew, chance: () => number, lease: number) => Promise<number>;

async function storm(
  { count, seed = 1, lease = 1000, policy, apart }: StormOptions,
  round: Round,
): Promise<StormReport> {
  await using ground = await Ground.open({ lease, policy, apart });
  await using nursery = new Nursery('./worker.js', 1);
  await using scene = await Scene.open(ground, { bytes, steward: true });
  const others = new Crew(scene, nursery, { seed, hold });
  await others.hire(3);
  const chance = chances(seed);
  let hit = 0;
  for (let crews = 1; hit < count; crews++) {
    const doomed = new Crew(scene, nursery, { seed: seed + crews, hold });
    hit += await round(doomed, chance, lease);
    // What they were told stays; what they held others have by now, or will have.
    await doomed.check(doomed.members);
    await scene.audit();
  }
  const { acts, fenced } = await others.dismiss();
  await scene.rest();
  await scene.clear();
  return { hit, acts, mistakes: fenced };
}

/** Cuts connections at random while four clients work: a cut is no death, and nobody loses a byte. */
export async function cutAtRandom({
  count,
  seed = 1,
  lease = 10_000,
  policy,
  apart,
}: StormOptions): Promise<StormReport> {
  await using ground = await Ground.open({ lease, policy, apart });
  await using nursery = new Nursery('./worker.js', 1);
  await using scene = await Scene.open(ground, { bytes, steward: true });
  const { port } = new URL(scene.url);
  await using link = await FaultyLink.open({ host: '127.0.0.1', port: Number(port) });
  // Of both halves, where there are two.
  const crew = new Crew(scene, nursery, { seed, hold, url: scene.url.replaceAll(`:${port}/`, `:${link.port}/`) });
  const chance = chances(seed);
  await crew.hire(4);
  let cuts = 0;
  while (cuts < count) {
    await sleep(chance() * 100);
    if (link.cutOne(chance())) cuts++;
  }
  const { acts, fenced } = await crew.dismiss();
  await scene.rest();
  await scene.clear();
  return { hit: cuts, acts, mistakes: fenced };
}
