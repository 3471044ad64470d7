import type { ExomemError, RegionMemory } from '@exomem/core';
import { checkRange } from './bounds.js';

/** A WRITE under way: its bytes go into the region as they come, word by word. */
export class IncomingWrite {
  /** What is wrong with its range: nothing of it is applied. */
  wrong: ExomemError | undefined;
  /** Where the next byte goes. */
  #at = 0;
  /** The start of a word that the edge of a chunk cut in two: it waits for its other half. */
  readonly #word = new Uint8Array(8);
  #held = 0;

  begin(offset: number, length: number, size: number): void {
    this.wrong = checkRange(offset, length, size);
    this.#at = offset;
    this.#held = 0;
  }

  /** Writes a part; `last` if none follows. */
  put(memory: RegionMemory, bytes: Uint8Array, from: number, to: number, last: boolean): void {
    if (this.#held > 0) {
      const length = Math.min(8 - ((this.#at + this.#held) & 7), to - from);
      this.#word.set(bytes.subarray(from, from + length), this.#held);
      this.#held += length;
      from += length;
      if (((this.#at + this.#held) & 7) !== 0 && !last) return;
      memory.write(this.#at, this.#word.subarray(0, this.#held));
      this.#at += this.#held;
      this.#held = 0;
    }
    const tail = last ? 0 : Math.min((this.#at + to - from) & 7, to - from);
    const whole = to - tail;
    if (whole > from) memory.write(this.#at, bytes.subarray(from, whole));
    this.#at += whole - from;
    if (tail > 0) this.#word.set(bytes.subarray(whole, to));
    this.#held = tail;
  }
}
