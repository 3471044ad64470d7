import { ExomemError } from '@exomem/core';
import { Rows } from './rows.js';

/** Bytes that are kept as one. */
const chunkBytes = 64;
const pageBytes = 4096;

/** A part of a region whose contents have a number of their own. */
interface Section {
  readonly from: number;
  readonly to: number;
  readonly chunk: number;
  /** Its chunks are the leaves of a tree of that depth. */
  readonly depth: number;
}

/**
 * All contents that a small region has had: each of them is a number, equal if the bytes are. What differs between two of
 * them is kept, not the whole: a region is a row of sections, a section a tree of chunks, and each of these is kept once.
 */
export class Moments {
  readonly size: number;
  readonly sections: readonly Section[];
  readonly #regions: Rows;
  readonly #pairs = new Rows(2, 1 << 14);
  readonly #chunks: Uint8Array[] = [];
  readonly #words: (BigUint64Array | undefined)[] = [];
  readonly #chunkNumbers = new Map<string, number>();
  readonly #wordNumbers = new Map<bigint, number>();
  readonly #stores = new Map<number, number>();
  readonly #pieces = new Map<string, number>();
  readonly #writes = new Map<number, number>();
  readonly #sectionOf: Uint8Array;
  readonly #row: Uint32Array;
  readonly #pair = new Uint32Array(2);

  /**
   * @param bounds where sections begin, ascending, multiples of 64; the first begins at 0
   * @param pagesFrom sections from here on hold whole pages
   */
  constructor(size: number, bounds: readonly number[] = [], pagesFrom = size) {
    this.size = size;
    const starts = [...new Set([0, ...bounds])].filter((at) => at < size).sort((one, other) => one - other);
    this.sections = starts.map((from, at) => {
      const to = starts[at + 1] ?? size;
      const chunk = from >= pagesFrom ? pageBytes : chunkBytes;
      if (from % chunkBytes !== 0) throw new ExomemError('Unaligned', `a section cannot begin at ${from}`);
      return { from, to, chunk, depth: Math.ceil(Math.log2(Math.max(1, Math.ceil((to - from) / chunk)))) };
    });
    this.#sectionOf = new Uint8Array(Math.ceil(size / chunkBytes));
    for (const [at, { from, to }] of this.sections.entries()) {
      this.#sectionOf.fill(at, from / chunkBytes, Math.ceil(to / chunkBytes));
    }
    this.#regions = new Rows(this.sections.length);
    this.#row = new Uint32Array(this.sections.length);
  }

  /** Different contents so far. */
  get count(): number {
    return this.#regions.count;
  }
  get bytes(): number {
    return this.#regions.bytes + this.#pairs.bytes;
  }

