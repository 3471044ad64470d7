import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { batch, drain, now, pause, random } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { groupWordOffset, pageOffset, principalWordOffset } from '../region/geometry.js';
import {
  decodePrincipal,
  joinWord,
  lowHalf,
  ownerHalf,
  pageBits,
  principalState,
  repeatBits,
} from '../region/words.js';
import type { BatchAnswer } from '../transport/step.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import { type GroupTable, looksGiven, type OwnedGroup } from './group-table.js';
import { OwnWords, type WordChange } from './own-words.js';
import type {
  AllocationPolicy,
  AllocationRequest,
  Allocator,
  Extent,
  Identity,
  PolicyContext,
  Suspects,
  Usage,
  Violation,
} from './policy.js';
import { exchangeSurely, fenced, interrupted, loadSurely, retried } from './resolve.js';
import { freePages, pagesWith, runBits, runMask, setMask } from './run-bits.js';
import { checkTable, countUsage } from './survey.js';

/** Words that one batch changes. */
const batchWords = 1024;
const allPages = 0xffff_ffff;
/** Bytes of zeros that one write carries. */
const zeroBytes = 256 * 1024;
/** Group words that one read of the table fetches. */
const tableChunk = 65_536;
/** Milliseconds for which an allocation looks at a table that does not hold still. */
const defaultTimeout = 10_000;

/** Why a run lies where it lies. */
const reasons = [
  'the fullest started group of this client that had room for it: groups that nobody has touched stay whole',
  'the lowest group that nobody owned: the far end stays free for long runs',
  'the run of free groups nearest to the far end: the near end is for small allocations',
  'where another client had allocated it: this principal was taken over as it was',
] as const;

class AtomicExtent implements Extent {
  live = true;
  constructor(
    readonly page: number,
    readonly pages: number,
    readonly named: boolean,
    readonly owner: AtomicAllocator,
    readonly reason: number,
  ) {}
}

/** The pages of a run that lie in one group: bit per page, and as a mask of the low half. */
interface Part {
  readonly group: number;
  readonly set: number;
  readonly mask: number;
}

/** Where an allocation stands that found nothing. */
interface Search {
  /** When it gives up, if the table does not hold still. */
  until: number | undefined;
  /** A digest of what the last scan saw. */
  seen: number | undefined;
  /** Two scans in a row saw the same: there is nothing that was overlooked. */
  settled: boolean;
}

/**
 * Lock-free allocation on group words: owner, incarnation and extent bounds are one 64-bit word, so one
 * compareExchange claims and records. An owned word is changed by its owner alone, which therefore knows it without
 * reading it. The shape follows LLFree (Wrenger et al., USENIX ATC 2023): claim whole groups, serve from them locally.
 */
class AtomicAllocator implements Allocator {
  readonly identity: Identity;
  readonly #geometry: Geometry;
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;

  constructor(context: PolicyContext) {
    this.identity = context.identity;
    this.#geometry = context.geometry;
    this.#groupPages = context.geometry.groupPages;
    this.#words = new OwnWords(context);
    this.#table = this.#words.table;
  }

  get empty(): boolean {
    return this.#words.none;
  }

