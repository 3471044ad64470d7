import { Chronicle } from './chronicle.js';
import type { SimulatedClient } from './client.js';
import { Execution } from './execution.js';
import { type Faults, follow, noFaults, scheduleLimit, takeTurn } from './schedule.js';
import { type Action, Endless, type Simulation } from './simulation.js';

/** A simulation from its beginning, and what must be true of its end. For runs that are one way each, by chance or by malice. */
export interface Trial {
  readonly simulation: Simulation;
  /** All is quiet. @throws what is wrong */
  finish?(): void;
}

export interface HuntOptions {
  /**
   * `random`: any order of the steps, with faults anywhere. `adversarial`: one client is always let go before another, but for a
   * few steps at which the last becomes the first, and faults strike where something is half done: it finds what needs few
   * switches at the right places, which chance alone takes long for. Default: both in turn.
   */
  readonly way?: 'random' | 'adversarial';
  /** How often what may go wrong in a run. Default: nothing. */
  readonly faults?: Faults;
  /** Default 1,000. */
  readonly runs?: number;
  /** Where chance begins. Default 1. */
  readonly seed?: number;
  /** Steps of a run that are chosen; behind them all goes on without faults. Default 300. */
  readonly steps?: number;
}

/** A run that ended badly: its schedule is what {@link replay} goes through once more. */
export class Mishap extends Error {
  override readonly name = 'Mishap';
  constructor(
    /** Numbers for `follow`, made as few and as small as was found. */
    readonly schedule: readonly number[],
    /** What happens, a line for each turn. */
    readonly told: string,
    /** How many runs there had been. */
    readonly runs: number,
    cause: unknown,
  ) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`${what}\n${told}\n  again: replay(make, [${schedule.join(', ')}])`, { cause });
  }
}

/**
 * Runs a simulation again and again, each time another way.
 * @param make the trial from its beginning, with a chronicle if it is asked for
 * @returns how many runs there were
 * @throws {@link Mishap} with the simplest run that was found
 */
export function hunt(make: (chronicle: boolean) => Trial, options: HuntOptions = {}): number {
  const { way, faults = noFaults, runs = 1000, seed = 1, steps = 300 } = options;
  const draw = drawing(seed);
  for (let run = 1; run <= runs; run++) {
    const adversarial = way === undefined ? run % 2 === 0 : way === 'adversarial';
    const schedule = adversarial
      ? malice(make(false), faults, draw, steps)
      : Array.from({ length: steps }, () => draw(scheduleLimit));
    if (wrongWith(make, schedule, faults) === undefined) continue;
    const least = simplest(schedule, (one) => wrongWith(make, one, faults) !== undefined);
    const { told, wrong } = replay(make, least, faults);
    throw new Mishap(least, told, run, wrong);
  }
  return runs;
}

/** Goes through one schedule: what happens, in words, and what is wrong. */
export function replay(
  make: (chronicle: boolean) => Trial,
  schedule: readonly number[],
  faults: Faults = everyFault,
): { readonly told: string; readonly wrong?: unknown } {
  const trial = make(true);
  const wrong = run(trial, schedule, faults);
  const told = trial.simulation.chronicle ?? new Chronicle();
  return { told: String(told), ...(wrong === undefined ? {} : { wrong: wrong.error }) };
}

/** A schedule says what goes wrong; that it may is not the question any more. */
const everyFault: Faults = { losses: 1e9, aborts: 1e9, crashes: 1e9 };

function wrongWith(make: (chronicle: boolean) => Trial, schedule: readonly number[], faults: Faults): unknown {
  return run(make(false), schedule, faults);
}

function run(trial: Trial, schedule: readonly number[], faults: Faults): { readonly error: unknown } | undefined {
  try {
    follow(trial.simulation, schedule, faults);
    trial.finish?.();
    return undefined;
  } catch (error) {
    return { error };
  }
}

