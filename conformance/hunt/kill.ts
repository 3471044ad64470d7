import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { type Allocation, isExomemError } from '@exomem/core';
import { type Side, sides } from './deadly.js';
import { Ground } from './ground.js';
import { type Fact, facts, type Operation } from './operation.js';
import { operations } from './operations/index.js';
import { chances, pattern } from './pattern.js';
import { mustBe, Scene } from './scene.js';
import { Nursery, type VictimProcess } from './victims.js';

export interface KillOptions {
  /** `SIGSTOP`: it is stopped, taken for dead, and goes on when others have what it had. Default `SIGKILL`. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
  /** Names of operations; all unless given. */
  readonly operations?: readonly string[];
  /** The first step to die at. Default 1. */
  readonly from?: number;
  /** The last one. Default: the last there is. */
  readonly to?: number;
  readonly sides?: readonly Side[];
  /** So many places of each operation, drawn by `seed`; all unless given. */
  readonly sample?: number;
  readonly seed?: number;
  /** Cases under way at once. Default 16. */
  readonly atOnce?: number;
  /** Milliseconds. Default 1,000. */
  readonly lease?: number;
  /** The policy that its regions are formatted for. Default `atomic`. */
  readonly policy?: string | undefined;
  /** The metadata of its regions lie in regions of their own. */
  readonly apart?: boolean | undefined;
  /** Hears of each operation and each failure, in a line. */
  readonly tell?: (line: string) => void;
}

export interface KillReport {
  readonly cases: number;
  /** Steps of each operation. */
  readonly steps: ReadonlyMap<string, number>;
  readonly failures: readonly string[];
  /** Cases that were begun again, since somebody was taken for dead by mistake. */
  readonly mistakes: number;
}

interface Place {
  readonly operation: Operation;
  /** Undefined: when the operation is over. */
  readonly step: number | undefined;
  readonly side: Side;
}

/**
 * What a victim may hear that was stopped outside the region, or ended where it was not to be stopped: it was declared dead, another has all
 * there is, or the appliance waited no longer for the beginning of a connection.
 */
const unharmed = ['Fenced', 'RegionFull', 'DeadlineExceeded'];

/** A victim was taken for dead by mistake, on a machine that is busy: the case says nothing. */
class FalseSuspicion extends Error {}

/** Ends, or stops, a process at each wire step of each operation, and holds the region against what must be true then. */
export async function kill(options: KillOptions = {}): Promise<KillReport> {
  const { tell = () => undefined, atOnce = 16, seed = 1, from = 1, to = Number.MAX_SAFE_INTEGER } = options;
  const unknown = options.operations?.find((name) => !operations.some((one) => one.name === name));
  if (unknown !== undefined) throw new Error(`there is no operation ${unknown}`);
  const chosen = operations.filter(({ name }) => options.operations?.includes(name) ?? true);
  await using ground = await Ground.open({
    lease: options.lease ?? 1000,
    policy: options.policy,
    apart: options.apart,
  });
  await using nursery = new Nursery('./victim.js');
  const hunt = new Hunt(ground, nursery, options.signal ?? 'SIGKILL');
  const steps = new Map<string, number>();
  const failures: string[] = [];
  let cases = 0;
  const attempt = async (place: Place): Promise<number> => {
    cases++;
    try {
      return await hunt.case(place);
    } catch (error) {
      ground.check();
      const { operation, side, step } = place;
      const at = step === undefined ? 'at its end' : `${side} step ${step}`;
      // An error while a scene was closed must not hide why.
      const line = `${operation.name}, ${at}: ${inspect(error)}`;
      failures.push(line);
      tell(`FAIL ${line}`);
      return 0;
    }
  };
  const chance = chances(seed);
  const counted = chosen.map((operation) => async () => {
    const count = await attempt({ operation, step: undefined, side: 'after' });
    steps.set(operation.name, count);
    tell(`${operation.name}: ${count} steps`);
    const places: Place[] = [];
    for (let step = from; step <= Math.min(to, count); step++) {
      for (const side of options.sides ?? sides) places.push({ operation, step, side });
    }
    if (options.sample === undefined || places.length === 0) return places;
    return Array.from({ length: options.sample }, () => places[Math.floor(chance() * places.length)]!);
  });
  const places = (await together(counted, atOnce)).flat();
  await together(
    places.map((place) => () => attempt(place)),
    atOnce,
  );
  return { cases, steps, failures, mistakes: hunt.mistakes };
}

