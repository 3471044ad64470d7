import { expect } from '../transport-laws/expect.js';

/** What a file holds: the trivial model. */
export class ModelFile {
  #bytes = new Uint8Array(0);

  get size(): number {
    return this.#bytes.length;
  }
  /** A copy: who compares later compares with what it was. */
  get bytes(): Uint8Array {
    return this.#bytes.slice();
  }

  write(at: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (at + bytes.length > this.size) this.truncate(at + bytes.length);
    this.#bytes.set(bytes, at);
  }
  read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }
  truncate(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes.subarray(0, size));
    this.#bytes = bytes;
  }
}

/** Bytes that say which step wrote them, and where in it they are. None of them is 0. */
export function fill(step: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) bytes[at] = 1 + ((step * 67 + at + (at >>> 8) * 13) % 255);
  return bytes;
}

/** What was read is what the model holds there. */
export function expectRead(got: Uint8Array, wanted: Uint8Array, at = 0): void {
  if (Buffer.compare(got, wanted) === 0) return;
  expect(got.length === wanted.length, () => `${got.length} bytes are read from ${at} on instead of ${wanted.length}`);
  const first = wanted.findIndex((byte, index) => got[index] !== byte);
  const wrong = wanted.reduce((sum, byte, index) => sum + (got[index] === byte ? 0 : 1), 0);
  const place = `the byte at ${at + first} is ${got[first]} instead of ${wanted[first]}`;
  expect(false, wrong === 1 ? place : `${place}, and ${wrong - 1} more are wrong`);
}

export function expectSize(got: number, wanted: number, whose = 'it'): void {
  expect(got === wanted, () => `${whose} has ${got} bytes instead of ${wanted}`);
}