  /** The number of what a region holds. */
  take(bytes: Uint8Array): number {
    const row = new Uint32Array(this.sections.length);
    for (const [at, { from, to, chunk, depth }] of this.sections.entries()) {
      let level: number[] = [];
      for (let leaf = 0; leaf < 1 << depth; leaf++) {
        const start = from + leaf * chunk;
        const piece = new Uint8Array(chunk);
        if (start < to) piece.set(bytes.subarray(start, Math.min(start + chunk, to)));
        level.push(this.#chunk(piece));
      }
      while (level.length > 1) {
        const above: number[] = [];
        for (let one = 0; one < level.length; one += 2) above.push(this.#pairs.intern([level[one]!, level[one + 1]!]));
        level = above;
      }
      row[at] = level[0]!;
    }
    return this.#regions.intern(row);
  }

  /** Puts those contents where they were. */
  restore(region: number, target: Uint8Array): void {
    for (const [at, { from, to, chunk }] of this.sections.entries()) {
      const tree = this.#regions.at(region, at);
      for (let start = from; start < to; start += chunk) {
        const content = this.#chunks[this.#leaf(tree, at, (start - from) / chunk)]!;
        target.set(content.subarray(0, Math.min(chunk, to - start)), start);
      }
    }
  }

  /** The number of what a section holds. */
  section(region: number, section: number): number {
    return this.#regions.at(region, section);
  }
  /** The section that an offset lies in. */
  sectionAt(offset: number): number {
    return this.#sectionOf[offset >>> 6]!;
  }

  load(region: number, offset: number): bigint {
    this.#check(offset, 8);
    if (offset % 8 !== 0) throw new ExomemError('Unaligned', `a word cannot lie at ${offset}`);
    const at = this.#sectionOf[offset >>> 6]!;
    const { from, chunk } = this.sections[at]!;
    const leaf = Math.floor((offset - from) / chunk);
    const words = this.#wordsOf(this.#leaf(this.#regions.at(region, at), at, leaf));
    return words[(offset - from - leaf * chunk) >>> 3]!;
  }

  /** What the region holds after that word was stored. */
  store(region: number, offset: number, word: bigint): number {
    this.#check(offset, 8);
    const at = this.#sectionOf[offset >>> 6]!;
    const { from, chunk, depth } = this.sections[at]!;
    const leaf = Math.floor((offset - from) / chunk);
    const tree = this.#regions.at(region, at);
    const before = this.#leaf(tree, at, leaf);
    const index = (offset - from - leaf * chunk) >>> 3;
    const key = (before * 512 + index) * 0x20_0000 + this.word(word);
    let after = this.#stores.get(key);
    if (after === undefined) {
      const bytes = this.#chunks[before]!.slice();
      new BigUint64Array(bytes.buffer)[index] = word;
      after = this.#chunk(bytes);
      this.#stores.set(key, after);
    }
    return after === before ? region : this.#with(region, at, this.#graft(tree, depth, leaf, after));
  }

  /** What the region holds after these bytes were written. */
  write(region: number, offset: number, bytes: Uint8Array): number {
    this.#check(offset, bytes.byteLength);
    let now = region;
    for (let done = 0; done < bytes.byteLength; ) {
      const at = this.#sectionOf[(offset + done) >>> 6]!;
      const { from, to, chunk, depth } = this.sections[at]!;
      const leaf = Math.floor((offset + done - from) / chunk);
      const start = from + leaf * chunk;
      const skip = offset + done - start;
      const length = Math.min(chunk - skip, bytes.byteLength - done, to - start - skip);
      const tree = this.#regions.at(now, at);
      const before = this.#leaf(tree, at, leaf);
      const after = this.#overwrite(before, skip, bytes.subarray(done, done + length));
      if (after !== before) now = this.#with(now, at, this.#graft(tree, depth, leaf, after));
      done += length;
    }
    return now;
  }

  read(region: number, offset: number, target: Uint8Array): void {
    this.#check(offset, target.byteLength);
    for (let done = 0; done < target.byteLength; ) {
      const at = this.#sectionOf[(offset + done) >>> 6]!;
      const { from, to, chunk } = this.sections[at]!;
      const leaf = Math.floor((offset + done - from) / chunk);
      const start = from + leaf * chunk;
      const skip = offset + done - start;
      const length = Math.min(chunk - skip, target.byteLength - done, to - start - skip);
      const content = this.#chunks[this.#leaf(this.#regions.at(region, at), at, leaf)]!;
      if (length === content.byteLength) target.set(content, done);
      else for (let one = 0; one < length; one++) target[done + one] = content[skip + one]!;
      done += length;
    }
  }

  /** A name for the bytes of that range: the same for the same bytes, if it covers whole chunks or a part of one. */
  sight(region: number, offset: number, length: number): number | string {
    this.#check(offset, length);
    const at = this.#sectionOf[offset >>> 6]!;
    const { from, chunk } = this.sections[at]!;
    const tree = this.#regions.at(region, at);
    const first = Math.floor((offset - from) / chunk);
    if (length === chunk && (offset - from) % chunk === 0) return this.#leaf(tree, at, first);
    if ((offset - from) % chunk === 0 && length % chunk === 0 && offset + length <= this.sections[at]!.to) {
      let name = 'c';
      for (let leaf = first; leaf < first + length / chunk; leaf++) name += `${this.#leaf(tree, at, leaf)},`;
      return name;
    }
    const bytes = Buffer.alloc(length);
    this.read(region, offset, bytes);
    return bytes.toString('latin1');
  }

  /** The number of a word. */
  word(word: bigint): number {
    let number = this.#wordNumbers.get(word);
    if (number === undefined) {
      number = this.#wordNumbers.size;
      this.#wordNumbers.set(word, number);
    }
    return number;
  }

  #leaf(tree: number, section: number, leaf: number): number {
    let node = tree;
    for (let level = this.sections[section]!.depth - 1; level >= 0; level--) {
      node = this.#pairs.at(node, (leaf >>> level) & 1);
    }
    return node;
  }

  /** The tree with another leaf. */
  #graft(tree: number, depth: number, leaf: number, chunk: number): number {
    if (depth === 0) return chunk;
    const right = (leaf >>> (depth - 1)) & 1;
    const one = this.#graft(this.#pairs.at(tree, right), depth - 1, leaf, chunk);
    const other = this.#pairs.at(tree, 1 - right);
    this.#pair[right] = one;
    this.#pair[1 - right] = other;
    return this.#pairs.intern(this.#pair);
  }

  /** The number of a chunk with other bytes in it. */
  #overwrite(chunk: number, skip: number, bytes: Uint8Array): number {
    const key = (chunk * 4096 + skip) * 0x10_0000 + this.#piece(bytes);
    let after = this.#writes.get(key);
    if (after === undefined) {
      const content = this.#chunks[chunk]!.slice();
      content.set(bytes, skip);
      after = this.#chunk(content);
      this.#writes.set(key, after);
    }
    return after;
  }

  /** The number of bytes that are written. */
  #piece(bytes: Uint8Array): number {
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    let number = this.#pieces.get(text);
    if (number === undefined) {
      number = this.#pieces.size;
      this.#pieces.set(text, number);
    }
    return number;
  }

  #with(region: number, section: number, tree: number): number {
    this.#regions.read(region, this.#row);
    this.#row[section] = tree;
    return this.#regions.intern(this.#row);
  }

  #chunk(bytes: Uint8Array): number {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    let number = this.#chunkNumbers.get(key);
    if (number === undefined) {
      number = this.#chunks.length;
      this.#chunks.push(bytes);
      this.#words.push(undefined);
      this.#chunkNumbers.set(key, number);
    }
    return number;
  }

  #wordsOf(chunk: number): BigUint64Array {
    let words = this.#words[chunk];
    if (words === undefined) {
      const bytes = this.#chunks[chunk]!;
      words = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
      this.#words[chunk] = words;
    }
    return words;
  }

  #check(offset: number, length: number): void {
    if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= this.size) return;
    throw new ExomemError('OutOfRange', `${length} bytes at ${offset} lie beyond the region's ${this.size}`);
  }
}
