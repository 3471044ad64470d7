import { type Allocation, type Application, crc32c } from '@exomem/core';

/**
 * A key-value store that keeps nothing to itself: index and data lie in external memory that belongs to one application. So
 * whoever takes the application over has the store, with every write that was acknowledged.
 *
 * The index, one allocation: a page of header `{magic | buckets | bytes of a segment | state | where each segment begins ...}`, then a word for
 * each bucket, `{fingerprint:16 | where its record begins:48}`. The data, segments of records that are only added to:
 * `{CRC-32C | bytes of the key | bytes of the value | 0 | key | value}`. One word decides about each change: a bucket about a
 * key, `state` (`{segments:16 | bytes of the last one that may be in use:48}`) about room. What was written and no word says
 * so is nobody's, and is written over or stays unused.
 */
export class Store {
  readonly #application: Application;
  readonly #index: Allocation;
  readonly #buckets: number;
  /** In the order in which they came. */
  readonly #segments: Allocation[];
  readonly #segmentBytes: number;
  /** Where the next record goes in the last segment, and up to where the header says that records may be. */
  #next: number;
  #granted: number;
  /** One write at a time. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(
    application: Application,
    index: Allocation,
    segments: Allocation[],
    options: { readonly buckets: number; readonly used: number; readonly segmentBytes: number },
  ) {
    this.#application = application;
    this.#index = index;
    this.#buckets = options.buckets;
    this.#segments = segments;
    this.#segmentBytes = options.segmentBytes;
    this.#next = options.used;
    this.#granted = options.used;
  }

  /** A new store for up to so many keys, in an application that holds nothing yet. */
  static async create(application: Application, keys: number, segmentBytes: number): Promise<Store> {
    const buckets = 2 ** Math.ceil(Math.log2(keys * 2));
    const index = await application.allocate(headerBytes + buckets * 8);
    const store = new Store(application, index, [], { buckets, used: segmentBytes, segmentBytes });
    await index.write(8, word(BigInt(buckets)));
    await index.write(16, word(BigInt(segmentBytes)));
    // Last: who finds it finds a whole index.
    await index.write(0, word(magic));
    return store;
  }

  /** The store of an application that came from another process, which is asked nothing: it may be dead. */
  static async takeOver(application: Application): Promise<Store> {
    const holdings = await application.holdings();
    const marks = await Promise.all(holdings.map((one) => words(one, 0, 1)));
    const at = marks.findIndex(([mark]) => mark === magic);
    if (at < 0) throw new Error('this application holds no store');
    const header = await words(holdings[at]!, 0, headerBytes / 8);
    const state = header[3]!;
    const named = [...header.subarray(4, 4 + Number(state >> 48n))].map(Number);
    const segments = named.map((offset) => holdings.find((one) => one.offset === offset)!);
    // Allocated, and not entered into the header any more.
    for (const one of holdings) if (one !== holdings[at] && !segments.includes(one)) await one.free();
    const used = Number(state & placeMask);
    const options = { buckets: Number(header[1]), used, segmentBytes: Number(header[2]) };
    return new Store(application, holdings[at]!, segments, options);
  }

  /** Bytes of external memory that it takes. */
  get held(): number {
    return this.#segments.reduce((sum, { length }) => sum + length, this.#index.length);
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { record } = await this.#find(encode(key));
    return record?.value;
  }

  /** When it is fulfilled, whoever takes the store over has it. */
  put(key: string, value: Uint8Array): Promise<void> {
    const work = this.#tail.then(() => this.#put(encode(key), value));
    this.#tail = work.catch(() => undefined);
    return work;
  }

