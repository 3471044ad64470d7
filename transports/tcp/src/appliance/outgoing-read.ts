import type { RegionMemory } from '@exomem/core';
import type { Outbox } from '../wire/outbox.js';

/** A READ under way: its bytes leave the region when the socket takes them, not before. */
export class OutgoingRead {
  /** Bytes that have not left the region yet. */
  left = 0;
  #at = 0;

  begin(offset: number, length: number): void {
    this.#at = offset;
    this.left = length;
  }

  /** Reads as much as the socket takes; false if something is left that it does not. */
  pump(memory: RegionMemory, outbox: Outbox): boolean {
    while (this.left > 0) {
      if (outbox.blocked) return false;
      let length = Math.min(this.left, outbox.room);
      // A word is read as a whole: a piece ends where a word does.
      if (length < this.left) length -= (this.#at + length) & 7;
      if (length <= 0) {
        outbox.restart(this.#at & 7);
        continue;
      }
      const at = outbox.reserve(length);
      memory.read(this.#at, outbox.bytes.subarray(at, at + length));
      this.#at += length;
      this.left -= length;
    }
    return true;
  }
}
