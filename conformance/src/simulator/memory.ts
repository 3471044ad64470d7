import { ExomemError } from '@exomem/core';

/** A word was changed, be it by a compareExchange or by a plain write. */
export type WordWatch = (offset: number, before: bigint, after: bigint) => void;

/**
 * The bytes of a simulated region. Every access is one indivisible step of one client: how the steps of several mix is
 * the simulation's business. Words in the watched range report each change.
 */
export class SimulatedMemory {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly words: BigUint64Array;
  watch: WordWatch | undefined;
  #from = 0;
  #to = 0;

  /** @param size bytes, a multiple of 8 */
  constructor(size: number) {
    this.size = size;
    this.words = new BigUint64Array(size / 8);
    this.bytes = new Uint8Array(this.words.buffer);
  }

  /** Reports changes of the words from byte `from` to `to`. */
  observe(from: number, to: number, watch: WordWatch): void {
    this.#from = from;
    this.#to = to;
    this.watch = watch;
  }

  load(offset: number): bigint {
    return this.words[this.#index(offset)]!;
  }

  /** What an environment that obeys no protocol does to a word. */
  store(offset: number, value: bigint): void {
    const index = this.#index(offset);
    const before = this.words[index]!;
    this.words[index] = value;
    this.#changed(offset, before);
  }

  compareExchange(offset: number, expected: bigint, desired: bigint): bigint {
    const index = this.#index(offset);
    const before = this.words[index]!;
    if (before === expected) {
      this.words[index] = desired;
      this.#changed(offset, before);
    }
    return before;
  }

  fetchAdd(offset: number, delta: bigint): bigint {
    const index = this.#index(offset);
    const before = this.words[index]!;
    this.words[index] = before + delta;
    this.#changed(offset, before);
    return before;
  }

  read(offset: number, target: Uint8Array): void {
    this.#check(offset, target.byteLength);
    target.set(this.bytes.subarray(offset, offset + target.byteLength));
  }

  write(offset: number, source: Uint8Array): void {
    this.#check(offset, source.byteLength);
    const end = offset + source.byteLength;
    if (this.watch === undefined || end <= this.#from || offset >= this.#to) {
      this.bytes.set(source, offset);
      return;
    }
    const first = offset >>> 3;
    const before = this.words.slice(first, (end + 7) >>> 3);
    this.bytes.set(source, offset);
    for (const [at, word] of before.entries()) this.#changed((first + at) * 8, word);
  }

  #changed(offset: number, before: bigint): void {
    if (this.watch === undefined || offset < this.#from || offset >= this.#to) return;
    const after = this.words[offset >>> 3]!;
    if (after !== before) this.watch(offset, before, after);
  }

  #index(offset: number): number {
    this.#check(offset, 8);
    if (offset % 8 !== 0) throw new ExomemError('Unaligned', `a word cannot lie at ${offset}`);
    return offset / 8;
  }

  #check(offset: number, length: number): void {
    if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= this.size) return;
    throw new ExomemError('OutOfRange', `${length} bytes at ${offset} lie beyond the region's ${this.size}`);
  }
}