  *allocate(request: AllocationRequest): Protocol<Extent> {
    const { pages, initialise } = request;
    const { pageSize, groupPages } = this.#geometry;
    const alignment = request.alignment ?? pageSize;
    const total = this.#table.groups * groupPages;
    if (!Number.isSafeInteger(pages) || pages < 1 || pages > total) {
      throw new ExomemError(
        'OutOfRange',
        `a run of ${pages} pages is not possible: this region has ${total} for its users`,
      );
    }
    if (alignment !== pageSize && !isPowerOfTwo(alignment)) {
      throw new ExomemError(
        'OutOfRange',
        `an alignment of ${alignment} bytes is not possible: it must be a power of two`,
      );
    }
    if (initialise !== 'none' && initialise !== 'zero' && (initialise !== 'caller' || request.named !== true)) {
      throw new ExomemError(
        'InvalidArgument',
        `pages that are not to be named cannot be initialised as "${initialise}"`,
        {
          advice: 'take "zero" or "none"; "caller" is for pages of a named file',
        },
      );
    }
    if (this.#words.trouble) yield* this.#words.repair();
    if (pages > groupPages) return yield* this.#allocateLong(request, alignment);
    if (alignment <= pageSize) {
      // The usual case at once: each generator that delegates costs as much as the exchange itself.
      const owned = this.#table.pickOwn(pages, 1, undefined);
      if (owned !== undefined) {
        const extent = yield* this.#useOwn(owned, this.#table.picked, request);
        if (extent !== undefined) return extent;
      }
    }
    return yield* this.#allocateSmall(request, alignment);
  }

  *#allocateSmall(request: AllocationRequest, alignment: number): Protocol<Extent> {
    const { pages } = request;
    const table = this.#table;
    const aligned = alignment > this.#geometry.pageSize;
    const step = aligned ? alignment / this.#geometry.pageSize : 1;
    const first = aligned ? (group: number) => this.#firstIndex(group, alignment) : undefined;
    const fits = first && ((group: number) => first(group) + pages <= this.#groupPages);
    const search: Search = { until: undefined, seen: undefined, settled: false };
    for (let lost = 0; ; ) {
      const owned = table.pickOwn(pages, step, first);
      if (owned !== undefined) {
        const extent = yield* this.#useOwn(owned, table.picked, request);
        if (extent !== undefined) return extent;
        search.settled = false;
        continue;
      }
      // Others take the lowest free group too: after a race was lost, step aside by a random few.
      const skip = lost === 0 ? 0 : ((yield random) as number) % 2 ** Math.min(lost, 6);
      const group = table.pickFree(skip, fits);
      if (group < 0) {
        yield* this.#lookAgain(search, request);
        lost = 0;
        continue;
      }
      const extent = yield* this.#useFree(group, first === undefined ? 0 : first(group), request);
      if (extent !== undefined) return extent;
      // There was something, and somebody else has it now: only another look can say that nothing is left.
      search.settled = false;
      lost++;
    }
  }

  /** Takes pages of a group that is ours. Undefined: a reply was lost, and it was taken back. */
  *#useOwn(owned: OwnedGroup, index: number, request: AllocationRequest): Protocol<AtomicExtent | undefined> {
    const { pages, initialise, named } = request;
    const words = this.#words;
    const mask = runMask(index, pages);
    const set = ((1 << pages) - 1) << index;
    const zero = initialise !== 'caller' && (set & ~(initialise === 'none' ? owned.mine : owned.clean)) !== 0;
    const before = owned.low;
    let done = false;
    owned.busy = true;
    try {
      const low = (before | (named === true ? mask : runBits(index, pages, zero))) >>> 0;
      const claim = words.claim(owned, low);
      const answer = (yield claim) as BatchAnswer;
      if (!words.claimed(owned, low, claim, answer)) yield* words.lost(owned.group);
      if (zero) {
        yield* this.#clear(owned.group * this.#groupPages + index, pages);
        if (named !== true) yield* words.claimOwn(owned, (before | runBits(index, pages, false)) >>> 0);
      }
      take(owned, set, named === true);
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      owned.busy = false;
      if (!done) words.owe(owned, mask, 0);
      else if (this.#table.spare === owned) this.#table.spare = undefined;
      this.#table.rank(owned);
    }
    if (done) return new AtomicExtent(owned.group * this.#groupPages + index, pages, named === true, this, 0);
    yield* words.repair();
    return undefined;
  }

  /** Claims a group that nobody owns, and takes pages of it. Undefined: somebody was faster, or a reply was lost. */
  *#useFree(group: number, index: number, request: AllocationRequest): Protocol<AtomicExtent | undefined> {
    const { pages, initialise, named } = request;
    const words = this.#words;
    const mask = runMask(index, pages);
    const before = this.#table.freeLow(group);
    const zero = initialise !== 'caller' && (before & mask) !== (mask & 0x5555_5555);
    let low = named === true ? mask : runBits(index, pages, zero);
    // A lone page under construction would look given; that there is a second one says that it is not.
    if (named !== true && looksGiven(low, this.#groupPages)) {
      low = runBits(index + 1 < this.#groupPages ? index : index - 1, 2, true);
    }
    const owned = yield* words.claimFree(group, before, low);
    if (owned === undefined) return undefined;
    let done = false;
    owned.busy = true;
    try {
      if (zero) {
        yield* this.#clear(group * this.#groupPages + index, pages);
        if (named !== true) yield* words.claimOwn(owned, runBits(index, pages, false));
      }
      take(owned, ((1 << pages) - 1) << index, named === true);
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      owned.busy = false;
      if (!done) words.owe(owned, allPages, 0);
      this.#table.rank(owned);
    }
    if (done) return new AtomicExtent(group * this.#groupPages + index, pages, named === true, this, 1);
    yield* words.repair();
    return undefined;
  }

  *#allocateLong(request: AllocationRequest, alignment: number): Protocol<Extent> {
    const { pages, named } = request;
    const groups = Math.ceil(pages / this.#groupPages);
    const fits = (group: number) => pageOffset(this.#geometry, group * this.#groupPages) % alignment === 0;
    const search: Search = { until: undefined, seen: undefined, settled: false };
    for (;;) {
      const first = this.#table.pickRun(groups, fits);
      if (first < 0) {
        yield* this.#lookAgain(search, request);
        continue;
      }
      if (yield* this.#useRun(first, groups, request)) {
        return new AtomicExtent(first * this.#groupPages, pages, named === true, this, 2);
      }
      search.settled = false;
    }
  }

  /** Claims a run of groups and commits it by its first word. False: somebody was faster, or a reply was lost. */
  *#useRun(first: number, groups: number, request: AllocationRequest): Protocol<boolean> {
    const { pages, initialise, named } = request;
    const words = this.#words;
    const groupPages = this.#groupPages;
    const before = new Uint32Array(groups);
    const lows = new Uint32Array(groups);
    /** Groups in which not all pages of the run are zero. */
    const dirty: number[] = [];
    for (let at = 0; at < groups; at++) {
      const mask = runMask(0, Math.min(groupPages, pages - at * groupPages));
      before[at] = this.#table.freeLow(first + at);
      lows[at] = named === true ? mask : mask & 0xaaaa_aaaa;
      if (initialise !== 'caller' && (before[at]! & mask) !== (mask & 0x5555_5555)) dirty.push(at);
    }
    const commit = (lows[0]! ^ runMask(0, 1)) >>> 0;
    if (named !== true) lows[0] = (lows[0]! | runMask(0, 1)) >>> 0;
    const atOnce = named !== true && dirty.length === 0;
    const owned = yield* words.claimRun({ first, before, lows, commit: atOnce ? commit : undefined });
    if (owned.length < groups) {
      yield* words.changeAll(owned.reverse().map((one) => ({ owned: one, mask: allPages, bits: 0 })));
      return false;
    }
    let done = false;
    for (const one of owned) one.busy = true;
    try {
      for (let at = 0; at < dirty.length; ) {
        let end = at + 1;
        while (end < dirty.length && dirty[end] === dirty[end - 1]! + 1) end++;
        const from = dirty[at]! * groupPages;
        yield* this.#clear(first * groupPages + from, Math.min(pages, (dirty[end - 1]! + 1) * groupPages) - from);
        at = end;
      }
      if (named !== true && !atOnce) yield* words.claimOwn(owned[0]!, commit);
      for (const [at, one] of owned.entries()) {
        take(one, (1 << Math.min(groupPages, pages - at * groupPages)) - 1, named === true);
      }
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      for (const one of owned) {
        one.busy = false;
        if (!done) words.owe(one, allPages, 0);
        this.#table.rank(one);
      }
    }
    if (!done) yield* words.repair();
    return done;
  }

  /** Zeroes pages. Zeroing twice is zeroing once: an unknown outcome is simply done again, in a new epoch. */
  *#clear(page: number, pages: number): Protocol<void> {
    const start = pageOffset(this.#geometry, page);
    const length = pages * this.#geometry.pageSize;
    const zeros = new Uint8Array(Math.min(length, zeroBytes));
    for (let at = 0; at < length; at += zeros.length) {
      const step = write(start + at, zeros.subarray(0, Math.min(zeros.length, length - at)));
      yield* retried(function* () {
        yield step;
      });
    }
  }

  /**
   * Nothing that we know of fits: scans the table once more.
   * @throws `RegionFull`, `Fragmented` when two scans in a row saw the same, and nothing of ours is under way that
   * could still make room.
   */
  *#lookAgain(search: Search, { pages, timeout }: AllocationRequest): Protocol<void> {
    const words = this.#words;
    if (search.settled) {
      if (words.trouble) {
        yield* words.repair();
      } else if (this.#table.unsettled) {
        yield pause(0);
      } else {
        const empties = pages > this.#groupPages ? this.#table.empties() : [];
        if (empties.length === 0) throw this.#refusal(pages);
        yield* words.changeAll(empties.map((owned) => ({ owned, mask: allPages, bits: 0 })));
      }
      search.seen = undefined;
    }
    const time = (yield now) as number;
    search.until ??= time + (timeout ?? defaultTimeout);
    if (time >= search.until) {
      throw new ExomemError(
        'DeadlineExceeded',
        'the table of groups did not hold still for long enough to say whether it is full',
      );
    }
    const seen = yield* this.#scan();
    search.settled = seen === search.seen;
    search.seen = seen;
  }

  *free(extent: Extent): Protocol<void> {
    const { page, pages, named } = this.#spend(extent);
    const words = this.#words;
    let begun = false;
    try {
      // Nothing of ours may still be on its way to these pages when they become somebody else's (R8).
      yield drain;
      if (words.trouble) yield* words.repair();
      if (named) {
        begun = true;
        yield* this.release(page, pages);
      } else if (pages <= this.#groupPages) {
        const group = Math.floor(page / this.#groupPages);
        const owned = words.ready(group) ?? (yield* words.await(group));
        begun = true;
        const mask = runMask(page - group * this.#groupPages, pages);
        if (this.#keeps(owned, mask)) yield* words.change(owned, mask, 0);
        else yield* words.changeAll([{ owned, mask, bits: 0 }]);
      } else {
        const parts = this.#parts(page, pages);
        const all = yield* words.awaitAll(parts.map(({ group }) => group));
        begun = true;
        // From the last group on; the head ceased before them all.
        yield* words.changeAll(parts.map(({ mask }, at) => ({ owned: all[at]!, mask, bits: 0 })).reverse());
      }
    } finally {
      if (!begun) (extent as AtomicExtent).live = true;
    }
  }

  *release(page: number, pages: number): Protocol<void> {
    yield drain;
    const words = this.#words;
    const parts = this.#parts(page, pages).filter(({ group }) => this.#table.owned.has(group));
    const all = yield* words.awaitAll(parts.map(({ group }) => group));
    const changes: WordChange[] = [];
    for (const [at, owned] of all.entries()) {
      const dropped = parts[at]!.set & owned.constructing;
      owned.constructing &= ~dropped;
      this.#dropWithheld(owned, dropped, changes);
    }
    yield* words.changeAll(changes);
  }

  /** Whoever had the file open may have written to these pages: what they hold now is not only ours. */
  #dropWithheld(owned: OwnedGroup, set: number, changes: WordChange[]): void {
    const dropped = set & pagesWith(owned.low, pageBits.withheld, this.#groupPages);
    owned.mine &= ~dropped;
    if (dropped !== 0) changes.push({ owned, mask: setMask(dropped), bits: 0 });
  }

  dismiss(page: number, pages: number, index: number): void {
    for (const { group, set } of this.#parts(page, pages)) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) continue;
      const withheld = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      this.#dismiss(owned, set & withheld, index);
    }
  }

  #dismiss(owned: OwnedGroup, set: number, index: number): void {
    if (set === 0) return;
    owned.dismissed |= set;
    owned.dismissedAt = Math.max(owned.dismissedAt, index);
    this.#table.waiting.add(owned);
  }

  retain(page: number, pages: number): void {
    for (const { group, set } of this.#parts(page, pages)) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) continue;
      owned.dismissed &= ~set;
      if (owned.dismissed === 0) this.#table.waiting.delete(owned);
    }
  }

  suspects(): Suspects {
    return [...this.#table.owned.values()].filter((owned) => owned.unjudged);
  }

  judge(suspects: Suspects, isNamed: (page: number) => boolean, index: number): number {
    let found = 0;
    for (const owned of suspects as readonly OwnedGroup[]) {
      if (!owned.unjudged || this.#table.owned.get(owned.group) !== owned) continue;
      // What an operation is just building shows as withheld, too: the next judgement is for these.
      if (owned.busy || owned.doubt) continue;
      owned.unjudged = false;
      let dropped = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      for (let at = 0; at < this.#groupPages; at++) {
        if (isNamed(owned.group * this.#groupPages + at)) dropped &= ~(1 << at);
      }
      found += countPages(dropped);
      this.#dismiss(owned, dropped, index);
    }
    return found;
  }

  retire(): void {
    this.#words.retire();
  }
  get retired(): boolean {
    return this.#words.retired;
  }

  doubtNames(): void {
    for (const owned of this.#table.owned.values()) owned.unjudged = true;
  }

  *sweep(applied: number): Protocol<number> {
    let freed = 0;
    yield drain;
    const changes: WordChange[] = [];
    for (const owned of [...this.#table.waiting]) {
      if (owned.dismissedAt >= applied || owned.busy || owned.doubt) continue;
      const { dismissed } = owned;
      owned.dismissed = 0;
      this.#table.waiting.delete(owned);
      freed += countPages(dismissed);
      this.#dropWithheld(owned, dismissed, changes);
    }
    yield* this.#words.changeAll(changes);
    return freed;
  }

  get dismissed(): number {
    let count = 0;
    for (const owned of this.#table.waiting) count += countPages(owned.dismissed);
    return count;
  }

  *withhold(extent: Extent): Protocol<void> {
    if (extent instanceof AtomicExtent && extent.named) {
      throw new ExomemError('InvalidArgument', `the pages from ${extent.page} on are withheld already`);
    }
    const { page, pages } = this.#spend(extent);
    const words = this.#words;
    const changes: WordChange[] = [];
    const before: number[] = [];
    let done = false;
    try {
      if (words.trouble) yield* words.repair();
      const parts = this.#parts(page, pages);
      const all = yield* words.awaitAll(parts.map(({ group }) => group));
      // From the first group on: once its head is 11 the run is a construction, and no reader takes it for given out.
      for (const [at, { mask, set }] of parts.entries()) {
        const owned = all[at]!;
        owned.constructing |= set;
        before.push((owned.low & mask) >>> 0);
        changes.push({ owned, mask, bits: mask });
      }
      yield* words.changeAll(changes);
      done = true;
    } finally {
      if (!done) {
        (extent as AtomicExtent).live = true;
        for (const [at, { owned, mask }] of changes.entries()) {
          owned.constructing &= ~pagesWith(mask, pageBits.withheld, this.#groupPages);
          words.owe(owned, mask, before[at]!);
        }
      }
    }
  }

  settle(page: number, pages: number): void {
    for (const { group, set } of this.#parts(page, pages)) {
      const owned = this.#table.owned.get(group);
      if (owned !== undefined) owned.constructing &= ~set;
    }
  }

  *discover(): Protocol<void> {
    if (this.#words.trouble) yield* this.#words.repair();
    yield* this.#scan();
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
        const table = yield* this.#readTable(start, count);
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
        if (this.#unknown(start + at)) ours.push(start + at);
      } else if (take.matches(owner)) {
        theirs.push(start + at);
      }
    }
    let moved = yield* this.#adopt(ours);
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
    if (groups.some((group) => !this.#unknown(group))) {
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
        if (!this.#unknown(group)) continue;
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

  *giveRoom(to: { principal: number; incarnation: number }, pages: number): Protocol<boolean> {
    // Who asks has said so in a word that anybody can write: it may be gone, or never have been.
    if (to.principal === this.identity.principal || to.principal < 1) return false;
    if (to.principal > this.#geometry.principalSlots) return false;
    const asker = load(principalWordOffset(this.#geometry, to.principal));
    const before = decodePrincipal(yield* loadSurely(asker));
    if (before.state !== principalState.active || before.incarnation !== to.incarnation) return false;
    if (this.#words.trouble) yield* this.#words.repair();
    yield drain;
    const owned = this.#table.pickGift(pages);
    if (owned === undefined) return false;
    const { group, low } = owned;
    const toHigh = ownerHalf(to.principal, to.incarnation);
    yield* this.#words.give(owned, toHigh);
    // Whoever asked may have left meanwhile: a word of a principal that is no more is anybody's to take, so ours.
    const principal = decodePrincipal(yield* loadSurely(asker));
    const gone =
      principal.state === principalState.free
        ? principal.incarnation >= to.incarnation
        : principal.incarnation > to.incarnation;
    if (!gone) return true;
    const offset = groupWordOffset(this.#geometry, group);
    const orphan = joinWord(toHigh, low);
    if ((yield* exchangeSurely(offset, orphan, joinWord(this.#words.high, low))) === orphan) {
      this.#table.rank(this.#table.own(group, low));
    }
    return false;
  }

  *holdings(): Protocol<readonly Extent[]> {
    yield* this.discover();
    const words = this.#words;
    const extents: AtomicExtent[] = [];
    const strays: WordChange[] = [];
    let run: { page: number; pages: number } | undefined;
    const end = () => {
      if (run !== undefined) extents.push(new AtomicExtent(run.page, run.pages, false, this, 3));
      run = undefined;
    };
    const inside = repeatBits(this.#groupPages, pageBits.continuation);
    for (const owned of [...this.#table.owned.values()].sort((a, b) => a.group - b.group)) {
      // The middle of a long run: most groups of whoever has much.
      if (owned.low === inside && run !== undefined && run.page + run.pages === owned.group * this.#groupPages) {
        run.pages += this.#groupPages;
        continue;
      }
      let stray = 0;
      for (let index = 0; index < this.#groupPages; index++) {
        const page = owned.group * this.#groupPages + index;
        const bits = (owned.low >>> (30 - 2 * index)) & 3;
        if (run !== undefined && (bits !== pageBits.continuation || run.page + run.pages !== page)) end();
        if (bits === pageBits.head) run = { page, pages: 1 };
        else if (bits === pageBits.continuation) {
          // Without a head before it, it belongs to a run that was never committed, or is free since its un-commit.
          if (run === undefined) stray |= 1 << index;
          else run.pages++;
        }
      }
      if (stray !== 0) strays.push({ owned, mask: setMask(stray), bits: 0 });
    }
    end();
    // From the far end, as everything of a run goes.
    yield* words.changeAll(strays.reverse());
    return extents;
  }

  *surrender(): Protocol<void> {
    const words = this.#words;
    yield drain;
    if (words.trouble) yield* words.repair();
    const groups = [...this.#table.owned.keys()].sort((one, other) => one - other);
    const all = yield* words.awaitAll(groups);
    const drops: WordChange[] = [];
    for (const owned of all) {
      const named = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      owned.constructing = 0;
      drops.push({ owned, mask: setMask(~named & 0xffff), bits: 0 });
    }
    yield* words.changeAll(drops.reverse());
  }

  *inspect(): Protocol<Usage> {
    return countUsage(yield* this.#readTable(0, this.#table.groups), this.#groupPages);
  }

  *validate(): Protocol<Violation[]> {
    const { owned, groups } = this.#table;
    const words = yield* this.#readTable(0, groups);
    return checkTable(words, this.#groupPages, this.#words.high, owned, (group) => this.#words.settled(group));
  }

  explain(extent: Extent): string {
    if (!(extent instanceof AtomicExtent)) return 'another policy chose it';
    const first = Math.floor(extent.page / this.#groupPages);
    const last = Math.floor((extent.page + extent.pages - 1) / this.#groupPages);
    const where = last > first ? `groups ${first} to ${last}` : `group ${first}`;
    return `${extent.pages} page(s) from page ${extent.page} in ${where}: ${reasons[extent.reason]}`;
  }

  /** An extent can be given back, or turned into something else, once. */
  #spend(extent: Extent): AtomicExtent {
    if (!(extent instanceof AtomicExtent) || extent.owner !== this) {
      throw new ExomemError('PermissionDenied', 'that allocation was given out by another client: it is not ours');
    }
    if (!extent.live) throw new ExomemError('StaleHandle', `the allocation at page ${extent.page} was freed before`);
    extent.live = false;
    return extent;
  }

  /** Whether a group stays ours without those pages: with others in use, or as the spare one. */
  #keeps(owned: OwnedGroup, mask: number): boolean {
    if ((owned.low & ~mask) !== 0) return true;
    if (this.#table.spare !== undefined && this.#table.spare !== owned) return false;
    this.#table.spare = owned;
    return true;
  }

  // ---- the table

  *#readTable(start: number, count: number): Protocol<Uint32Array> {
    const words = new Uint32Array(2 * count);
    const step = read(groupWordOffset(this.#geometry, start), new Uint8Array(words.buffer));
    yield* retried(function* () {
      yield step;
    });
    return words;
  }

  /** Reads all words, and takes into account what they say. Answers a digest of it. */
  *#scan(): Protocol<number> {
    const table = this.#table;
    let one = 0;
    let two = 0;
    for (let start = 0; start < table.groups; start += tableChunk) {
      const words = yield* this.#readTable(start, Math.min(tableChunk, table.groups - start));
      const ours: number[] = [];
      for (let at = 0; at < words.length / 2; at++) {
        const [low, high] = [words[2 * at]!, words[2 * at + 1]!];
        one = stir(stir(one, low, 0x9e37_79b1), high, 0x9e37_79b1);
        two = stir(stir(two, low, 0x85eb_ca6b), high, 0x85eb_ca6b);
        if (high === this.#words.high && this.#unknown(start + at)) ours.push(start + at);
        else table.observe(start + at, high, low);
      }
      yield* this.#adopt(ours);
    }
    return (two & 0x1f_ffff) * 2 ** 32 + (one >>> 0);
  }

  /** A reading of the table shows these as ours, ascending, and we do not know them. How many came to us. */
  *#adopt(groups: readonly number[]): Protocol<number> {
    const [first] = groups;
    if (first === undefined) return 0;
    // A release of our own may have overtaken that reading: look again.
    const words = yield* this.#readTable(first, groups.at(-1)! - first + 1);
    let came = 0;
    for (const group of groups) {
      const [low, high] = [words[2 * (group - first)]!, words[2 * (group - first) + 1]!];
      if (high === this.#words.high && this.#unknown(group)) {
        this.#table.rank(this.#table.own(group, low));
        came++;
      } else {
        this.#table.observe(group, high, low);
      }
    }
    return came;
  }

  #unknown(group: number): boolean {
    return !this.#table.owned.has(group) && !this.#table.claiming.has(group);
  }

  #refusal(pages: number): ExomemError {
    const { free, longest } = this.#table.capacity();
    if (free >= pages) {
      return new ExomemError(
        'Fragmented',
        `${free} pages are free, but no run of ${pages} as it was asked for; the longest has ${longest}`,
      );
    }
    return new ExomemError('RegionFull', `${pages} page(s) were asked for, and this client could have ${free}`);
  }

  // ---- places

  /** A run of pages, group by group. */
  #parts(page: number, pages: number): Part[] {
    const groupPages = this.#groupPages;
    const parts: Part[] = [];
    for (let at = page; at < page + pages; ) {
      const group = Math.floor(at / groupPages);
      const index = at - group * groupPages;
      const count = Math.min(page + pages - at, groupPages - index);
      parts.push({ group, set: ((1 << count) - 1) << index, mask: runMask(index, count) });
      at += count;
    }
    return parts;
  }

  /** The first page of the group that is aligned; beyond the group if there is none. */
  #firstIndex(group: number, alignment: number): number {
    const over = pageOffset(this.#geometry, group * this.#groupPages) % alignment;
    return over === 0 ? 0 : (alignment - over) / this.#geometry.pageSize;
  }
}

/** Pages are in use from now on. */
function take(owned: OwnedGroup, set: number, named: boolean): void {
  // They were let go once, and perhaps twice: whoever takes them now must not lose them to that.
  owned.dismissed &= ~set;
  owned.clean &= ~set;
  owned.mine |= set;
  if (named) owned.constructing |= set;
}

function countPages(set: number): number {
  return 16 - freePages(setMask(set), 16);
}

function stir(digest: number, word: number, odd: number): number {
  const mixed = Math.imul(digest ^ word, odd);
  return mixed ^ (mixed >>> 15);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && 2 ** Math.round(Math.log2(value)) === value;
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

/** The policy `atomic`. */
export const atomic: AllocationPolicy = {
  name: 'atomic',
  apiVersion: 1,
  create: (context) => new AtomicAllocator(context),
};
