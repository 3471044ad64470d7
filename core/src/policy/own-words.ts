import { ExomemError } from '../errors.js';
import type { BatchStep, Protocol } from '../protocol/protocol.js';
import { batch, pause } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { groupWordOffset, principalWordOffset } from '../region/geometry.js';
import { highHalf, joinWord, lowHalf, ownerHalf } from '../region/words.js';
import type { BatchAnswer, notRun, StepAnswer, WordStep } from '../transport/step.js';
import { compareExchange, load } from '../transport/step.js';
import { GroupTable, looksGiven, type OwnedGroup } from './group-table.js';
import { clearAll } from './initialisation.js';
import type { PolicyContext } from './policy.js';
import { fenced, interrupted, loadSurely, reloadWords } from './resolve.js';
import { allMask, runBits, runMask } from './run-bits.js';

/** Words that one batch changes. */
export const batchWords = 1024;
/** How often a repair that was interrupted begins again. */
const repairAttempts = 8;
const headMask = runMask(0, 1);

/** What becomes of an own word: the bits of `mask` become `bits`. A group without a page in use is given up. */
export interface WordChange {
  readonly owned: OwnedGroup;
  readonly mask: number;
  readonly bits: number;
}

/** Groups that a long run takes, from `first` on: the low halves they must have, and those they get. */
export interface Run {
  readonly first: number;
  readonly before: Uint32Array;
  readonly lows: Uint32Array;
  /** The low half of the first group that commits the run, if it can be committed as soon as all is claimed. */
  readonly commit: number | undefined;
}

/**
 * Group words as the one agent that acts for a principal changes them: by compareExchange, one unsettled step a word
 * (R7). When the fate of a step is unknown its words are *in doubt*: nothing else touches them until `repair` has read
 * them over a new epoch and brought them to what they have to be. An operation that can go on repairs at once; one that
 * was aborted, or has no way back to the region, leaves that to the next.
 */
export class OwnWords {
  readonly table: GroupTable;
  /** The high half of every own word. */
  readonly high: number;
  /** Reads the own principal word: the end of each batch that claims, so that no fenced client hands anything out (R4). */
  readonly fence: WordStep;
  /** Something is in doubt, or we were fenced: `repair` is due. */
  trouble = false;
  readonly geometry: Geometry;
  /** Pages are zeroed before they cease to be in use. */
  readonly wipes: boolean;
  /** A batch can stop at its first failure. */
  readonly stops: boolean;
  /** Whose words they are. */
  readonly principal: number;
  readonly #principalWord: bigint;
  /** Groups that we may have claimed and must not keep. They stay among `table.claiming`. */
  readonly #doubtful = new Set<number>();
  /** Groups that a take-over may have made ours. */
  readonly #taken = new Set<number>();
  #repairing = false;
  #fenced = false;

  constructor({ geometry, identity, wipe = false, stopOnFail = true }: PolicyContext) {
    this.stops = stopOnFail;
    this.geometry = geometry;
    this.wipes = wipe;
    this.principal = identity.principal;
    this.#principalWord = identity.word;
    this.table = new GroupTable(geometry);
    this.high = ownerHalf(identity.principal, identity.incarnation);
    this.fence = load(principalWordOffset(geometry, identity.principal));
  }

  /** From now on somebody else acts for this principal. */
  retire(): void {
    this.#fenced = true;
    this.trouble = true;
  }
  get retired(): boolean {
    return this.#fenced;
  }

  /** Whether no group is ours, nor may be. */
  get none(): boolean {
    return this.table.owned.size === 0 && this.#doubtful.size === 0 && this.#taken.size === 0;
  }

