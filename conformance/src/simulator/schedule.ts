import { Execution } from './execution.js';
import type { Action, Simulation } from './simulation.js';

/** How often each fault may happen in a run. */
export interface Faults {
  /** Replies that are lost. */
  readonly losses: number;
  /** Operations that their caller gives up. */
  readonly aborts: number;
  /** Clients that die. */
  readonly crashes: number;
  /**
   * The appliance ends and begins again with its memory as it was: all connections break, nothing that was on its way happens,
   * and each lane must be bound again. In exhaustive searches only.
   */
  readonly restarts?: number;
  /**
   * How often who watches a word takes it for one that stood still for the time, although others could go on. Where nobody else
   * can go on that is no fault, and happens as often as it must. In exhaustive searches only.
   */
  readonly expiries?: number;
  /** How far the clock goes, in steps of a simulation that is `timed`. In exhaustive searches only. */
  readonly ticks?: number;
}

export const noFaults: Faults = { losses: 0, aborts: 0, crashes: 0 };

/** The numbers of a schedule are below this. */
export const scheduleLimit = 1024;

/**
 * Runs a simulation to its end, a number for each step: the low four bits choose among what may happen, the others
 * whether something goes wrong on the way. Zero goes on as before; where the numbers end, so do the switching and the
 * faults. So a shorter schedule, or one of smaller numbers, is a simpler run.
 */
export function follow(simulation: Simulation, schedule: readonly number[], faults: Faults = noFaults): void {
  const left = { ...faults };
  for (let at = 0; !simulation.quiet; at++) takeTurn(simulation, schedule[at] ?? 0, left);
}

/** One number of a schedule. What it spends of the faults is taken from `left`. */
export function takeTurn(
  simulation: Simulation,
  number: number,
  left: { -readonly [Key in keyof Faults]: number },
): void {
  const actions = simulation.actions();
  if (actions.length === 0) throw new Error('nobody can go on, and not all is done');
  const action = actions[(number & 15) % actions.length]!;
  simulation.perform(spoil(action, number >>> 4, left) ?? action);
}

/** What goes wrong instead, if anything does: a quarter of the numbers ask for it. */
function spoil(action: Action, number: number, left: { -readonly [Key in keyof Faults]: number }): Action | undefined {
  if (number < 48 || action.kind !== 'step') return undefined;
  const { task } = action;
  if (number >= 62 && task.client.immortal) return undefined;
  if (number >= 62) return left.crashes-- > 0 ? { kind: 'crash', client: task.client } : undefined;
  if (!(task.pending instanceof Execution)) return undefined;
  const pieces = [0, 1, 1000][number % 3]!;
  if (number >= 60) return left.aborts-- > 0 ? { kind: 'abort', task, pieces } : undefined;
  return left.losses-- > 0 ? { kind: 'lose', task, pieces } : undefined;
}
