/** Groups that one summary stands for. */
const blockGroups = 1024;

/** Neighbouring groups: from `start` on, up to `end`, which is not one of them. */
export interface GroupRun {
  readonly start: number;
  readonly end: number;
}

/** What lies in a block: the free groups at its beginning, at its end, and in a row anywhere. */
class Block {
  prefix = 0;
  suffix = 0;
  best = 0;
  /** It has changed since it was counted. */
  stale = true;
}

/**
 * Which groups are free, and where many of them lie in a row. A long run is found by looking at one summary for a thousand
 * groups, so that a full region of a terabyte is searched in microseconds; and inside of those at 32 groups at a time.
 */
export class FreeRuns {
  readonly groups: number;
  /** A bit for each group, the first one lowest: whether it is free. */
  readonly #bits: Uint32Array;
  readonly #blocks: Block[];

  constructor(groups: number) {
    this.groups = groups;
    this.#bits = new Uint32Array(Math.ceil(groups / 32));
    this.#blocks = Array.from({ length: Math.ceil(groups / blockGroups) }, () => new Block());
  }

  /** How many there are. */
  count = 0;

  has(group: number): boolean {
    return ((this.#bits[group >>> 5]! >>> (group & 31)) & 1) === 1;
  }

  set(group: number, free: boolean): void {
    if (this.has(group) === free) return;
    this.#bits[group >>> 5]! ^= 1 << (group & 31);
    this.count += free ? 1 : -1;
    this.#blocks[(group / blockGroups) | 0]!.stale = true;
  }

  /** The first run of at least `length` free groups that begins at `from` or behind it, as long as it is. */
  next(length: number, from = 0): GroupRun | undefined {
    let start = -1;
    for (let group = Math.max(0, from); group < this.groups; ) {
      if (group % blockGroups === 0) {
        const block = this.#block(group / blockGroups);
        const size = Math.min(blockGroups, this.groups - group);
        if (block.best === size) {
          if (start < 0) start = group;
          group += size;
          continue;
        }
        const reached = start < 0 ? 0 : group - start + block.prefix;
        if (reached < length && block.best < length) {
          start = block.suffix > 0 ? group + size - block.suffix : -1;
          group += size;
          continue;
        }
      }
      // Here it lies, or the search began inside of a block: run by run up to the end of it.
      const end = Math.min(this.groups, (Math.floor(group / blockGroups) + 1) * blockGroups);
      while (group < end) {
        const free = start >= 0;
        group = this.#find(!free, group, end);
        if (group === end) break;
        if (free && group - start >= length) return { start, end: group };
        start = free ? -1 : group;
      }
    }
    return start >= 0 && this.groups - start >= length ? { start, end: this.groups } : undefined;
  }

  /** The last run of at least `length` free groups that ends at `before` or ahead of it, as long as it is. */
  previous(length: number, before = this.groups): GroupRun | undefined {
    let end = -1;
    for (let group = Math.min(this.groups, before) - 1; group >= 0; ) {
      const first = group - (group % blockGroups);
      if (group + 1 === Math.min(this.groups, first + blockGroups)) {
        const block = this.#block(first / blockGroups);
        const size = group + 1 - first;
        if (block.best === size) {
          if (end < 0) end = group + 1;
          group = first - 1;
          continue;
        }
        const reached = end < 0 ? 0 : end - group - 1 + block.suffix;
        if (reached < length && block.best < length) {
          end = block.prefix > 0 ? first + block.prefix : -1;
          group = first - 1;
          continue;
        }
      }
      while (group >= first) {
        const free = end >= 0;
        group = this.#findBack(!free, group, first);
        if (group < first) break;
        if (free && end - group - 1 >= length) return { start: group + 1, end };
        end = free ? -1 : group + 1;
      }
    }
    return end >= length && end > 0 ? { start: 0, end } : undefined;
  }

  /** The first group from there on, ahead of `end`, that is free, or is not; else `end`. */
  #find(free: boolean, group: number, end: number): number {
    const flip = free ? 0 : -1;
    let word = group >>> 5;
    const last = (end - 1) >>> 5;
    let bits = (this.#bits[word]! ^ flip) & (-1 << (group & 31));
    while (bits === 0 && word < last) bits = this.#bits[++word]! ^ flip;
    // The lowest bit that is set.
    return bits === 0 ? end : Math.min(end, word * 32 + 31 - Math.clz32(bits & -bits));
  }

  /** The last group up to that one, not ahead of `first`, that is free, or is not; else the one ahead of `first`. */
  #findBack(free: boolean, group: number, first: number): number {
    const flip = free ? 0 : -1;
    let word = group >>> 5;
    const last = first >>> 5;
    let bits = (this.#bits[word]! ^ flip) & (-1 >>> (31 - (group & 31)));
    while (bits === 0 && word > last) bits = this.#bits[--word]! ^ flip;
    return bits === 0 ? first - 1 : Math.max(first - 1, word * 32 + 31 - Math.clz32(bits));
  }

  #block(at: number): Block {
    const block = this.#blocks[at]!;
    if (!block.stale) return block;
    const first = at * blockGroups;
    const end = Math.min(this.groups, first + blockGroups);
    block.prefix = this.#find(false, first, end) - first;
    block.suffix = end - 1 - this.#findBack(false, end - 1, first);
    block.best = 0;
    for (let start = this.#find(true, first, end); start < end; ) {
      const used = this.#find(false, start, end);
      if (used - start > block.best) block.best = used - start;
      start = used === end ? end : this.#find(true, used, end);
    }
    block.stale = false;
    return block;
  }
}
