import {
  type AllocationPolicy,
  type Coordinator,
  type Geometry,
  isExomemError,
  type Protocol,
  pause,
} from '@exomem/core';
import type { SimulatedClient, Simulation } from '../simulator/index.js';
import { coordinatorOf, memberOf } from './small-region.js';

/** One more member, for policies by which members attend to each other: it does nothing else, and never dies. */
export class Clerk {
  readonly #simulation: Simulation;
  readonly #client: SimulatedClient;
  readonly #coordinator: Coordinator;

  private constructor(simulation: Simulation, client: SimulatedClient, coordinator: Coordinator) {
    this.#simulation = simulation;
    this.#client = client;
    this.#coordinator = coordinator;
  }

  /** Undefined: nobody has to attend to anything by that policy. */
  static of(policy: AllocationPolicy, geometry: Geometry, slot: number, simulation: Simulation): Clerk | undefined {
    const coordinator = coordinatorOf(policy, geometry, slot);
    if (coordinator?.attend === undefined) return undefined;
    const client = simulation.addClient('K');
    client.immortal = true;
    client.binding = memberOf(geometry, slot);
    const clerk = new Clerk(simulation, client, coordinator);
    clerk.attend();
    client.queue.push({ name: 'attends', start: () => clerk.#work() });
    return clerk;
  }

  /** Does at once all that there is to do. */
  attend(): void {
    this.#simulation.runAlone(this.#client, { name: 'attends', start: () => this.#coordinator.attend!() });
  }

  /** For as long as anybody else has something to do. Whatever becomes of one look, there is another. */
  *#work(): Protocol<void> {
    const others = (): SimulatedClient[] => this.#simulation.clients.filter((client) => client !== this.#client);
    while (!others().every((client) => client.dead || client.idle)) {
      try {
        yield* this.#coordinator.attend!();
      } catch (error) {
        if (!isExomemError(error)) throw error;
      }
      yield pause(1);
    }
  }
}
