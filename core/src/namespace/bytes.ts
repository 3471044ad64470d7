import { ExomemError } from '../errors.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Writes little-endian fields and LEB128 varints into a buffer that grows. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  #room(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }
  u16(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
  }
  u32(value: number): void {
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }
  u64(value: bigint): void {
    this.#room(8);
    this.#view.setBigUint64(this.length, value, true);
    this.length += 8;
  }
  i64(value: bigint): void {
    this.#room(8);
    this.#view.setBigInt64(this.length, value, true);
    this.length += 8;
  }
  /** Seven bits a byte, lowest first; up to 2^53 - 1. */
  varint(value: number): void {
    this.#room(8);
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.length++] = rest;
  }
  /** A varint length, then UTF-8. */
  text(value: string): void {
    const bytes = encoder.encode(value);
    this.varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  /** What was written so far; valid until the next write. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

/** Reads what {@link ByteWriter} wrote. @throws `Damaged` at the end of the bytes or for an impossible value. */
export class ByteReader {
  readonly #view: DataView;
  at = 0;
  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  #take(count: number): number {
    const at = this.at;
    if (at + count > this.bytes.length) throw new ExomemError('Damaged', 'a record ends before its contents do');
    this.at += count;
    return at;
  }
  u8(): number {
    return this.bytes[this.#take(1)]!;
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }
  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }
  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), true);
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (value > Number.MAX_SAFE_INTEGER) throw new ExomemError('Damaged', 'a number in a record is beyond 2^53');
      if (byte < 128) return value;
    }
  }
  text(): string {
    const length = this.varint();
    const at = this.#take(length);
    try {
      return decoder.decode(this.bytes.subarray(at, at + length));
    } catch (cause) {
      throw new ExomemError('Damaged', 'a name in a record is not UTF-8', { cause });
    }
  }
}
