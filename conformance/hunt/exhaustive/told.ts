import type { Extent } from '@exomem/core';

/** Somebody that a word can refer to. */
export interface Owner {
  readonly principal: number;
  readonly incarnation: number;
}

/** Pages that a client was given and has not given back. */
export interface Held extends Owner {
  readonly page: number;
  readonly pages: number;
}

/** What a client holds and knows, as plain data. */
export interface Holdings {
  readonly member: { readonly slot: number; readonly incarnation: number } | undefined;
  /** What it does everything in the name of that is not an application's. */
  readonly own: Owner | undefined;
  /** All that it acts or has acted for. */
  readonly identities: readonly Owner[];
  readonly handles: readonly Held[];
  /** Groups that were granted to it, as far as it knows; where words change by messages. */
  readonly groups: readonly number[];
  /** Pages that it looks for just now; 0: it does not. */
  readonly asking: number;
  /** Runs of so many pages that it looks for. */
  readonly times: number;
  /** It knows that it was declared dead, or has given its principal away. */
  readonly gone: boolean;
  readonly left: boolean;
  /** Appends that it was told of as done, and those that it began. */
  readonly appended: number;
  readonly begun: number;
  /** The lengths of runs that it has asked for. */
  readonly sizes: readonly number[];
  /** The most runs that it has asked for at once. */
  readonly most: number;
  /** The log index that its oldest access under way has looked up at; 0: there is none. */
  readonly looked: number;
  /** When its lease ends, by its own clock. */
  readonly leaseEnd: number;
  /** The turn at a lock by name that it holds. */
  readonly turn: number | undefined;
}

/** Something that a client was told. */
export type Heard =
  /** It looks for room. */
  | { readonly kind: 'asks' }
  | ({ readonly kind: 'given'; readonly page: number; readonly word: bigint } & Owner)
  | { readonly kind: 'refused' }
  /** It holds a lock by name. */
  | { readonly kind: 'locked' }
  | ({ readonly kind: 'appended'; readonly index: number } & Owner)
  | { readonly kind: 'adopted'; readonly principal: number; readonly extents: readonly Extent[] }
  /** It read bytes of a file: that letter, of those that may be there. */
  | {
      readonly kind: 'saw';
      readonly page: number;
      readonly byte: number;
      readonly allowed: readonly number[];
      readonly named: boolean;
    }
  /** It takes itself for dead. */
  | { readonly kind: 'fenced'; readonly slot: number; readonly incarnation: number; readonly why: string };

/** Something is not as it must be. */
export class Breach extends Error {
  override readonly name = 'Breach';
  constructor(law: string, what: string) {
    super(`${law}: ${what}`);
  }
}
