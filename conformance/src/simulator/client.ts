import type { ControlStep, MemberBinding, Protocol } from '@exomem/core';
import type { Execution } from './execution.js';

/** How an operation ended; a crash ends none. */
export type Outcome = { readonly value: unknown; readonly error?: undefined } | { readonly error: unknown };

/** Something that a client is to do. */
export interface Operation {
  /** For people: `allocates 3 pages`. */
  readonly name: string;
  /** The lane that its steps go by. A new epoch of one lane leaves the others as they are. Default 0. */
  readonly lane?: number;
  /** It begins when nothing else of its client is under way, and nothing else does as long as it is. */
  readonly alone?: boolean;
  /** No two operations of a client that name the same are under way at once. */
  readonly exclusive?: string;
  /** Makes the protocol when its turn has come; undefined: there is nothing to do after all. */
  start(): Protocol<unknown> | undefined;
  ended?(outcome: Outcome): void;
}

/** An operation under way. */
export class Task {
  /** The step that its protocol waits for. */
  pending: Execution | ControlStep | undefined;
  /** When it went on last. */
  turn = 0;
  /** How often it has looked at the word that it watches. */
  looks = 0;
  constructor(
    readonly client: SimulatedClient,
    readonly operation: Operation,
    readonly protocol: Protocol<unknown>,
  ) {}
}

/** A client: a queue of operations, and one lane to the region. */
export class SimulatedClient {
  readonly queue: Operation[] = [];
  readonly tasks: Task[] = [];
  /** Steps whose replies were lost: what is left of them may still happen, until a new epoch of the lane begins. */
  limbo: Execution[] = [];
  /** When it began something last. */
  turn = 0;
  /** It crashed: what it sent before may still happen. */
  dead = false;
  /** It never dies, whatever a schedule says. */
  immortal = false;
  /** Its lane carries nothing more: a bind was refused, or somebody revoked it. */
  fenced = false;
  binding: MemberBinding | undefined;
  /** Where its sequence of random numbers stands. */
  chance: number;

  constructor(
    readonly index: number,
    readonly name: string,
    /** Operations that it has under way at the same time, at most. */
    readonly concurrency: number,
  ) {
    this.chance = index + 1;
  }

  /** Whether its next operation may begin. */
  get ready(): boolean {
    const [next] = this.queue;
    if (next === undefined || this.tasks.length >= this.concurrency) return false;
    if (next.alone) return this.tasks.length === 0;
    const { exclusive } = next;
    return !this.tasks.some(({ operation }) => {
      return operation.alone || (exclusive !== undefined && operation.exclusive === exclusive);
    });
  }

  get idle(): boolean {
    return this.tasks.length === 0 && this.queue.length === 0;
  }
}
