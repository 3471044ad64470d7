/**
 * Memory that outlives an answer. The kernel's own buffer is used again as soon as the answer is given; an operation
 * that was given up may still read or write long after that, and does so here.
 */
export class Buffers {
  readonly size: number;
  readonly #most: number;
  readonly #free: Uint8Array[] = [];

  constructor(size: number, most: number) {
    this.size = size;
    this.#most = most;
  }

  take(length: number): Uint8Array {
    if (length > this.size) return new Uint8Array(length);
    return this.#free.pop() ?? new Uint8Array(this.size);
  }

  /** Nobody uses it any more. */
  give(buffer: Uint8Array): void {
    if (buffer.byteLength === this.size && this.#free.length < this.#most) this.#free.push(buffer);
  }
}
