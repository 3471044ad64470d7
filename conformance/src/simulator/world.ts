import type { Cast, ClientNode } from './automaton.js';
import type { SimulatedClient } from './client.js';
import type { Flight, Stray } from './flight.js';
import type { Moments } from './moments.js';

/** A simulation from its beginning, and what must be true of every way that it can go. */
export interface Scene<Held = unknown, Heard = unknown> extends Cast<Held, Heard> {
  /** Who may die. Default: all. */
  readonly mortal?: ReadonlySet<SimulatedClient>;
  /** Whose replies may be lost. Default: all. */
  readonly lossy?: ReadonlySet<SimulatedClient>;
  /** Whether the judge looks at some of those bytes at any time, but for those that it tells by `looks`. Default: at all. */
  readonly judged?: (offset: number, length: number) => boolean;
  /** Where parts of the region begin that the judge looks at apart: multiples of 64. */
  readonly bounds?: readonly number[];
  /** From here on the region is kept page by page. */
  readonly pagesFrom?: number;
  /** What a client takes the time for when the clock shows so many ticks. Default: these. */
  readonly time?: (client: number, clock: number) => number;
  readonly judge?: Judge<Held, Heard>;
  /**
   * Who does the first of its operations again and again, and keeps nothing between two times: whether there is anything to do for it at
   * a moment. It begins then and only then; who has come to rest may wait for others for ever, and is done when they are.
   */
  readonly onCall?: ReadonlyMap<SimulatedClient, (moments: Moments, region: number) => boolean>;
}

/** Says whether what happens is as it must be. It is the first scene's, and keeps nothing of one state for another. */
export interface Judge<Held, Heard> {
  /** The beginning. What its further judgement depends on beside region and clients, as a number: `memo`. */
  begin?(world: World<Held, Heard>): number;
  /** Something happened. The number again. @throws what is wrong */
  after?(world: World<Held, Heard>, change: WorldChange<Heard>): number;
  /** Nobody has anything left to do. @throws what is wrong */
  finish?(world: World<Held, Heard>): void;
  /** All of a client that the judgement depends on when it does nothing any more. Default: all that it was ever told. */
  epitaph?(world: World<Held, Heard>, local: Local<Held, Heard>): string;
}

/** A moment of a world. */
export interface World<Held, Heard> {
  readonly moments: Moments;
  /** What the region holds, as a number. */
  readonly region: number;
  /** The time, in ticks. */
  readonly clock: number;
  readonly locals: readonly Local<Held, Heard>[];
  readonly memo: number;
  /** The judge looks at bytes that a scene does not count among those that are `judged`. */
  looks(offset: number, length: number): void;
  /** The shipped client as it stands there: to be looked at, and left as it is. */
  standing(local: Local<Held, Heard>): SimulatedClient;
  /** One more shipped client that stands there: whoever takes it may let it go on, and keeps it. */
  lend(local: Local<Held, Heard>): SimulatedClient;
}

export interface WorldChange<Heard> {
  /** Whose step it was. */
  readonly actor: number;
  /** What the region held before. */
  readonly before: number;
  /** What of the region was changed: `length` is 0 if it was not. */
  readonly offset: number;
  readonly length: number;
  /** What the actor was told by it, in order. */
  readonly heard: readonly Heard[];
  /** Something about a client changed, not only how far a step of it is. */
  readonly told: boolean;
}

/** Where a client stands, and what of its is on the way. */
export class Local<Held, Heard> {
  /** Set by whoever judges. */
  view: unknown;
  constructor(
    readonly id: number,
    readonly index: number,
    /** One that stands for all others that its epitaph is true of, if it is `still`. */
    readonly node: ClientNode<Held, Heard>,
    /** How far each of its operations is; undefined: it waits for a control step. */
    readonly flights: readonly (Flight | undefined)[],
    /** What is on its way with nobody waiting for it. */
    readonly strays: readonly Stray[],
    readonly dead: boolean,
    /** It is shut out. */
    readonly fenced: boolean,
    /** It never does anything any more, but what is on its way. */
    readonly still: boolean,
    /** Lanes, a bit each, whose connection broke: every step on them fails until a new epoch begins. */
    readonly cut: number,
  ) {}
}