  /** Whether what we know of a group's word is certain. */
  settled(group: number): boolean {
    const owned = this.table.owned.get(group);
    if (this.table.claiming.has(group) || this.#taken.has(group)) return false;
    return owned?.busy !== true && owned?.doubt !== true;
  }

  offset(group: number): number {
    return groupWordOffset(this.geometry, group);
  }

  /** @throws `Fenced` unless the principal word is what it was when we began. */
  checkPrincipal(word: StepAnswer | typeof notRun): void {
    if (word === this.#principalWord) return;
    this.#fenced = true;
    this.trouble = true;
    throw fenced('another client took over this principal');
  }

  /** An own word shows something that we did not write: the only honest reason is that we were declared dead. */
  *lost(group: number): Protocol<never> {
    this.checkPrincipal(yield* loadSurely(this.fence));
    const word = yield* loadSurely(load(this.offset(group)));
    throw new ExomemError(
      'Damaged',
      `the word of group ${group} is 0x${word.toString(16)}: one who does not own it changed it`,
    );
  }

  /** The owned group, as soon as no other operation of ours is at its word. @throws `StaleHandle` if it is not ours. */
  *await(group: number): Protocol<OwnedGroup> {
    for (;;) {
      const owned = this.table.owned.get(group);
      if (owned === undefined) throw new ExomemError('StaleHandle', `group ${group} is no longer ours`);
      if (owned.doubt) yield* this.repair();
      else if (!owned.busy) return owned;
      yield pause(0);
    }
  }

  /** The same, if that is just now. */
  ready(group: number): OwnedGroup | undefined {
    const owned = this.table.owned.get(group);
    return owned === undefined || owned.busy || owned.doubt ? undefined : owned;
  }

  /** All of them at one moment: whoever waits holds nothing. */
  *awaitAll(groups: readonly number[]): Protocol<OwnedGroup[]> {
    for (;;) {
      const all: OwnedGroup[] = [];
      for (const group of groups) all.push(this.ready(group) ?? (yield* this.await(group)));
      if (all.every((owned) => !owned.busy && !owned.doubt && this.table.owned.get(owned.group) === owned)) return all;
    }
  }

  // ---- claims

  /**
   * Claims a group that nobody seems to own: `before` is the low half that it must have, `low` what it gets. Undefined:
   * it is not ours, or of no use.
   */
  *claimFree(group: number, before: number, low: number): Protocol<OwnedGroup | undefined> {
    const { table } = this;
    const expected = joinWord(0, before);
    const claim = compareExchange(this.offset(group), expected, joinWord(this.high, low));
    let found: bigint | undefined;
    table.claim(group);
    try {
      const answer = (yield batch([claim, this.fence])) as BatchAnswer;
      this.checkPrincipal(answer[1]);
      found = answer[0] as bigint;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      if (found === undefined) this.mayHaveClaimed(group);
      else table.claiming.delete(group);
    }
    if (found === undefined) yield* this.repair();
    else if (found === expected) return table.own(group, low, before);
    else this.observe(group, found);
    return undefined;
  }

  /**
   * Claims a run of groups that nobody seems to own, in ascending order, up to the first that is taken; where a batch cannot
   * stop, also what of the batch lies behind that.
   * @returns the groups that are ours now, ascending: all of the run, some, or none.
   */
  *claimRun(run: Run): Protocol<OwnedGroup[]> {
    const { table } = this;
    const { first, before, lows, commit } = run;
    const { length } = lows;
    /** What each word was when we came to it. */
    const found: bigint[] = [];
    const isOurs = (at: number): boolean => found[at] === joinWord(0, before[at]!);
    let all = true;
    let known = false;
    for (let at = 0; at < length; at++) table.claim(first + at);
    try {
      for (let start = 0; start < length && all; start += batchWords) {
        const end = Math.min(length, start + batchWords);
        const steps: WordStep[] = [];
        for (let at = start; at < end; at++) {
          steps.push(
            compareExchange(this.offset(first + at), joinWord(0, before[at]!), joinWord(this.high, lows[at]!)),
          );
        }
        if (end === length && commit !== undefined) {
          steps.push(compareExchange(this.offset(first), joinWord(this.high, lows[0]!), joinWord(this.high, commit)));
        }
        const answer = (yield batch([...steps, this.fence], this.stops)) as BatchAnswer;
        for (let at = start; at < end && typeof answer[at - start] === 'bigint'; at++) {
          found.push(answer[at - start] as bigint);
          all &&= isOurs(at);
        }
        if (all || !this.stops) this.checkPrincipal(answer.at(-1));
      }
      known = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      for (let at = 0; at < length; at++) {
        if (known) table.claiming.delete(first + at);
        else this.mayHaveClaimed(first + at);
      }
    }
    if (!known) {
      yield* this.repair();
      return [];
    }
    const owned: OwnedGroup[] = [];
    for (let at = 0; at < length; at++) {
      const group = first + at;
      if (at >= found.length) table.observe(group, 0, before[at]!);
      else if (isOurs(at)) owned.push(table.own(group, lows[at]!, before[at]!));
      else this.observe(group, found[at]!);
    }
    if (all && commit !== undefined) owned[0]!.low = commit;
    return owned;
  }

  /** The step that changes an own word, and reads the own principal word behind it: what gives pages out. */
  claim(owned: OwnedGroup, low: number): BatchStep {
    const expected = joinWord(this.high, owned.low);
    return batch([compareExchange(this.offset(owned.group), expected, joinWord(this.high, low)), this.fence]);
  }

  /** Takes in the answer to that. False: the word was not what we knew. @throws `Fenced` */
  claimed(owned: OwnedGroup, low: number, step: BatchStep, answer: BatchAnswer): boolean {
    this.checkPrincipal(answer[1]);
    if (answer[0] !== (step.steps[0] as WordStep).expected) return false;
    owned.low = low;
    return true;
  }

  /**
   * The words of a run that is claimed get their final low halves, from the last to the first, which commits it. Its caller
   * has marked the groups as busy, and owes what the words must end as if this throws.
   */
  *commitRun(owned: readonly OwnedGroup[], lows: Uint32Array): Protocol<void> {
    for (let end = owned.length; end > 0; end -= batchWords) {
      const start = Math.max(0, end - batchWords);
      const part = owned.slice(start, end).reverse();
      const steps = part.map(({ group, low }, at) =>
        compareExchange(this.offset(group), joinWord(this.high, low), joinWord(this.high, lows[end - 1 - at]!)),
      );
      const answer = (yield batch([...steps, this.fence])) as BatchAnswer;
      this.checkPrincipal(answer.at(-1));
      for (const [at, one] of part.entries()) {
        if (answer[at] !== steps[at]!.expected) yield* this.lost(one.group);
        one.low = lows[end - 1 - at]!;
      }
    }
  }

  /** Both in one. Its caller has marked the group as busy, and owes what the word must end as if this throws. */
  *claimOwn(owned: OwnedGroup, low: number): Protocol<void> {
    const step = this.claim(owned, low);
    const answer = (yield step) as BatchAnswer;
    if (!this.claimed(owned, low, step, answer)) yield* this.lost(owned.group);
  }

  // ---- changes of own words

  /** An own word gets another low half and stays ours. If this throws, that is owed. */
  *change(owned: OwnedGroup, mask: number, bits: number): Protocol<void> {
    const low = ((owned.low & ~mask) | bits) >>> 0;
    if (low === owned.low) return;
    let known = false;
    owned.busy = true;
    try {
      const expected = joinWord(this.high, owned.low);
      const found = yield compareExchange(this.offset(owned.group), expected, joinWord(this.high, low));
      if (found !== expected) yield* this.lost(owned.group);
      owned.low = low;
      known = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      owned.busy = false;
      if (!known) this.owe(owned, mask, bits);
      this.table.rank(owned);
    }
    if (!known) yield* this.repair();
  }

  /**
   * Changes own words in that order, none before those ahead of it. If this throws, the rest is owed.
   * @param long whether runs over several groups may be among what is dropped
   */
  *changeAll(changes: readonly WordChange[], long = true): Protocol<void> {
    try {
      yield* this.#changeAll(changes, long);
    } catch (error) {
      if (!interrupted(error)) throw error;
      yield* this.repair();
    }
  }

  *#changeAll(changes: readonly WordChange[], long = true): Protocol<void> {
    const { table } = this;
    const { groupPages } = table;
    let done = 0;
    for (const { owned } of changes) owned.busy = true;
    try {
      if (this.wipes) yield* this.#wipe(changes);
      // A long run that is dropped ceases with its head: nobody may see it shorter than it is.
      const whole = runBits(0, groupPages, false);
      const begin = long ? changes.filter(({ owned, bits }) => owned.low === whole && (bits & headMask) === 0) : [];
      const groups = new Set(begin.length === 0 ? [] : changes.map(({ owned }) => owned.group));
      const heads = begin
        .filter(({ owned }) => groups.has(owned.group + 1))
        .map(({ owned }) => ({ owned, mask: headMask, bits: headMask }));
      // What looks given is emptied before it is given up: if the answer to that is lost, and the word shows again what
      // it did, it was given to us since; while we own a word nobody gives it to us.
      const given = changes.filter(
        ({ owned, mask, bits }) => ((owned.low & ~mask) | bits) === 0 && looksGiven(owned.low, groupPages),
      );
      yield* this.#exchangeParts(given, given.length);
      yield* this.#exchangeParts(heads.length === 0 ? changes : [...heads, ...changes], heads.length, () => done++);
    } finally {
      for (const [at, { owned, mask, bits }] of changes.entries()) {
        owned.busy = false;
        if (at >= done) this.owe(owned, mask, bits);
        table.rank(owned);
      }
    }
  }

  /** Zeroes the pages that cease to be in use, as long as they are ours, and keeps in mind that they are zero. */
  *#wipe(changes: readonly WordChange[]): Protocol<void> {
    const { groupPages } = this.table;
    const runs: { page: number; pages: number }[] = [];
    const wiped: { owned: OwnedGroup; set: number }[] = [];
    for (const { owned, mask, bits } of changes) {
      if (bits !== 0) continue;
      let set = 0;
      for (let index = 0; index < groupPages; index++) {
        if ((owned.low & mask & runMask(index, 1)) === 0 || (owned.clean & (1 << index)) !== 0) continue;
        set |= 1 << index;
        runs.push({ page: owned.group * groupPages + index, pages: 1 });
      }
      wiped.push({ owned, set });
    }
    yield* clearAll(this.geometry, runs);
    for (const { owned, set } of wiped) owned.clean |= set;
  }

