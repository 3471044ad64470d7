import { createHash } from 'node:crypto';
import { Execution } from '../simulator/execution.js';
import type { Faults } from '../simulator/schedule.js';
import { noFaults } from '../simulator/schedule.js';
import type { Action, Simulation } from '../simulator/simulation.js';

/**
 * A simulation from its beginning, judged by something that lies beside the region and changes with each step, as a ledger of a
 * policy's world does: no copy of that can be made, so its ways cannot be searched as those of a `Scene`. It must remember what its clients are told (`remember: true`).
 */
export interface Scenario {
  readonly simulation: Simulation;
  /** What the judgement of the future depends on beside the simulation: two equal moments have it equal. */
  state?(): string;
  /** Judges the end of a run. @throws what it finds */
  finish?(): void;
}

export interface ExhaustiveOptions {
  readonly faults?: Faults;
  /** States after which the search gives up. Default 1,000,000. */
  readonly limit?: number;
}

export interface Exhausted {
  /** Different states that were reached. */
  readonly states: number;
  /** Ends that were reached. */
  readonly ends: number;
  /** False if the limit was reached before all was seen. */
  readonly complete: boolean;
}

/** A way through a scenario that ends in an error: the number of the action taken at each step. */
export class Counterexample extends Error {
  override readonly name = 'Counterexample';
  constructor(
    readonly path: readonly number[],
    cause: unknown,
  ) {
    super(`after ${path.length} steps: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

type Left = { -readonly [Key in keyof Faults]: number };

/**
 * Goes every way that a scenario can go, with at most so many faults. Protocols cannot be copied, so a way is gone
 * again from the beginning wherever it forks; a state that was met before is not followed twice.
 * @throws {@link Counterexample}
 */
export function exhaust(make: () => Scenario, options: ExhaustiveOptions = {}): Exhausted {
  const { faults = noFaults, limit = 1_000_000 } = options;
  const seen = new Set<string>();
  const forks: number[][] = [[]];
  let ends = 0;
  for (let path = forks.pop(); path !== undefined; path = forks.pop()) {
    const scenario = make();
    const { simulation } = scenario;
    const left: Left = { ...faults };
    try {
      for (const choice of path) perform(simulation, ways(simulation, left)[choice]!, left);
      for (;;) {
        if (simulation.quiet && simulation.clients.every(({ limbo }) => limbo.length === 0)) {
          ends++;
          scenario.finish?.();
          break;
        }
        const key = digest(`${simulation.fingerprint()}|${Object.values(left)}|${scenario.state?.() ?? ''}`);
        if (seen.has(key)) break;
        if (seen.size >= limit) return { states: seen.size, ends, complete: false };
        seen.add(key);
        const all = ways(simulation, left);
        for (let choice = all.length - 1; choice > 0; choice--) forks.push([...path, choice]);
        path.push(0);
        perform(simulation, all[0]!, left);
      }
    } catch (error) {
      throw new Counterexample(path, error);
    }
  }
  return { states: seen.size, ends, complete: true };
}

/** Goes one way again, as {@link Counterexample} has it. */
export function retrace(scenario: Scenario, path: readonly number[], faults: Faults = noFaults): void {
  const left: Left = { ...faults };
  for (const choice of path) perform(scenario.simulation, ways(scenario.simulation, left)[choice]!, left);
  if (scenario.simulation.quiet) scenario.finish?.();
}

function perform(simulation: Simulation, action: Action, left: Left): void {
  if (action.kind === 'lose') left.losses--;
  if (action.kind === 'abort') left.aborts--;
  if (action.kind === 'crash') left.crashes--;
  simulation.perform(action);
}

/** Everything that may happen next, faults included. */
function ways(simulation: Simulation, left: Left): Action[] {
  const actions = simulation.actions();
  const faults: Action[] = [];
  for (const { client, tasks } of simulation.clients.map((one) => ({ client: one, tasks: one.tasks }))) {
    if (client.dead) continue;
    if (left.crashes > 0 && tasks.length > 0) faults.push({ kind: 'crash', client });
    for (const task of tasks) {
      if (!(task.pending instanceof Execution)) continue;
      if (left.losses > 0) faults.push({ kind: 'lose', task, pieces: 0 });
      if (left.aborts > 0) faults.push({ kind: 'abort', task, pieces: 0 });
    }
  }
  // What is on its way when all is quiet arrives or does not; that it does not is the way that ends here.
  return [...actions, ...faults];
}

function digest(text: string): string {
  return createHash('sha1').update(text, 'latin1').digest('base64');
}