function drawing(seed: number): (below: number) => number {
  let chance = (seed * 2_654_435_761) >>> 0;
  return (below) => {
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((chance / 2 ** 32) * below);
  };
}

/** The numbers that stand for a fault instead of a step: see `follow`. */
const spoils = { lose: 48, abort: 60, crash: 62 } as const;

/**
 * Plays a trial with priorities, as probabilistic concurrency testing does (Burckhardt et al., 2010), and says by which schedule:
 * the client of the highest goes on; at a few steps it falls behind all others, and what is half done may be lost.
 */
function malice(trial: Trial, faults: Faults, draw: (below: number) => number, steps: number): number[] {
  const { simulation } = trial;
  const { clients } = simulation;
  let rank = clients.map(({ index }) => index);
  for (let at = rank.length - 1; at > 0; at--) {
    const other = draw(at + 1);
    [rank[at], rank[other]] = [rank[other]!, rank[at]!];
  }
  const left = { ...faults };
  // The first turns are worth as much as all others together: most protocols are short.
  const turn = (): number => draw(draw(2) === 0 ? 24 : steps);
  const falls = new Set(Array.from({ length: 3 }, turn));
  const strikes = new Set(Array.from({ length: faults.losses + faults.aborts + faults.crashes }, turn));
  const schedule: number[] = [];
  try {
    for (let at = 0; at < steps && !simulation.quiet; at++) {
      const actions = simulation.actions();
      if (actions.length === 0) break;
      // A number chooses among sixteen.
      const choices = actions.slice(0, 16);
      const least = Math.min(...choices.map((action) => rank.indexOf(clientOf(action).index)));
      const chosen = choices.findIndex((action) => rank.indexOf(clientOf(action).index) === least);
      const action = choices[chosen]!;
      let number = chosen;
      if (strikes.has(at)) number += 16 * strike(action, left, draw);
      schedule.push(number);
      takeTurn(simulation, number, left);
      if (falls.has(at)) rank = [...rank.filter((one) => one !== rank[least]), rank[least]!];
    }
  } catch (error) {
    if (error instanceof Endless) return schedule;
  }
  return schedule;
}

const clientOf = (action: Action): SimulatedClient => ('task' in action ? action.task.client : action.client);

/** A fault that may strike there; 0 if none may. */
function strike(action: Action, left: Faults, draw: (below: number) => number): number {
  if (action.kind !== 'step') return 0;
  const possible: number[] = [];
  if (left.crashes > 0) possible.push(spoils.crash);
  if (action.task.pending instanceof Execution) {
    // Lost before it was taken, behind its first piece, or when all of it was done.
    if (left.losses > 0) possible.push(spoils.lose, spoils.lose + 1, spoils.lose + 2);
    if (left.aborts > 0) possible.push(spoils.abort, spoils.abort + 1);
  }
  return possible[draw(possible.length)] ?? 0;
}

/** Fewer and smaller numbers, for as long as it stays wrong. */
function simplest(schedule: readonly number[], isWrong: (schedule: readonly number[]) => boolean): number[] {
  let best = [...schedule];
  let left = 2000;
  const attempt = (candidate: number[]): boolean => {
    if (left-- <= 0 || !isWrong(candidate)) return false;
    best = candidate;
    return true;
  };
  for (let before: number[] | undefined; before !== best && left > 0; ) {
    before = best;
    for (let length = best.length; length >= 1; length = Math.floor(length / 2)) {
      while (best.length >= length && attempt(best.slice(0, -length)));
      for (let at = 0; at + length <= best.length; at += length)
        attempt([...best.slice(0, at), ...best.slice(at + length)]);
    }
    for (let at = 0; at < best.length; at++) {
      for (const smaller of [0, 1, best[at]! % 16, best[at]! - (best[at]! % 16)]) {
        if (smaller < best[at]!) attempt(best.map((number, one) => (one === at ? smaller : number)));
      }
    }
  }
  return best;
}
