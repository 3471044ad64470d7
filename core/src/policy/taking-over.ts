import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { batch, pause } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { principalWordOffset } from '../region/geometry.js';
import { decodePrincipal, joinWord, lowHalf, ownerHalf, pageBits, principalState } from '../region/words.js';
import type { BatchAnswer } from '../transport/step.js';
import { compareExchange, load } from '../transport/step.js';
import type { GroupTable } from './group-table.js';
import { batchWords, type OwnWords } from './own-words.js';
import type { Identity } from './policy.js';
import { type TableReading, tableChunk } from './reading.js';
import { fenced, interrupted, loadSurely } from './resolve.js';
import { pagesWith, setMask } from './run-bits.js';

/** Words of other owners that become ours. */
export class TakingOver {
  readonly #geometry: Geometry;
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #reading: TableReading;

  constructor(words: OwnWords, reading: TableReading) {
    this.#geometry = words.geometry;
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#reading = reading;
  }

  *merge(from: Identity): Protocol<number> {
    const fromHigh = ownerHalf(from.principal, from.incarnation);
    return yield* this.#takeOver({
      principal: from.principal,
      matches: (high) => high === fromHigh,
      keep: (low) => low,
      check: (word) => {
        if (word !== from.word) throw fenced(`principal ${from.principal} is no longer ours`);
      },
    });
  }

  *inherit({ principal, incarnation, word: own }: Identity): Protocol<number> {
    return yield* this.#takeOver({
      principal,
      matches: (high) => high >>> 16 === principal && (high & 0xffff) < incarnation,
      keep: (low) => low,
      check: (word) => {
        if (word !== own) throw fenced(`principal ${principal} is acted for by another client`);
      },
    });
  }

  *recover({ principal, incarnation }: { principal: number; incarnation: number }): Protocol<number> {
    return yield* this.#takeOver({
      principal,
      matches: (high) => high >>> 16 === principal && (high & 0xffff) <= incarnation,
      // Anonymous pages die with their owner; of withheld ones the log must tell.
      keep: (low) => setMask(pagesWith(low, pageBits.withheld, this.#groupPages)),
      check: (word) => {
        if (isDead(word, incarnation)) return;
        throw new ExomemError('Busy', `principal ${principal} is alive in incarnation ${incarnation}`);
      },
    });
  }

  /** Re-tags the words of another owner, as far as `keep` leaves pages in them; the others become free. */
  *#takeOver(take: TakeOver): Protocol<number> {
    const words = this.#words;
    const groups = this.#table.groups;
    let moved = 0;
    if (words.trouble) yield* words.repair();
    for (let start = 0; start < groups; start += tableChunk) {
      const count = Math.min(tableChunk, groups - start);
      for (let more = true; more; ) {
        const table = yield* this.#reading.read(start, count);
        // The right to change a word is looked at after the word was read (R3).
        take.check(yield* loadSurely(load(principalWordOffset(this.#geometry, take.principal))));
        const before = moved;
        const left = yield* this.#retag(table, start, take);
        moved += left.moved;
        more = left.more || moved > before;
      }
    }
    words.checkPrincipal(yield* loadSurely(words.fence));
    return moved;
  }

  /** Takes over the words that a reading of the table showed. Whether it must be read again. */
  *#retag(table: Uint32Array, start: number, take: TakeOver): Protocol<{ moved: number; more: boolean }> {
    const { high } = this.#words;
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let at = 0; at < table.length / 2; at++) {
      const owner = table[2 * at + 1]!;
      if (owner === high) {
        if (!this.#table.knows(start + at)) ours.push(start + at);
      } else if (take.matches(owner)) {
        theirs.push(start + at);
      }
    }
    let moved = yield* this.#reading.adopt(ours);
    // The right to these words was looked at after they were read, and who is dead stays dead.
    for (let at = 0; at < theirs.length; at += batchWords) {
      const groups = theirs.slice(at, at + batchWords);
      const count = yield* this.#retagBatch(groups, table, start, take);
      if (count < 0) return { moved, more: true };
      moved += count;
    }
    return { moved, more: theirs.length > 0 };
  }

  /** How many of these words are ours or free now; -1 if that was left to be found out by another reading. */
  *#retagBatch(groups: readonly number[], table: Uint32Array, start: number, take: TakeOver): Protocol<number> {
    if (groups.some((group) => this.#table.knows(group))) {
      // What we know of it is not settled yet: it must end before the word becomes ours in another way.
      yield pause(0);
      return -1;
    }
    const { high } = this.#words;
    const steps = groups.map((group) => {
      const [low, theirs] = [table[2 * (group - start)]!, table[2 * (group - start) + 1]!];
      const kept = take.keep(low);
      const desired = kept === 0 ? 0n : joinWord(high, kept);
      return compareExchange(this.#words.offset(group), joinWord(theirs, low), desired);
    });
    let moved = 0;
    let known = false;
    try {
      const answer = (yield batch([...steps, this.#words.fence])) as BatchAnswer;
      known = true;
      for (const [at, group] of groups.entries()) {
        const { expected, desired } = steps[at]!;
        if (answer[at] !== expected) continue;
        moved++;
        if (this.#table.knows(group)) continue;
        if (desired === 0n) this.#table.observe(group, 0, 0);
        else this.#table.rank(this.#table.own(group, lowHalf(desired)));
      }
      this.#words.checkPrincipal(answer.at(-1));
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      if (!known) this.#words.mayHaveTaken(groups);
    }
    if (known) return moved;
    yield* this.#words.repair();
    return -1;
  }
}

/** What is taken over of another owner's words, and how. */
interface TakeOver {
  readonly principal: number;
  readonly matches: (high: number) => boolean;
  /** The low half that a word keeps; 0 sets the group free. */
  readonly keep: (low: number) => number;
  /** Throws unless the principal's word still gives the right to it. */
  readonly check: (word: bigint) => void;
}

/** Whether words of that incarnation belong to nobody alive, by the principal's word. */
function isDead(word: bigint, incarnation: number): boolean {
  const principal = decodePrincipal(word);
  switch (principal.state) {
    case principalState.free:
    case principalState.dying:
      return incarnation <= principal.incarnation;
    case principalState.adopting:
      return false;
    default:
      return incarnation < principal.incarnation;
  }
}
