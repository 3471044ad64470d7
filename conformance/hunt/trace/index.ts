/**
 * A trace of allocations, replayed by processes over TCP that are killed at random, and held against what they were told and
 * against the bytes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Ground } from '../ground.js';
import { chances } from '../pattern.js';
import { Scene } from '../scene.js';
import { Claims } from './claims.js';
import { type ForeignScan, foreignScan } from './foreign-scan.js';
import { type Course, Lane } from './lane.js';
import { divisorFor, makeTrace, partOf, type TraceStep } from './trace.js';

export interface TraceHuntOptions {
  /** Default: one of our own, made from the seed. */
  readonly trace?: readonly TraceStep[];
  /** Whose coordination rules the region. Default `atomic`. */
  readonly policy?: string;
  readonly seconds: number;
  /** It goes on for longer where so many allocations and kills have not come about. Default none. */
  readonly least?: { readonly allocations: number; readonly kills: number };
  readonly seed: number;
  readonly processes?: number;
  /** Milliseconds between two kills, on an average. Default 800. */
  readonly every?: number;
  /** Milliseconds. Default 2,000. */
  readonly lease?: number;
  /** Of the region. Default 32 MiB. */
  readonly bytes?: number;
  readonly tell?: (line: string) => void;
}

export interface TraceHuntReport extends Readonly<Course['counts']> {
  /** How often everything stood still and was held against the bytes. */
  readonly judgements: number;
  /** Of the pages that there are, how many were held at most when that was done. */
  readonly fullest: number;
}

const MiB = 1024 * 1024;
/** Milliseconds after which what has not come to rest never will. */
const patience = 90_000;
/** Milliseconds between two judgements. */
const interval = 4_000;

/**
 * Replays the trace, round and round, for so many seconds. @throws if a page is given to two, if one that is held is not in the
 * bytes or the other way round, if a byte is lost, or if anything is left in the end
 */
export async function huntTrace(options: TraceHuntOptions): Promise<TraceHuntReport> {
  const { seconds, seed, policy, processes = 4, every = 800, lease = 2_000, bytes = 32 * MiB, tell } = options;
  const trace = options.trace ?? makeTrace(seed, 40_000);
  await using ground = await Ground.open({ lease });
  await using scene = await Scene.open(ground, { bytes, steward: true, ...(policy === undefined ? {} : { policy }) });
  const { pageSize, groupPages } = scene.observer.geometry;
  const { total } = await scene.rest();
  // The rest is for what the dead held until it is free again.
  const divisor = divisorFor(trace, total * pageSize * 0.8, pageSize);
  tell?.(`${trace.length} steps, sizes divided by ${divisor.toFixed(1)}, ${total} pages in groups of ${groupPages}`);
  const counts = { steps: 0, allocations: 0, full: 0, kills: 0, mistakes: 0, rounds: 0 };
  const course: Course = { url: scene.url, divisor, claims: new Claims(pageSize), paused: false, workers: 0, counts };
  const lanes = Array.from({ length: processes }, (_, at) => new Lane(course, partOf(trace, at, processes)));
  const chance = chances(seed);
  const until = performance.now() + seconds * 1000;
  const { least = { allocations: 0, kills: 0 } } = options;
  const isOver = (): boolean =>
    performance.now() >= until && counts.allocations >= least.allocations && counts.kills >= least.kills;
  let judgements = 0;
  try {
    for (const lane of lanes) lane.start();
    while (!isOver()) {
      const pause = performance.now() + interval;
      while (performance.now() < pause && course.failure === undefined) {
        await sleep(2 * every * chance());
        if (performance.now() < pause) lanes[Math.floor(chance() * lanes.length)]!.kill();
      }
      await standStill(course, lanes);
      const { counts: seen } = await judge(course, scene);
      judgements++;
      tell?.(`${counts.steps} steps, ${counts.kills} killed, ${seen.held} of ${total} pages held: as it has to be`);
      course.paused = false;
      for (const lane of lanes) lane.resume();
    }
    await standStill(course, lanes);
    await Promise.all(lanes.map((lane) => lane.leave()));
    if (course.failure !== undefined) throw course.failure;
    const { counts: left } = await judge(course, scene);
    if (left.held !== 0) throw new Error(`${left.held} pages are held, and all was given back`);
    // Every page is free, and zero for whoever is given it.
    await scene.clear();
    return { ...counts, judgements: judgements + 1, fullest: course.claims.peak / total };
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
  }
}

/** Everybody has ended what it did, and shown since that it lives. */
async function standStill(course: Course, lanes: readonly Lane[]): Promise<void> {
  course.paused = true;
  const allRest = async (): Promise<void> => {
    for (const lane of lanes) {
      while (!lane.rests && course.failure === undefined) await lane.changed();
    }
    if (course.failure !== undefined) throw course.failure;
  };
  await allRest();
  for (const lane of lanes) lane.prove();
  await allRest();
}

/**
 * Holds what processes were told against each other, and against the bytes, as one reads them who knows the document alone.
 * @param within milliseconds after which what the dead held has to be free again
 */
export async function judge(
  { claims, url }: Pick<Course, 'claims' | 'url'>,
  scene: Scene,
  within = patience,
): Promise<ForeignScan> {
  claims.judge();
  for (const until = performance.now() + within; ; ) {
    const found = await foreignScan(url);
    const { held } = found.counts;
    // What the dead held comes back after the wait.
    if (found.findings.length === 0 && held === claims.pages) {
      await scene.audit();
      return found;
    }
    if (performance.now() > until) {
      const what =
        found.findings.length > 0 ? found.findings.slice(0, 5).join('; ') : `${held} pages are held in the bytes`;
      throw new Error(`${what}; processes were told that they hold ${claims.pages}`);
    }
  }
}
