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
 * groups, so that a full region of a terabyte is searched in microseconds.
 */
export class FreeRuns {
  readonly groups: number;
  readonly #free: Uint8Array;
  readonly #blocks: Block[];

  constructor(groups: number) {
    this.groups = groups;
    this.#free = new Uint8Array(groups);
    this.#blocks = Array.from({ length: Math.ceil(groups / blockGroups) }, () => new Block());
  }

  /** How many there are. */
  count = 0;

  has(group: number): boolean {
    return this.#free[group] === 1;
  }

  set(group: number, free: boolean): void {
    const value = free ? 1 : 0;
    if (this.#free[group] === value) return;
    this.#free[group] = value;
    this.count += free ? 1 : -1;
    this.#blocks[Math.floor(group / blockGroups)]!.stale = true;
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
      // Here it lies, or the search began inside of a block: group by group up to the end of it.
      const end = Math.min(this.groups, (Math.floor(group / blockGroups) + 1) * blockGroups);
      for (; group < end; group++) {
        if (this.#free[group] === 1) {
          if (start < 0) start = group;
          continue;
        }
        if (start >= 0 && group - start >= length) return { start, end: group };
        start = -1;
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
      for (; group >= first; group--) {
        if (this.#free[group] === 1) {
          if (end < 0) end = group + 1;
          continue;
        }
        if (end >= 0 && end - group - 1 >= length) return { start: group + 1, end };
        end = -1;
      }
    }
    return end >= length && end > 0 ? { start: 0, end } : undefined;
  }

  #block(at: number): Block {
    const block = this.#blocks[at]!;
    if (!block.stale) return block;
    const first = at * blockGroups;
    const end = Math.min(this.groups, first + blockGroups);
    let run = 0;
    block.prefix = -1;
    block.best = 0;
    for (let group = first; group < end; group++) {
      if (this.#free[group] === 1) {
        run++;
        if (run > block.best) block.best = run;
      } else {
        if (block.prefix < 0) block.prefix = run;
        run = 0;
      }
    }
    if (block.prefix < 0) block.prefix = run;
    block.suffix = run;
    block.stale = false;
    return block;
  }
}