  /** The words of the first `keep` changes stay ours, even if no page of them is in use. */
  *#exchangeParts(changes: readonly WordChange[], keep: number, onDone?: () => void): Protocol<void> {
    for (let at = 0; at < changes.length; at += batchWords) {
      yield* this.#exchange(changes.slice(at, at + batchWords), keep - at, onDone);
    }
  }

  /** One batch of changes, up to the first that fails; a word may change twice. `onDone` hears of those that do not keep it. */
  *#exchange(changes: readonly WordChange[], keep: number, onDone?: () => void): Protocol<void> {
    const { table, high } = this;
    const between = new Map<OwnedGroup, number>();
    const steps = changes.map(({ owned, mask, bits }, at) => {
      const keeps = at < keep;
      const before = between.size === 0 ? owned.low : (between.get(owned) ?? owned.low);
      const low = ((before & ~mask) | bits) >>> 0;
      owned.leaving = low === 0 && !keeps;
      if (keeps) between.set(owned, low);
      const desired = owned.leaving ? joinWord(0, table.cleanLow(owned)) : joinWord(high, low);
      return compareExchange(this.offset(owned.group), joinWord(high, before), desired);
    });
    const answer = (yield batch(steps, this.stops)) as BatchAnswer;
    for (const [at, { owned }] of changes.entries()) {
      const keeps = at < keep;
      const { expected, desired } = steps[at]!;
      const leaves = owned.leaving && !keeps;
      if (!keeps) owned.leaving = false;
      if (answer[at] !== expected) {
        owned.leaving = false;
        yield* this.lost(owned.group);
      }
      if (leaves) table.disown(owned, 0, lowHalf(desired));
      else owned.low = lowHalf(desired);
      if (!keeps) onDone?.();
    }
  }

  /** Gives an own group to another principal, with all that is in it. */
  *give(owned: OwnedGroup, toHigh: number): Protocol<void> {
    const { group, low } = owned;
    const expected = joinWord(this.high, low);
    let known = false;
    owned.busy = true;
    owned.leaving = true;
    try {
      const found = yield compareExchange(this.offset(group), expected, joinWord(toHigh, low));
      if (found !== expected) yield* this.lost(group);
      known = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      owned.busy = false;
      if (known) this.table.disown(owned, toHigh, low);
      else this.owe(owned, 0, 0);
    }
    if (!known) yield* this.repair();
  }

  // ---- doubt

  /** A group that nobody seemed to own may be ours now, and must not stay so: it is to be read. */
  mayHaveClaimed(group: number): void {
    this.#doubtful.add(group);
    this.trouble = true;
  }

  /** Takes note of a word that is not ours. */
  observe(group: number, word: bigint): void {
    this.table.observe(group, highHalf(word), lowHalf(word));
  }

  /** Words of other owners may have become ours, all that is in them: they are to be read. */
  mayHaveTaken(groups: readonly number[]): void {
    for (const group of groups) this.#taken.add(group);
    this.trouble = true;
  }

  /** The word of an own group is to be read again, and the bits of `mask` are to become `bits`. */
  owe(owned: OwnedGroup, mask: number, bits: number): void {
    if (this.table.owned.get(owned.group) !== owned) return;
    owned.owe(mask, bits);
    this.trouble = true;
  }

  /** Reads every word that is in doubt over a new epoch, and brings it to what it has to be. */
  *repair(): Protocol<void> {
    while (this.#repairing) yield pause(0);
    if (this.#fenced) throw fenced('another client took over this principal');
    if (!this.trouble) return;
    this.#repairing = true;
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          yield* this.#changeAll(yield* this.#readDoubts());
          return;
        } catch (error) {
          if (!interrupted(error) || attempt === repairAttempts) throw error;
        }
      }
    } finally {
      this.#repairing = false;
      const open = this.#doubtful.size + this.#taken.size;
      this.trouble = this.#fenced || open > 0 || [...this.table.owned.values()].some(({ doubt }) => doubt);
    }
  }

  /** Learns what the words in doubt say. Answers what is still to be done about them. */
  *#readDoubts(): Protocol<WordChange[]> {
    const { table } = this;
    const free = [...this.#doubtful];
    const taken = [...this.#taken];
    const own = [...table.owned.values()].filter((owned) => owned.doubt && !owned.busy);
    const changes: WordChange[] = [];
    for (const owned of own) owned.busy = true;
    try {
      const groups = [...free, ...own.map(({ group }) => group), ...taken];
      const words = yield* reloadWords([...groups.map((group) => this.offset(group)), this.fence.offset]);
      this.checkPrincipal(words.at(-1));
      for (const [at, group] of free.entries()) {
        const [high, low] = [highHalf(words[at]!), lowHalf(words[at]!)];
        this.#doubtful.delete(group);
        table.claiming.delete(group);
        if (high !== this.high) table.observe(group, high, low);
        else if (looksGiven(low, table.groupPages)) table.rank(table.own(group, low));
        else changes.push({ owned: table.own(group, low), mask: allMask, bits: 0 });
      }
      for (const [at, owned] of own.entries()) {
        const word = words[free.length + at]!;
        const [high, low] = [highHalf(word), lowHalf(word)];
        owned.doubt = false;
        if (high !== this.high) {
          if (!owned.leaving) yield* this.lost(owned.group);
          table.disown(owned, high, low);
        } else if (owned.leaving && looksGiven(low, table.groupPages)) {
          table.disown(owned, high, low);
          table.rank(table.own(owned.group, low));
        } else {
          owned.low = low;
          owned.leaving = false;
          const { owedMask: mask, owedBits: bits } = owned;
          owned.owedMask = 0;
          owned.owedBits = 0;
          if (mask !== 0 && ((low & mask) >>> 0 !== bits || low === 0)) changes.push({ owned, mask, bits });
        }
      }
      for (const [at, group] of taken.entries()) {
        const word = words[free.length + own.length + at]!;
        this.#taken.delete(group);
        if (table.owned.has(group) || table.claiming.has(group)) continue;
        if (highHalf(word) === this.high) table.rank(table.own(group, lowHalf(word)));
        else table.observe(group, highHalf(word), lowHalf(word));
      }
    } finally {
      for (const owned of own) {
        owned.busy = false;
        table.rank(owned);
      }
    }
    // From the far end, as a run is freed.
    return changes.sort((one, other) => other.owned.group - one.owned.group);
  }
}
