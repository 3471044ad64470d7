/**
 * A simulator for protocols of exomem. It runs the very generators that the library ships, of any number of clients,
 * over one simulated memory, and decides at each step who goes on and what goes wrong.
 *
 * ```ts
 * const simulation = new Simulation(new SimulatedMemory(4096));
 * for (const name of ['A', 'B']) {
 *   simulation.addClient(name, [{ name: 'adds one', start: () => increment(64) }]);
 * }
 * follow(simulation, [0, 1, 0, 1]);
 * ```
 */

export type { Cast, ClientNode, Recollection } from './automaton.js';
export { Chronicle, type Namer, type Speaker } from './chronicle.js';
export { type Operation, type Outcome, SimulatedClient, type Task } from './client.js';
export { Execution, type Grain } from './execution.js';
export {
  Counterexample,
  type Exhausted,
  type ExhaustiveOptions,
  exhaust,
  retrace,
} from './exhaustive.js';
export { glance, looksOnly } from './glance.js';
export { SimulatedMemory, type WordWatch } from './memory.js';
export { Moments } from './moments.js';
export { type Faults, follow, noFaults, scheduleLimit } from './schedule.js';
export { type Action, Endless, Simulation, type SimulationOptions, type TransportModel } from './simulation.js';
export { type HuntOptions, hunt, Mishap, replay, type Trial } from './trial.js';
export type { Judge, Local, Scene, World, WorldChange } from './world.js';
