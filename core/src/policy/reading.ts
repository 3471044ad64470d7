import type { Protocol } from '../protocol/protocol.js';
import { batch } from '../protocol/protocol.js';
import { groupWordOffset } from '../region/geometry.js';
import type { BatchAnswer } from '../transport/step.js';
import { read } from '../transport/step.js';
import type { OwnWords } from './own-words.js';
import { retried, surely } from './resolve.js';

/** Group words that one read of the table fetches. */
export const tableChunk = 65_536;

/** The table of group words as one reads it, and what an allocator learns from that. */
export class TableReading {
  readonly #words: OwnWords;

  constructor(words: OwnWords) {
    this.#words = words;
  }

  /** Group words from `start` on, as two 32-bit halves each, low first. */
  *read(start: number, count: number): Protocol<Uint32Array> {
    const words = new Uint32Array(2 * count);
    const step = read(groupWordOffset(this.#words.geometry, start), new Uint8Array(words.buffer));
    yield* retried(function* () {
      yield step;
    });
    return words;
  }

  /** The words from `start` to the end of the table, at most a chunk, and behind them, in the same round trip, the own principal. */
  *#readLast(start: number): Protocol<{ words: Uint32Array; principal: bigint }> {
    const words = new Uint32Array(2 * (this.#words.table.groups - start));
    const step = read(groupWordOffset(this.#words.geometry, start), new Uint8Array(words.buffer));
    const answer = (yield* surely(batch([step, this.#words.fence]))) as BatchAnswer;
    return { words, principal: answer[1] as bigint };
  }

  /**
   * Reads all words, and takes into account what they say. Answers a digest of it.
   * @param fenced whether to look at the own principal behind them: what they showed was ours then @throws `Fenced`
   */
  *scan(fenced = false): Protocol<number> {
    const { table, high } = this.#words;
    let one = 0;
    let two = 0;
    for (let start = 0; start < table.groups; start += tableChunk) {
      const { disowned } = table;
      let words: Uint32Array;
      if (fenced && start + tableChunk >= table.groups) {
        const last = yield* this.#readLast(start);
        words = last.words;
        this.#words.checkPrincipal(last.principal);
      } else {
        words = yield* this.read(start, Math.min(tableChunk, table.groups - start));
      }
      const ours: number[] = [];
      for (let at = 0; at < words.length / 2; at++) {
        const [low, owner] = [words[2 * at]!, words[2 * at + 1]!];
        one = stir(stir(one, low, 0x9e37_79b1), owner, 0x9e37_79b1);
        two = stir(stir(two, low, 0x85eb_ca6b), owner, 0x85eb_ca6b);
        if (owner === high && !table.knows(start + at)) ours.push(start + at);
        else table.observe(start + at, owner, low);
      }
      if (table.disowned !== disowned) yield* this.adopt(ours);
      // No release of our own can have overtaken that reading: a lane's steps take effect in order.
      else for (const group of ours) table.rank(table.own(group, words[2 * (group - start)]!));
    }
    return (two & 0x1f_ffff) * 2 ** 32 + (one >>> 0);
  }

  /**
   * Reads some words about a group, and takes into account what they say of others: who has come too late several times
   * in a row knows that what it believes is old, and need not try each group to learn that.
   */
  *look(group: number, count: number): Protocol<void> {
    const { table } = this.#words;
    const start = Math.max(0, Math.min(group - (count >>> 1), table.groups - count));
    const words = yield* this.read(start, Math.min(count, table.groups));
    for (let at = 0; at < words.length / 2; at++) table.observe(start + at, words[2 * at + 1]!, words[2 * at]!);
  }

  /** A reading of the table shows these as ours, ascending, and we do not know them. How many came to us. */
  *adopt(groups: readonly number[]): Protocol<number> {
    const { table } = this.#words;
    const [first] = groups;
    if (first === undefined) return 0;
    // A release of our own may have overtaken that reading: look again.
    const words = yield* this.read(first, groups.at(-1)! - first + 1);
    let came = 0;
    for (const group of groups) {
      const [low, high] = [words[2 * (group - first)]!, words[2 * (group - first) + 1]!];
      if (high === this.#words.high && !table.knows(group)) {
        table.rank(table.own(group, low));
        came++;
      } else {
        table.observe(group, high, low);
      }
    }
    return came;
  }
}

function stir(digest: number, word: number, odd: number): number {
  const mixed = Math.imul(digest ^ word, odd);
  return mixed ^ (mixed >>> 15);
}