  async #put(key: Uint8Array, value: Uint8Array): Promise<void> {
    const bytes = encodeRecord(key, value);
    const { segment, at } = await this.#room(bytes.length);
    await segment.write(at, bytes);
    const { bucket } = await this.#find(key);
    await this.#index.write(headerBytes + bucket * 8, word((fingerprint(key) << 48n) | BigInt(segment.offset + at)));
  }

  /** A place for a record, behind all that there are. */
  async #room(length: number): Promise<{ segment: Allocation; at: number }> {
    if (length > this.#segmentBytes) throw new Error(`a record of ${length} bytes does not fit a segment`);
    if (this.#segments.length === 0 || this.#next + length > this.#segmentBytes) {
      if (this.#segments.length === mostSegments) throw new Error('the store is full');
      const segment = await this.#application.allocate(this.#segmentBytes);
      await this.#index.write(32 + this.#segments.length * 8, word(BigInt(segment.offset)));
      this.#segments.push(segment);
      this.#next = 0;
      this.#granted = 0;
    }
    if (this.#next + length > this.#granted) {
      // A good deal at once, so that most writes need not say so.
      this.#granted = Math.min(this.#segmentBytes, this.#next + length + grant);
      await this.#index.write(24, word((BigInt(this.#segments.length) << 48n) | BigInt(this.#granted)));
    }
    const at = this.#next;
    this.#next += length;
    return { segment: this.#segments.at(-1)!, at };
  }

  /** The bucket of a key and its record; or the bucket that it would get. */
  async #find(key: Uint8Array): Promise<{ bucket: number; record?: { value: Uint8Array } }> {
    const mark = fingerprint(key);
    for (let step = 0, start = crc32c(key) % this.#buckets; step < this.#buckets; ) {
      // Up to the end of a line of eight: one round trip sees most of what there is to see.
      const first = (start + step) % this.#buckets;
      const line = await words(this.#index, headerBytes + first * 8, 8 - (first % 8));
      for (const [number, entry] of line.entries()) {
        if (entry === 0n) return { bucket: first + number };
        if (entry >> 48n !== mark) continue;
        const record = await this.#record(Number(entry & placeMask));
        if (Buffer.compare(record.key, key) === 0) return { bucket: first + number, record };
      }
      step += line.length;
    }
    throw new Error('the index is full');
  }

  async #record(place: number): Promise<{ key: Uint8Array; value: Uint8Array }> {
    const segment = this.#segments.find(({ offset, length }) => place >= offset && place < offset + length)!;
    const at = place - segment.offset;
    let bytes = new Uint8Array(Math.min(firstRead, segment.length - at));
    await segment.read(at, bytes);
    const length = recordLength(bytes);
    if (length > bytes.length) {
      const rest = new Uint8Array(length);
      rest.set(bytes);
      await segment.read(at + bytes.length, rest.subarray(bytes.length));
      bytes = rest;
    }
    return decodeRecord(bytes.subarray(0, length));
  }
}

const magic = 0x7865_646e_692d_766bn; // "kv-index"
const headerBytes = 4096;
const mostSegments = headerBytes / 8 - 4;
const placeMask = 0xffff_ffff_ffffn;
/** Bytes that are entered as used ahead of the records that come. */
const grant = 256 * 1024;
const firstRead = 1024;
const recordHeader = 16;

const encode = (key: string): Uint8Array => new TextEncoder().encode(key);
const word = (value: bigint): Uint8Array => new Uint8Array(new BigUint64Array([value]).buffer);
/** Never 0, so that no bucket in use looks empty. */
const fingerprint = (key: Uint8Array): bigint => BigInt((crc32c(key) >>> 16) | 1);

async function words(allocation: Allocation, position: number, count: number): Promise<BigUint64Array> {
  const found = new BigUint64Array(count);
  await allocation.read(position, new Uint8Array(found.buffer));
  return found;
}

function encodeRecord(key: Uint8Array, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((recordHeader + key.length + value.length) / 8) * 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, key.length, true);
  view.setUint32(8, value.length, true);
  bytes.set(key, recordHeader);
  bytes.set(value, recordHeader + key.length);
  view.setUint32(0, crc32c(bytes), true);
  return bytes;
}

function recordLength(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Math.ceil((recordHeader + view.getUint32(4, true) + view.getUint32(8, true)) / 8) * 8;
}

function decodeRecord(bytes: Uint8Array): { key: Uint8Array; value: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const checksum = view.getUint32(0, true);
  view.setUint32(0, 0, true);
  if (crc32c(bytes) !== checksum) throw new Error('a record is not what was written');
  const keyEnd = recordHeader + view.getUint32(4, true);
  const key = bytes.subarray(recordHeader, keyEnd);
  return { key, value: bytes.subarray(keyEnd, keyEnd + view.getUint32(8, true)) };
}