/** Runs tasks, some at a time, and answers in their order. */
export async function together<T>(tasks: readonly (() => Promise<T>)[], atOnce: number): Promise<T[]> {
  const answers: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < tasks.length) {
      const mine = next++;
      try {
        answers[mine] = await tasks[mine]!();
      } catch (error) {
        next = tasks.length;
        throw error;
      }
    }
  };
  // All of them have ended before the first failure is told.
  const ends = await Promise.allSettled(Array.from({ length: Math.min(atOnce, tasks.length) }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  return answers;
}

class Hunt {
  /** Cases that were begun again. */
  mistakes = 0;
  readonly #ground: Ground;
  readonly #nursery: Nursery;
  readonly #signal: 'SIGKILL' | 'SIGSTOP';

  constructor(ground: Ground, nursery: Nursery, signal: 'SIGKILL' | 'SIGSTOP') {
    this.#ground = ground;
    this.#nursery = nursery;
    this.#signal = signal;
  }

  /** One victim, in a region of its own. Answers how many steps it came to. */
  async case(place: Place): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      try {
        // A machine that is so busy is given more time.
        return await this.#attempt(place, this.#ground.lease * 2 ** attempt);
      } catch (error) {
        // The witnesses, too, may be taken for dead; nobody declares them dead but by the clock.
        const mistaken = error instanceof FalseSuspicion || isExomemError(error, 'Fenced');
        if (!mistaken || attempt === 4) throw error;
        this.mistakes++;
      }
    }
  }

  async #attempt(place: Place, lease: number): Promise<number> {
    const { operation } = place;
    await using scene = await Scene.open(this.#ground, { steward: operation.keeper === 'steward', lease });
    if (operation.keeper === 'member') await scene.join('keeper');
    const given = await operation.before?.(scene);
    const victim = await this.#nursery.take();
    try {
      const { url } = scene;
      victim.send({ operation: operation.name, url, given, step: place.step, side: place.side, signal: this.#signal });
      if (!(await victim.hears('ready'))) this.#judge(victim, place);
      await operation.during?.(scene, victim.told);
      victim.send({});
      if (this.#signal === 'SIGKILL') await victim.ended();
      else await stoppedOrEnded(victim);
      for (const principal of operation.kept?.(scene, victim.told) ?? []) scene.kept.add(principal);
      if (operation.keeper === 'nobody') await scene.join('heir');
      if (victim.end === null) await this.#goOn(scene, victim);
      this.#judge(victim, place);
      await scene.rest();
      await operation.after?.(scene, victim.told);
      await scene.clear();
      return facts<{ steps: number }>(victim.told, 'over')[0]?.steps ?? 0;
    } finally {
      await victim.kill();
    }
  }

  /** Holds how a victim ended against how it was to end. */
  #judge({ told, end }: VictimProcess, { operation, step }: Place): void {
    if (end !== 'SIGKILL') throw new Error(`the victim ended with ${end}`);
    const [failure] = facts<{ code: string; what: string }>(told, 'failed');
    const over = told.some(({ note }) => note === 'over');
    if (this.#signal === 'SIGKILL' || step === undefined) {
      if (failure?.code === 'Fenced') throw new FalseSuspicion(failure.what);
      if (failure !== undefined) throw new Error(`the victim failed: ${failure.what}`);
    } else if (wasStopped(told) && operation.outside !== true) {
      if (over) throw new Error('the victim went on as if nothing had been');
      if (failure?.code !== 'Fenced') throw new Error(`the victim went on, and was told: ${failure?.what}`);
    } else if (failure !== undefined && !unharmed.includes(failure.code)) {
      throw new Error(`the victim failed: ${failure.what}`);
    }
  }

  /** What a stopped victim had is recovered, and given to another, before it goes on. */
  async #goOn(scene: Scene, victim: VictimProcess): Promise<void> {
    await scene.rest();
    const heir = await scene.join('filler');
    const all = await takeEverything(heir.allocate.bind(heir));
    for (const [seed, one] of all.entries()) await one.write(0, pattern(seed, one.length));
    victim.told.push({ note: 'stopped' });
    victim.signal('SIGCONT');
    await victim.ended();
    for (const [seed, one] of all.entries()) {
      const bytes = new Uint8Array(one.length);
      await one.read(0, bytes);
      mustBe('what another was given', bytes, seed, one.length);
    }
    await scene.part(heir);
  }
}

function wasStopped(told: readonly Fact[]): boolean {
  return told.some(({ note }) => note === 'stopped');
}

/** Allocates until nothing is left. */
async function takeEverything(allocate: (bytes: number) => Promise<Allocation>): Promise<Allocation[]> {
  const all: Allocation[] = [];
  for (let bytes = 4 * 1024 * 1024; bytes >= 4096; ) {
    try {
      all.push(await allocate(bytes));
    } catch (error) {
      if (
        !isExomemError(error, 'RegionFull') &&
        !isExomemError(error, 'Fragmented') &&
        !isExomemError(error, 'OutOfRange')
      )
        throw error;
      bytes /= 2;
    }
  }
  return all;
}

/** Waits until a process stands still, or is no more. */
async function stoppedOrEnded(victim: VictimProcess): Promise<void> {
  while (victim.end === null) {
    const state = /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${victim.pid}/stat`, 'latin1'))?.[1];
    if (state === 'T') return;
    await sleep(10);
  }
  await victim.ended();
}
