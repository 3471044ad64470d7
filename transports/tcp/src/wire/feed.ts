/**
 * Takes a byte stream apart into *pieces* of a known length and *bulk* that is handed on as it comes, whatever the
 * chunks in which it arrives. Copies a piece only if it lies across two chunks; never holds more than one.
 */
export abstract class Feed {
  /** Bytes of the next piece, at least 1. Set by `piece()` for the one that follows. */
  protected need: number;
  /** Bytes to come that are handed to `bulk()` before the next piece. */
  protected bulkLeft = 0;
  /** Set to leave the rest of a chunk unread; `consume()` answers where it stopped. */
  protected halted = false;
  #held = 0;
  #small = new Uint8Array(128);
  #smallView = new DataView(this.#small.buffer);
  #carry = this.#small;
  #carryView = this.#smallView;

  constructor(need: number) {
    this.need = need;
  }

  /** A piece of `need` bytes lies at `at`. Sets what comes next. */
  protected abstract piece(bytes: Uint8Array, view: DataView, at: number): void;
  /** Bytes `from` up to `to` of the bulk; `bulkLeft` says how many follow. */
  protected abstract bulk(bytes: Uint8Array, from: number, to: number): void;
  /** Room for a piece of `length` bytes must be held until the rest of it comes. */
  protected hold(_length: number): void {}
  /** The room is free again. */
  protected release(_length: number): void {}

  /** Whether a part of a piece or of a bulk is still missing. */
  get midway(): boolean {
    return this.#held > 0 || this.bulkLeft > 0;
  }

  /** Reads `bytes` from `at` to `end`; answers how far it came, which is `end` unless `halted` was set. */
  consume(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    while (at < end && !this.halted) {
      if (this.bulkLeft > 0) {
        const to = this.bulkLeft < end - at ? at + this.bulkLeft : end;
        this.bulkLeft -= to - at;
        this.bulk(bytes, at, to);
        at = to;
      } else if (this.#held > 0) {
        const length = Math.min(this.need - this.#held, end - at);
        this.#carry.set(bytes.subarray(at, at + length), this.#held);
        this.#held += length;
        at += length;
        if (this.#held === this.need) {
          const carry = this.#carry;
          const carryView = this.#carryView;
          this.drop();
          this.piece(carry, carryView, 0);
        }
      } else if (end - at >= this.need) {
        const from = at;
        at += this.need;
        this.piece(bytes, view, from);
      } else {
        this.#hold(bytes.subarray(at, end));
        return end;
      }
    }
    return at;
  }

  /** Forgets what is held of an unfinished piece. */
  protected drop(): void {
    this.#held = 0;
    if (this.#carry === this.#small) return;
    const length = this.#carry.byteLength;
    this.#carry = this.#small;
    this.#carryView = this.#smallView;
    this.release(length);
  }

  #hold(part: Uint8Array): void {
    if (this.need > this.#small.byteLength) {
      this.hold(this.need);
      this.#carry = new Uint8Array(this.need);
      this.#carryView = new DataView(this.#carry.buffer);
    }
    this.#carry.set(part, 0);
    this.#held = part.byteLength;
  }
}
