import { type Protocol, pause } from '../protocol/protocol.js';
import { pageBits, repeatBits } from '../region/words.js';
import type { GroupTable, OwnedGroup } from './group-table.js';
import { clearAll } from './initialisation.js';
import type { OwnWords } from './own-words.js';
import { type TableReading, tableChunk } from './reading.js';
import { interrupted } from './resolve.js';
import { allMask, pagesWith, runMask, setMask } from './run-bits.js';

/** Bytes of free groups that are taken at once. Whoever looks for room meanwhile finds so much less. */
const takenBytes = 1024 * 1024;

/** Zeroes pages that nobody uses, before somebody asks for them. */
export class Cleaning {
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #reading: TableReading;
  readonly #groupPages: number;
  /** Where the last call has stopped looking. */
  #next = 0;
  /** A call is under way: the next one waits, since it goes on where that one stops. */
  #busy = false;

  constructor(words: OwnWords, reading: TableReading) {
    this.#words = words;
    this.#table = words.table;
    this.#reading = reading;
    this.#groupPages = words.geometry.groupPages;
  }

  *clean(pages: number): Protocol<number> {
    while (this.#busy) yield pause(2);
    this.#busy = true;
    try {
      return yield* this.#clean(pages);
    } finally {
      this.#busy = false;
    }
  }

  *#clean(pages: number): Protocol<number> {
    const words = this.#words;
    const { groups } = this.#table;
    if (words.trouble) yield* words.repair();
    let cleaned = yield* this.#cleanOwn(pages);
    if (cleaned >= pages) return cleaned;
    if (this.#next >= groups) this.#next = 0;
    const start = this.#next;
    const table = yield* this.#reading.read(start, Math.min(tableChunk, groups - start));
    const end = start + table.length / 2;
    while (this.#next < end && cleaned < pages) {
      const first = this.#next;
      const most = Math.ceil(Math.min(pages - cleaned, takenBytes / words.geometry.pageSize) / this.#groupPages);
      const count = this.#dirtyRun(table, start, end, Math.max(1, most));
      if (count === 0) this.#next++;
      else cleaned += yield* this.#cleanRun(first, count, table.subarray(2 * (first - start)));
    }
    return cleaned;
  }

  /** How many groups from the next one on belong to nobody and have pages that may not be zero; `most` at most. */
  #dirtyRun(table: Uint32Array, start: number, end: number, most: number): number {
    const clean = repeatBits(this.#groupPages, pageBits.clean);
    let group = this.#next;
    for (; group < end && group - this.#next < most; group++) {
      const at = 2 * (group - start);
      if (table[at + 1] !== 0 || table[at] === clean || this.#table.knows(group)) break;
    }
    return group - this.#next;
  }

  /**
   * Claims a run of groups, whose pages are withheld then, zeroes what is not zero, and gives them back with that written
   * down: in that order. Whoever dies in between leaves withheld pages without a name. How many pages.
   */
  *#cleanRun(first: number, count: number, before: Uint32Array): Protocol<number> {
    const words = this.#words;
    const groupPages = this.#groupPages;
    const all = 2 ** groupPages - 1;
    const lows = new Uint32Array(count).fill(runMask(0, groupPages));
    const owned = yield* words.claimRun({
      first,
      before: Uint32Array.from(lows, (_, at) => before[2 * at]!),
      lows,
      commit: undefined,
    });
    // The next one is taken, or was given out a moment ago.
    this.#next = first + Math.max(1, owned.length);
    let zeroed = 0;
    let done = false;
    for (const one of owned) {
      one.busy = true;
      one.constructing = all;
    }
    try {
      zeroed = yield* this.#zero(owned);
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      for (const one of owned) {
        one.busy = false;
        one.constructing = 0;
        if (!done) words.owe(one, allMask, 0);
      }
    }
    if (!done) yield* words.repair();
    else yield* words.changeAll(owned.reverse().map((one) => ({ owned: one, mask: allMask, bits: 0 })));
    return zeroed;
  }

  /** Free pages of own groups, which are withheld meanwhile like those of free ones. */
  *#cleanOwn(most: number): Protocol<number> {
    const words = this.#words;
    let cleaned = 0;
    for (const owned of [...this.#table.owned.values()]) {
      if (cleaned >= most) break;
      if (owned.busy || owned.doubt || this.#table.owned.get(owned.group) !== owned) continue;
      const free = pagesWith(owned.low, 0, this.#groupPages);
      if ((free & ~owned.clean) === 0) continue;
      const mask = setMask(free);
      let done = false;
      owned.busy = true;
      owned.constructing |= free;
      this.#table.rank(owned);
      try {
        // All that is free: a word with room and a withheld page beside it would look given.
        yield* words.claimOwn(owned, (owned.low | mask) >>> 0);
        cleaned += yield* this.#zero([owned], free);
        done = true;
      } catch (error) {
        if (!interrupted(error)) throw error;
      } finally {
        owned.busy = false;
        owned.constructing &= ~free;
        if (!done) words.owe(owned, mask, 0);
        this.#table.rank(owned);
      }
      if (done) yield* words.change(owned, mask, 0);
      else yield* words.repair();
    }
    return cleaned;
  }

  /** Zeroes those of these pages (default: all) that may not be zero, and keeps in mind that they are. How many. */
  *#zero(groups: readonly OwnedGroup[], set = 2 ** this.#groupPages - 1): Protocol<number> {
    const runs: { page: number; pages: number }[] = [];
    for (const { group, clean } of groups) {
      for (let index = 0; index < this.#groupPages; index++) {
        if ((set & ~clean & (1 << index)) !== 0) runs.push({ page: group * this.#groupPages + index, pages: 1 });
      }
    }
    yield* clearAll(this.#words.geometry, runs);
    for (const owned of groups) {
      owned.clean |= set;
      owned.mine |= set;
    }
    return runs.length;
  }
}
