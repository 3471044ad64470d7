import { ExomemError } from '../errors.js';

/** How much of a copy is staged at once. A multiple of 8, so that all pieces of a copy have one phase. */
const stageBytes = 65_536;

/**
 * The bytes of a region on the side that has them: one or more segments, since no typed array reaches beyond 4 GiB.
 * All segments but the last have the same length, a multiple of 8. Offsets are not checked against the size here:
 * whoever takes them from elsewhere does that first.
 *
 * Words are read and written with `Atomics`, so that every thread and process that maps the same memory may join in.
 * Copies move aligned words whole. What `set` does depends on its two ends: where one of them is a SharedArrayBuffer, V8
 * copies word by word if both have the same phase modulo 8, and byte by byte if not; between two plain ArrayBuffers it
 * calls memmove, whose overlapping stores tear words of an odd range. So a copy goes through a stage of the right phase
 * where the phases differ, and through a shared stage where the region itself is not a SharedArrayBuffer (a mapping of
 * foreign memory is not). Phases are judged by `byteOffset`: the ArrayBuffer behind it begins at a multiple of 8.
 */
export class RegionMemory {
  readonly size: number;
  readonly segments: readonly ArrayBufferLike[];
  readonly #span: number;
  readonly #words: BigUint64Array[];
  readonly #bytes: Uint8Array[];
  readonly #word0: BigUint64Array;
  readonly #single: boolean;
  /** Where a copy whose ends differ in phase is staged. */
  readonly #stage = new Uint8Array(stageBytes + 8);
  /** Through this go copies from and to a region that is no SharedArrayBuffer. */
  readonly #sharedStage: Uint8Array | undefined;

  /** @throws `InvalidArgument` if there is no segment, or one is no multiple of 8 bytes or not as long as the first. */
  constructor(segments: readonly ArrayBufferLike[]) {
    const first = segments[0];
    if (first === undefined) throw new ExomemError('InvalidArgument', 'a region needs at least one segment');
    let size = 0;
    for (const [index, segment] of segments.entries()) {
      const wrong =
        index < segments.length - 1 ? segment.byteLength !== first.byteLength : segment.byteLength > first.byteLength;
      if (wrong || segment.byteLength % 8 !== 0 || segment.byteLength === 0) {
        throw new ExomemError('InvalidArgument', `segment ${index} has a length of ${segment.byteLength} bytes`);
      }
      size += segment.byteLength;
    }
    this.size = size;
    this.segments = segments;
    this.#span = first.byteLength;
    this.#words = segments.map((segment) => new BigUint64Array(segment));
    this.#bytes = segments.map((segment) => new Uint8Array(segment));
    this.#word0 = this.#words[0]!;
    this.#single = segments.length === 1;
    const plain = segments.some((segment) => !(segment instanceof SharedArrayBuffer));
    this.#sharedStage = plain ? new Uint8Array(new SharedArrayBuffer(stageBytes + 8)) : undefined;
  }

  load(offset: number): bigint {
    if (this.#single) return Atomics.load(this.#word0, offset / 8);
    const segment = Math.floor(offset / this.#span);
    return Atomics.load(this.#words[segment]!, (offset - segment * this.#span) / 8);
  }

  compareExchange(offset: number, expected: bigint, desired: bigint): bigint {
    if (this.#single) return Atomics.compareExchange(this.#word0, offset / 8, expected, desired);
    const segment = Math.floor(offset / this.#span);
    return Atomics.compareExchange(this.#words[segment]!, (offset - segment * this.#span) / 8, expected, desired);
  }

  fetchAdd(offset: number, delta: bigint): bigint {
    if (this.#single) return Atomics.add(this.#word0, offset / 8, delta);
    const segment = Math.floor(offset / this.#span);
    return Atomics.add(this.#words[segment]!, (offset - segment * this.#span) / 8, delta);
  }

  read(offset: number, target: Uint8Array): void {
    for (let at = 0; at < target.byteLength; ) {
      const segment = Math.floor((offset + at) / this.#span);
      const local = offset + at - segment * this.#span;
      const length = Math.min(target.byteLength - at, this.#span - local);
      const piece = length === target.byteLength ? target : target.subarray(at, at + length);
      const direct = ((local ^ piece.byteOffset) & 7) === 0 && this.#sharedStage === undefined;
      if (direct) piece.set(this.#bytes[segment]!.subarray(local, local + length));
      else this.#readStaged(this.#bytes[segment]!, local, piece);
      at += length;
    }
  }

  write(offset: number, source: Uint8Array): void {
    for (let at = 0; at < source.byteLength; ) {
      const segment = Math.floor((offset + at) / this.#span);
      const local = offset + at - segment * this.#span;
      const length = Math.min(source.byteLength - at, this.#span - local);
      const piece = length === source.byteLength ? source : source.subarray(at, at + length);
      const direct = ((local ^ piece.byteOffset) & 7) === 0 && this.#sharedStage === undefined;
      if (direct) this.#bytes[segment]!.set(piece, local);
      else this.#writeStaged(this.#bytes[segment]!, local, piece);
      at += length;
    }
  }

  /** @throws `Fragmented` where the range crosses from one segment to the next. */
  view(offset: number, length: number): Uint8Array {
    const segment = Math.min(Math.floor(offset / this.#span), this.segments.length - 1);
    const local = offset - segment * this.#span;
    if (local + length > this.#bytes[segment]!.byteLength) {
      throw new ExomemError('Fragmented', `${length} bytes at ${offset} lie in two segments of the region`, {
        advice: 'take `windows()`, which gives both pieces',
      });
    }
    return new Uint8Array(this.segments[segment]!, local, length);
  }

  /** {@link view}, one of each segment that the range reaches into. */
  windows(offset: number, length: number): Uint8Array[] {
    const windows: Uint8Array[] = [];
    for (const end = offset + length; offset < end; ) {
      const segment = Math.floor(offset / this.#span);
      const to = Math.min(end, (segment + 1) * this.#span);
      windows.push(this.view(offset, to - offset));
      offset = to;
    }
    return windows;
  }

  #readStaged(bytes: Uint8Array, local: number, target: Uint8Array): void {
    for (let at = 0; at < target.byteLength; ) {
      const length = Math.min(stageBytes, target.byteLength - at);
      const phase = (local + at) & 7;
      let from = bytes.subarray(local + at, local + at + length);
      if (this.#sharedStage !== undefined) from = refill(this.#sharedStage, phase, from);
      if (((phase ^ (target.byteOffset + at)) & 7) !== 0) from = refill(this.#stage, phase, from);
      target.set(from, at);
      at += length;
    }
  }

  #writeStaged(bytes: Uint8Array, local: number, source: Uint8Array): void {
    for (let at = 0; at < source.byteLength; ) {
      const length = Math.min(stageBytes, source.byteLength - at);
      const phase = (local + at) & 7;
      let from = source.subarray(at, at + length);
      if ((phase ^ (from.byteOffset & 7)) !== 0) from = refill(this.#stage, phase, from);
      if (this.#sharedStage !== undefined) from = refill(this.#sharedStage, phase, from);
      bytes.set(from, local + at);
      at += length;
    }
  }
}

/** Puts `bytes` into the stage at that phase, and answers where they lie now. */
function refill(stage: Uint8Array, phase: number, bytes: Uint8Array): Uint8Array {
  const part = stage.subarray(phase, phase + bytes.byteLength);
  part.set(bytes);
  return part;
}
