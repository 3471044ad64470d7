import { ExomemError } from '@exomem/core';

/** Lanes and threads that a roster has places for. */
const defaultPlaces = 8192;

/** What a place shows. A lane that ended stays on record until its slot has another incarnation. */
const state = { empty: 0n, bound: 1n, ended: 2n, revoked: 3n, child: 4n } as const;

const threadLimit = 2 ** 24;

/** What is known of a member's lanes. */
export type Standing =
  /** A lane is bound, and nobody has said that its thread has ended. */
  | 'bound'
  /** It had lanes, and they are all over. */
  | 'over'
  /** No thread of this process has ever bound a lane to it. */
  | 'unknown';

/**
 * Which threads have bound lanes to which members: memory that all threads of a region share, so that whoever learns that
 * a thread has ended can tell all the others. Places are words: for a lane `{state:4 | slot:16 | incarnation:20 |
 * thread:24}`, for a thread that another one spawned `{state:4 | 12 | spawner:24 | thread:24}`. Word 0 counts the places
 * that were ever used.
 */
export class Roster {
  readonly #words: BigUint64Array;

  /** @throws `InvalidArgument` if that memory has no room for a single place. */
  constructor(buffer: SharedArrayBuffer) {
    if (buffer.byteLength < 16 || buffer.byteLength % 8 !== 0) {
      throw new ExomemError('InvalidArgument', `a roster cannot have ${buffer.byteLength} bytes`);
    }
    this.#words = new BigUint64Array(buffer);
  }

  static allocate(places = defaultPlaces): SharedArrayBuffer {
    return new SharedArrayBuffer(8 * (places + 1));
  }

  /**
   * A lane of this member is about to be bound by that thread. The caller looks at the member word behind this, and at
   * {@link isRevoked}; who revokes looks at the lanes behind having changed those: one of the two sees the other.
   * @returns what `leave` is to be given. @throws `Busy` if all places are taken.
   */
  enter(slot: number, incarnation: number, thread: number): Place {
    checkThread(thread);
    for (let at = 1; at < this.#top(); at++) {
      const word = this.#load(at);
      // An earlier incarnation was recovered, so it was over.
      if (isLane(word) && slotOf(word) === slot && incarnationOf(word) < incarnation) this.#swap(at, word, 0n);
    }
    return this.#place(encodeLane(state.bound, slot, incarnation, thread));
  }

  /** That lane does nothing any more. */
  leave({ at, word }: Place): void {
    this.#swap(at, word, withState(word, state.ended));
  }

  isRevoked(slot: number, incarnation: number): boolean {
    return this.#lanes(slot, incarnation).some(({ word }) => stateOf(word) === state.revoked);
  }

  /**
   * What is known of a member. If that is `over`, no lane can be bound to it any more.
   * @param never it is not to be bound from now on even if it never was
   */
  revoke(slot: number, incarnation: number, never: boolean): Standing {
    const lanes = this.#lanes(slot, incarnation);
    if (lanes.some(({ word }) => stateOf(word) === state.bound)) return 'bound';
    if (lanes.length === 0 && !never) return 'unknown';
    if (lanes.length === 0) this.#place(encodeLane(state.revoked, slot, incarnation, 0));
    for (const { at, word } of lanes) this.#swap(at, word, withState(word, state.revoked));
    const again = this.#lanes(slot, incarnation);
    return again.some(({ word }) => stateOf(word) === state.bound) ? 'bound' : 'over';
  }

  /** `thread` was spawned by `spawner`: it ends with it. @throws `Busy` if all places are taken. */
  spawned(spawner: number, thread: number): void {
    checkThread(thread);
    this.#place(encodeChild(spawner, thread));
  }

  /** That thread has ended, and with it all that it had spawned. Only who has seen it may say so. */
  ended(thread: number): void {
    const children: number[] = [];
    const own: Place[] = [];
    for (let at = 1; at < this.#top(); at++) {
      const word = this.#load(at);
      if (stateOf(word) === state.bound && threadOf(word) === thread) this.leave({ at, word });
      if (stateOf(word) !== state.child) continue;
      if (spawnerOf(word) === thread) children.push(threadOf(word));
      if (threadOf(word) === thread) own.push({ at, word });
    }
    for (const child of children) this.ended(child);
    // Last: should this thread be ended in the midst of it, whoever sees the end of this one does it all again.
    for (const { at, word } of own) this.#swap(at, word, 0n);
  }

  #lanes(slot: number, incarnation: number): Place[] {
    const found: Place[] = [];
    for (let at = 1; at < this.#top(); at++) {
      const word = this.#load(at);
      if (isLane(word) && slotOf(word) === slot && incarnationOf(word) === incarnation) found.push({ at, word });
    }
    return found;
  }

  #place(word: bigint): Place {
    for (let at = 1; at < this.#words.length; at++) {
      if (this.#load(at) !== 0n) continue;
      // First where to look, then what is there: whoever reads sees all that was placed before.
      for (let top = this.#top(); top <= at; top = this.#top()) this.#swap(0, BigInt(top - 1), BigInt(at));
      if (this.#swap(at, 0n, word)) return { at, word };
    }
    throw new ExomemError(
      'Busy',
      `all ${this.#words.length - 1} places for lanes and threads of this region are taken`,
      {
        advice: 'close clients that are not used',
      },
    );
  }

  /** The first place that was never used. */
  #top(): number {
    return Number(Atomics.load(this.#words, 0)) + 1;
  }
  #load(at: number): bigint {
    return Atomics.load(this.#words, at);
  }
  #swap(at: number, expected: bigint, desired: bigint): boolean {
    return Atomics.compareExchange(this.#words, at, expected, desired) === expected;
  }
}

/** A word of the roster, and where it stands. */
export interface Place {
  readonly at: number;
  readonly word: bigint;
}

function checkThread(thread: number): void {
  if (Number.isInteger(thread) && thread >= 0 && thread < threadLimit) return;
  throw new ExomemError('InvalidArgument', `there is no thread ${thread}`, {
    advice: 'register a thread right after it was made: one that has ended has no number any more',
  });
}

function encodeLane(lane: bigint, slot: number, incarnation: number, thread: number): bigint {
  return (lane << 60n) | (BigInt(slot) << 44n) | (BigInt(incarnation) << 24n) | BigInt(thread);
}
function encodeChild(spawner: number, thread: number): bigint {
  return (state.child << 60n) | (BigInt(spawner) << 24n) | BigInt(thread);
}
const stateOf = (word: bigint): bigint => word >> 60n;
const slotOf = (word: bigint): number => Number((word >> 44n) & 0xffffn);
const incarnationOf = (word: bigint): number => Number((word >> 24n) & 0xfffffn);
const spawnerOf = (word: bigint): number => Number((word >> 24n) & 0xff_ffffn);
const threadOf = (word: bigint): number => Number(word & 0xff_ffffn);
const withState = (word: bigint, to: bigint): bigint => (word & ((1n << 60n) - 1n)) | (to << 60n);
const isLane = (word: bigint): boolean => word !== 0n && stateOf(word) !== state.child;
