import type { Standing } from '@exomem/core';

const at = { leaseEnd: 0, applied: 1, index: 2 } as const;
/** Behind the words: who has begun, and whether the last news was heard. */
const flag = { begun: 6, unheard: 7 } as const;
const begun = { not: 0, thread: 1, never: 2 } as const;

/**
 * What a client and the thread that beats for it both look at. The thread publishes no more than what stands here: so a
 * client that is blocked stands still for the others, whoever beats.
 */
export class Shared {
  readonly buffer: SharedArrayBuffer;
  readonly #words: BigInt64Array;
  readonly #flags: Int32Array;

  constructor(buffer = new SharedArrayBuffer(32)) {
    this.buffer = buffer;
    this.#words = new BigInt64Array(buffer);
    this.#flags = new Int32Array(buffer);
  }

  /** Milliseconds of the clock that all threads of the process share. */
  get leaseEnd(): number {
    return Number(Atomics.load(this.#words, at.leaseEnd)) / 1000;
  }
  set leaseEnd(milliseconds: number) {
    // Rather a microsecond too short than too long.
    Atomics.store(this.#words, at.leaseEnd, BigInt(Math.floor(milliseconds * 1000)));
  }

  get standing(): Standing {
    // `applied` first: read later than it, `index` is the same or higher, as it must be.
    const applied = Number(Atomics.load(this.#words, at.applied));
    return { applied, index: Number(Atomics.load(this.#words, at.index)) };
  }
  set standing({ applied, index }: Standing) {
    Atomics.store(this.#words, at.index, BigInt(index));
    Atomics.store(this.#words, at.applied, BigInt(applied));
  }

  /** The thread begins. False: it is not to, and touches nothing. */
  begin(): boolean {
    return Atomics.compareExchange(this.#flags, flag.begun, begun.not, begun.thread) === begun.not;
  }
  /** The thread is not to begin. False: it has. */
  prevent(): boolean {
    return Atomics.compareExchange(this.#flags, flag.begun, begun.not, begun.never) !== begun.thread;
  }

  /** Whether the client has heard the last news; from now on it has not. */
  tell(): boolean {
    return Atomics.exchange(this.#flags, flag.unheard, 1) === 0;
  }
  heard(): void {
    Atomics.store(this.#flags, flag.unheard, 0);
  }
}
