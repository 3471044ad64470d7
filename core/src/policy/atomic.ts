import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { batch, pause, random } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { groupWordOffset, pageOffset, principalWordOffset, userGroups } from '../region/geometry.js';
import { bitsOf, highHalf, joinWord, lowHalf, ownerHalf, pageBits, repeatBits, withBits } from '../region/words.js';
import type { BatchAnswer, WordStep } from '../transport/step.js';
import { compareExchange, load, notRun, read, write } from '../transport/step.js';
import { GroupTable, type OwnedGroup } from './group-table.js';
import type {
  AllocationPolicy,
  AllocationRequest,
  Allocator,
  Extent,
  Identity,
  PolicyContext,
  Usage,
  Violation,
} from './policy.js';
import { exchangeSurely, fenced, interrupted, reloadWords, retried } from './resolve.js';
import { checkTable, countUsage } from './survey.js';

/** Compare-and-swaps that one batch of an extent carries. */
const batchWords = 1024;
/** Bytes of zeros that one write carries. */
const zeroBytes = 256 * 1024;
/** Group words that one read of the table fetches. */
const tableChunk = 65_536;

/** Why a run lies where it lies. */
const reasons = [
  'the fullest started group of this client that had room for it: groups that nobody has touched stay whole',
  'the lowest group that nobody owned: the far end stays free for long runs',
  'the run of free groups nearest to the far end: the near end is for small allocations',
] as const;

class AtomicExtent implements Extent {
  live = true;
  constructor(
    readonly page: number,
    readonly pages: number,
    readonly owner: AtomicAllocator,
    readonly reason: number,
  ) {}
}

/**
 * Lock-free allocation on group words: owner, incarnation and extent bounds are one 64-bit word, so one
 * compareExchange claims and records. An owned word is changed by its owner alone, which therefore knows it without
 * reading it. The shape follows LLFree (Wrenger et al., USENIX ATC 2023): claim whole groups, serve from them locally.
 */
class AtomicAllocator implements Allocator {
  readonly identity: Identity;
  readonly #geometry: Geometry;
  readonly #table: GroupTable;
  readonly #high: number;
  readonly #fence: WordStep;
  readonly #groupPages: number;
  /** Claims of groups that nobody owned whose fate is unknown: they must end as nobody's. */
  readonly #doubt = new Set<number>();
  /** Whether an own group may be in doubt. */
  #doubtful = false;

  constructor({ geometry, identity }: PolicyContext) {
    this.identity = identity;
    this.#geometry = geometry;
    this.#groupPages = geometry.groupPages;
    this.#table = new GroupTable(userGroups(geometry), geometry.groupPages);
    this.#high = ownerHalf(identity.principal, identity.incarnation);
    this.#fence = load(principalWordOffset(geometry, identity.principal));
  }

  get empty(): boolean {
    return this.#table.owned.size === 0 && this.#doubt.size === 0;
  }

  *allocate(request: AllocationRequest): Protocol<Extent> {
    const { pages } = request;
    const { pageSize, groupPages } = this.#geometry;
    const alignment = request.alignment ?? pageSize;
    const total = this.#table.groups * groupPages;
    if (!Number.isSafeInteger(pages) || pages < 1 || pages > total) {
      throw new ExomemError(
        'OutOfRange',
        `a run of ${pages} pages is not possible: this region has ${total} for its users`,
      );
    }
    if (!Number.isSafeInteger(alignment) || alignment < 1 || Math.log2(alignment) % 1 !== 0) {
      throw new ExomemError('OutOfRange', `an alignment of ${alignment} bytes is no power of two`);
    }
    if (request.initialise === 'caller' && request.named !== true) {
      throw new ExomemError('InvalidArgument', 'only pages of a named file can be left to the caller to initialise');
    }
    if (this.#doubtful) yield* this.#repair();
    return pages <= groupPages
      ? yield* this.#allocateSmall(request, alignment)
      : yield* this.#allocateLong(request, alignment);
  }

  *#allocateSmall(request: AllocationRequest, alignment: number): Protocol<Extent> {
    const { pages } = request;
    const table = this.#table;
    const aligned = alignment > this.#geometry.pageSize;
    const step = aligned ? alignment / this.#geometry.pageSize : 1;
    const first = aligned ? (group: number) => this.#firstIndex(group, alignment) : undefined;
    const fits = first && ((group: number) => first(group) + pages <= this.#groupPages);
    let scans = 0;
    for (let lost = 0; ; ) {
      const owned = table.pickOwn(pages, step, first);
      if (owned !== undefined) return yield* this.#useOwn(owned, table.picked, request);
      // Others take the lowest free group too: after a race was lost, step aside by a random few.
      const skip = lost === 0 ? 0 : ((yield random) as number) % 2 ** Math.min(lost, 6);
      const group = table.pickFree(skip, fits);
      if (group < 0) {
        if (scans >= 2 && table.unchanged) throw this.#refusal(pages);
        yield* this.#scan();
        scans++;
        lost = 0;
        continue;
      }
      const extent = yield* this.#useFree(group, first === undefined ? 0 : first(group), request);
      if (extent !== undefined) return extent;
      lost++;
    }
  }

  /** Takes pages of a group that is ours. */
  *#useOwn(owned: OwnedGroup, index: number, request: AllocationRequest): Protocol<Extent> {
    const { pages, initialise, named } = request;
    const pageMask = ((1 << pages) - 1) << index;
    const known = initialise === 'none' ? owned.mine : owned.clean;
    const zero = initialise !== 'caller' && (known & pageMask) !== pageMask;
    const before = owned.low;
    const low = markUse(before, index, pages, named === true, zero);
    owned.busy = true;
    try {
      const found = yield* this.#claim(
        owned.group,
        joinWord(this.#high, before),
        joinWord(this.#high, low),
        owned,
        before,
      );
      if (found !== undefined) throw yield* this.#lost(owned.group);
      owned.low = low;
      if (this.#table.spare === owned) this.#table.spare = undefined;
      yield* this.#initialise(owned, index, request, zero, before);
      return new AtomicExtent(owned.group * this.#groupPages + index, pages, this, 0);
    } finally {
      owned.busy = false;
      this.#table.rank(owned);
    }
  }

  /** Claims a group that nobody owns, and takes pages of it. Undefined: somebody was faster. */
  *#useFree(group: number, index: number, request: AllocationRequest): Protocol<Extent | undefined> {
    const { pages, initialise, named } = request;
    const table = this.#table;
    const before = table.freeLow(group);
    let clean = true;
    for (let at = index; at < index + pages; at++) clean &&= bitsOf(before, at) === pageBits.clean;
    const zero = initialise !== 'caller' && !clean;
    const low = markUse(0, index, pages, named === true, zero);
    table.claim(group);
    let owned: OwnedGroup | undefined;
    try {
      const found = yield* this.#claim(group, joinWord(0, before), joinWord(this.#high, low), undefined, 0);
      table.claiming.delete(group);
      if (found !== undefined) {
        table.observe(group, highHalf(found), lowHalf(found));
        return undefined;
      }
      owned = table.own(group, low, before);
      owned.busy = true;
      yield* this.#initialise(owned, index, request, zero, 0);
      return new AtomicExtent(group * this.#groupPages + index, pages, this, 1);
    } finally {
      table.claiming.delete(group);
      if (owned !== undefined) {
        owned.busy = false;
        table.rank(owned);
      }
    }
  }

  /** Zeroes what was claimed where that is due, and commits it; from here on the pages are in use. */
  *#initialise(
    owned: OwnedGroup,
    index: number,
    request: AllocationRequest,
    zero: boolean,
    before: number,
  ): Protocol<void> {
    const { pages, named } = request;
    if (zero) {
      try {
        yield* this.#clear(owned.group * this.#groupPages + index, pages);
        if (named !== true) {
          const done = withBits(owned.low, index, pageBits.head);
          const found = yield* this.#claim(
            owned.group,
            joinWord(this.#high, owned.low),
            joinWord(this.#high, done),
            owned,
            before,
          );
          if (found !== undefined) throw yield* this.#lost(owned.group);
          owned.low = done;
        }
      } catch (error) {
        this.#doubtOwn(owned, before);
        throw error;
      }
    }
    const pageMask = ((1 << pages) - 1) << index;
    owned.clean &= ~pageMask;
    owned.mine |= pageMask;
    if (named === true) owned.constructing |= pageMask;
  }

  /**
   * One batch: the claim, then the own principal word, so that nothing is handed out that a fenced client claimed.
   * Undefined: it is ours; else the word that was there. If nobody can be asked any more the group is left in doubt.
   */
  *#claim(
    group: number,
    expected: bigint,
    desired: bigint,
    owned: OwnedGroup | undefined,
    before: number,
  ): Protocol<bigint | undefined> {
    const offset = groupWordOffset(this.#geometry, group);
    for (;;) {
      let observed: bigint;
      let principal: bigint;
      try {
        const answer = (yield batch([compareExchange(offset, expected, desired), this.#fence])) as BatchAnswer;
        observed = answer[0] as bigint;
        principal = answer[1] as bigint;
      } catch (error) {
        if (!interrupted(error)) throw error;
        try {
          const words = yield* reloadWords([offset, this.#fence.offset]);
          if (words[0] === expected) continue;
          observed = words[0] === desired ? expected : words[0]!;
          principal = words[1]!;
        } catch (lost) {
          // No way to ask: whatever happened, it must end as if it had not.
          if (owned === undefined) this.#doubtFree(group);
          else this.#doubtOwn(owned, before);
          throw lost;
        }
      }
      if (principal !== this.identity.word) throw fenced('another client took over this principal');
      return observed === expected ? undefined : observed;
    }
  }

  #doubtFree(group: number): void {
    this.#doubt.add(group);
    this.#doubtful = true;
  }
  #doubtOwn(owned: OwnedGroup, low: number): void {
    owned.doubt = low;
    this.#doubtful = true;
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

  *#allocateLong(request: AllocationRequest, alignment: number): Protocol<Extent> {
    const { pages } = request;
    const table = this.#table;
    const groups = Math.ceil(pages / this.#groupPages);
    let scans = 0;
    for (;;) {
      const first = table.pickRun(
        groups,
        (group) => pageOffset(this.#geometry, group * this.#groupPages) % alignment === 0,
      );
      if (first < 0) {
        if (scans >= 2 && table.unchanged) throw this.#refusal(pages);
        yield* this.#scan();
        scans++;
        continue;
      }
      if (yield* this.#useRun(first, groups, request)) {
        return new AtomicExtent(first * this.#groupPages, pages, this, 2);
      }
    }
  }

  /** Claims a run of groups in ascending order and commits it by its first word. False: somebody was faster. */
  *#useRun(first: number, groups: number, { pages, initialise, named }: AllocationRequest): Protocol<boolean> {
    const table = this.#table;
    const groupPages = this.#groupPages;
    const count = (at: number) => Math.min(groupPages, pages - at * groupPages);
    const before = new Uint32Array(groups);
    const lows = new Uint32Array(groups);
    const dirty: number[] = [];
    for (let at = 0; at < groups; at++) {
      const low = table.freeLow(first + at);
      before[at] = low;
      for (let index = 0; index < count(at); index++) {
        if (bitsOf(low, index) !== pageBits.clean) {
          dirty.push(at);
          break;
        }
      }
      lows[at] = repeatBits(count(at), named ? pageBits.withheld : pageBits.continuation);
      if (at === 0 && !named) lows[at] = withBits(lows[at]!, 0, pageBits.withheld);
      table.claim(first + at);
    }
    const owned: OwnedGroup[] = [];
    try {
      const claimed = yield* this.#claimRun(first, before, lows);
      for (let at = 0; at < claimed; at++) {
        const group = table.own(first + at, lows[at]!, before[at]!);
        group.busy = true;
        owned.push(group);
        table.claiming.delete(first + at);
      }
      if (claimed < groups) {
        for (let at = claimed - 1; at >= 0; at--) yield* this.#put(owned[at]!);
        return false;
      }
      try {
        if (initialise !== 'caller') {
          for (let at = 0; at < dirty.length; ) {
            let end = at + 1;
            while (end < dirty.length && dirty[end] === dirty[end - 1]! + 1) end++;
            const from = dirty[at]! * groupPages;
            yield* this.#clear(
              first * groupPages + from,
              Math.min(pages, dirty[end - 1]! * groupPages + groupPages) - from,
            );
            at = end;
          }
        }
        if (!named) {
          const head = withBits(lows[0]!, 0, pageBits.head);
          const found = yield* this.#claim(
            first,
            joinWord(this.#high, lows[0]!),
            joinWord(this.#high, head),
            owned[0],
            0,
          );
          if (found !== undefined) throw yield* this.#lost(first);
          owned[0]!.low = head;
        }
      } catch (error) {
        for (const group of owned) this.#doubtOwn(group, 0);
        throw error;
      }
      for (const [at, group] of owned.entries()) {
        const pageMask = (1 << count(at)) - 1;
        group.clean &= ~pageMask;
        group.mine |= pageMask;
        if (named) group.constructing |= pageMask;
      }
      return true;
    } finally {
      for (let at = 0; at < groups; at++) table.claiming.delete(first + at);
      for (const group of owned) {
        group.busy = false;
        table.rank(group);
      }
    }
  }

  /** Claims group after group, stopping at the first that is taken. How many it got. */
  *#claimRun(first: number, before: Uint32Array, lows: Uint32Array): Protocol<number> {
    const table = this.#table;
    for (let at = 0; at < before.length; at += batchWords) {
      const end = Math.min(before.length, at + batchWords);
      const steps: WordStep[] = [];
      for (let each = at; each < end; each++) {
        const offset = groupWordOffset(this.#geometry, first + each);
        steps.push(compareExchange(offset, joinWord(0, before[each]!), joinWord(this.#high, lows[each]!)));
      }
      steps.push(this.#fence);
      let answer: BatchAnswer;
      try {
        answer = (yield batch(steps, true)) as BatchAnswer;
      } catch (error) {
        if (!interrupted(error)) {
          for (let each = 0; each < at; each++) this.#doubtFree(first + each);
          throw error;
        }
        try {
          const words = yield* reloadWords(steps.map((step) => step.offset));
          answer = words.map((word, each) => {
            if (each === words.length - 1) return word;
            const step = steps[each]!;
            return word === step.desired ? step.expected : word === step.expected ? notRun : word;
          });
        } catch (lost) {
          for (let each = 0; each < end; each++) this.#doubtFree(first + each);
          throw lost;
        }
      }
      for (let each = at; each < end; each++) {
        const found = answer[each - at]!;
        if (found === steps[each - at]!.expected) continue;
        if (found !== notRun) {
          table.claiming.delete(first + each);
          table.observe(first + each, highHalf(found as bigint), lowHalf(found as bigint));
        }
        for (let rest = found === notRun ? each : each + 1; rest < before.length; rest++) {
          table.claiming.delete(first + rest);
          table.observe(first + rest, 0, before[rest]!);
        }
        return each;
      }
      if (answer[end - at] !== this.identity.word) throw fenced('another client took over this principal');
    }
    return before.length;
  }

  *free(extent: Extent): Protocol<void> {
    if (!(extent instanceof AtomicExtent) || extent.owner !== this) {
      throw new ExomemError(
        'PermissionDenied',
        'that allocation was given out by another client, and is not ours to free',
      );
    }
    if (!extent.live) throw new ExomemError('StaleHandle', `the allocation at page ${extent.page} was freed before`);
    extent.live = false;
    const { page, pages } = extent;
    const groupPages = this.#groupPages;
    const group = Math.floor(page / groupPages);
    if (this.#doubtful) yield* this.#repair();
    if (pages <= groupPages) {
      yield* this.#drop(yield* this.#await(group), mark(0, page - group * groupPages, pages, 3));
      return;
    }
    // The un-commit of the first word is the moment at which the run is free; then the rest, last to second.
    const head = yield* this.#await(group);
    yield* this.#change(head, withBits(head.low, 0, pageBits.withheld));
    for (let at = Math.ceil(pages / groupPages) - 1; at >= 0; at--) {
      yield* this.#drop(yield* this.#await(group + at), repeatBits(Math.min(groupPages, pages - at * groupPages), 3));
    }
  }

  *release(page: number, pages: number): Protocol<void> {
    for (const { group, index, count } of this.#parts(page, pages)) {
      if (!this.#table.owned.has(group)) continue;
      const owned = yield* this.#await(group);
      const pageMask = (((1 << count) - 1) << index) & owned.constructing;
      owned.constructing &= ~pageMask;
      yield* this.#dropWithheld(owned, pageMask);
    }
  }

  /** Whoever had the file open may have written to these pages: what they hold now is not only ours. */
  *#dropWithheld(owned: OwnedGroup, pageMask: number): Protocol<void> {
    let bits = 0;
    for (let at = 0; at < this.#groupPages; at++) {
      if (pageMask & (1 << at) && bitsOf(owned.low, at) === pageBits.withheld) bits = withBits(bits, at, 3);
    }
    owned.mine &= ~pageMask;
    if (bits !== 0) yield* this.#drop(owned, bits);
  }

  dismiss(page: number, pages: number, index: number): void {
    for (const { group, index: first, count } of this.#parts(page, pages)) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) continue;
      const pageMask = (((1 << count) - 1) << first) & ~owned.constructing;
      if (pageMask === 0) continue;
      owned.dismissed |= pageMask;
      owned.dismissedAt = Math.max(owned.dismissedAt, index);
      this.#table.waiting.add(owned);
    }
  }

  judge(isNamed: (page: number) => boolean, index: number): number {
    let found = 0;
    for (const owned of this.#table.owned.values()) {
      if (!owned.unjudged) continue;
      owned.unjudged = false;
      for (let at = 0; at < this.#groupPages; at++) {
        const page = owned.group * this.#groupPages + at;
        const ours = owned.constructing & (1 << at);
        if (bitsOf(owned.low, at) !== pageBits.withheld || ours || isNamed(page)) continue;
        this.dismiss(page, 1, index);
        found++;
      }
    }
    return found;
  }

  doubtNames(): void {
    for (const owned of this.#table.owned.values()) owned.unjudged = true;
  }

  *sweep(applied: number): Protocol<number> {
    let freed = 0;
    for (const owned of [...this.#table.waiting]) {
      if (owned.dismissedAt >= applied || !this.#table.waiting.has(owned)) continue;
      if (owned.busy) continue;
      const pageMask = owned.dismissed;
      owned.dismissed = 0;
      this.#table.waiting.delete(owned);
      for (let at = 0; at < this.#groupPages; at++) freed += (pageMask >>> at) & 1;
      yield* this.#dropWithheld(yield* this.#await(owned.group), pageMask);
    }
    return freed;
  }

  get dismissed(): number {
    let count = 0;
    for (const owned of this.#table.waiting) {
      for (let at = 0; at < this.#groupPages; at++) count += (owned.dismissed >>> at) & 1;
    }
    return count;
  }

  *withhold(extent: Extent): Protocol<void> {
    if (!(extent instanceof AtomicExtent) || extent.owner !== this) {
      throw new ExomemError('PermissionDenied', 'that allocation was given out by another client');
    }
    if (!extent.live) throw new ExomemError('StaleHandle', `the allocation at page ${extent.page} was freed before`);
    extent.live = false;
    // From the first group on: once its head is 11 the run is a construction, and no reader takes it for given out.
    for (const { group, index, count } of this.#parts(extent.page, extent.pages)) {
      const owned = yield* this.#await(group);
      owned.constructing |= ((1 << count) - 1) << index;
      yield* this.#change(owned, mark(owned.low, index, count, 3));
    }
  }

  settle(page: number, pages: number): void {
    for (const { group, index, count } of this.#parts(page, pages)) {
      const owned = this.#table.owned.get(group);
      if (owned !== undefined) owned.constructing &= ~(((1 << count) - 1) << index);
    }
  }

  *discover(): Protocol<void> {
    yield* this.#scan();
  }

  *merge(from: Identity): Protocol<number> {
    const fromHigh = ownerHalf(from.principal, from.incarnation);
    let moved = 0;
    const count = this.#geometry.groupCount;
    for (let start = 0; start < count; start += tableChunk) {
      const words = yield* this.#readTable(start, Math.min(tableChunk, count - start));
      for (let at = 0; at < words.length / 2; at++) {
        if (words[2 * at + 1] !== fromHigh) continue;
        const low = words[2 * at]!;
        const expected = joinWord(fromHigh, low);
        const found = yield* exchangeSurely(
          groupWordOffset(this.#geometry, start + at),
          expected,
          joinWord(this.#high, low),
        );
        if (found !== expected) continue;
        moved++;
        if (start + at < this.#table.groups) this.#table.rank(this.#table.own(start + at, low));
      }
    }
    if ((yield* loadSurely(this.#fence)) !== this.identity.word)
      throw fenced('another client took over this principal');
    return moved;
  }

  *giveRoom(to: { principal: number; incarnation: number }, pages: number): Protocol<boolean> {
    const owned = this.#table.pickGift(pages);
    if (owned === undefined) return false;
    const { group, low } = owned;
    const toHigh = ownerHalf(to.principal, to.incarnation);
    owned.busy = true;
    try {
      const expected = joinWord(this.#high, low);
      const found = yield* exchangeSurely(groupWordOffset(this.#geometry, group), expected, joinWord(toHigh, low));
      if (found !== expected) throw yield* this.#lost(group);
      this.#table.disown(owned, toHigh, low);
      return true;
    } finally {
      owned.busy = false;
    }
  }

  *surrender(): Protocol<void> {
    if (this.#doubtful) yield* this.#repair();
    for (const group of [...this.#table.owned.keys()]) {
      const owned = yield* this.#await(group);
      let kept = owned.low;
      for (let index = 0; index < this.#groupPages; index++) {
        const named = bitsOf(owned.low, index) === pageBits.withheld && (owned.constructing & (1 << index)) === 0;
        if (!named) kept = withBits(kept, index, 0);
      }
      owned.constructing = 0;
      if (kept === 0) yield* this.#put(owned);
      else yield* this.#change(owned, kept);
    }
  }

  *inspect(): Protocol<Usage> {
    return countUsage(yield* this.#readTable(0, this.#table.groups), this.#groupPages);
  }

  *validate(): Protocol<Violation[]> {
    const table = this.#table;
    const words = yield* this.#readTable(0, table.groups);
    return checkTable(words, this.#groupPages, this.#high, table.owned, (group) => {
      const owned = table.owned.get(group);
      return (
        !table.claiming.has(group) && !this.#doubt.has(group) && owned?.busy !== true && owned?.doubt === undefined
      );
    });
  }

  explain(extent: Extent): string {
    if (!(extent instanceof AtomicExtent)) return 'another policy chose it';
    const first = Math.floor(extent.page / this.#groupPages);
    const last = Math.floor((extent.page + extent.pages - 1) / this.#groupPages);
    const where = last > first ? `groups ${first} to ${last}` : `group ${first}`;
    return `${extent.pages} page(s) from page ${extent.page} in ${where}: ${reasons[extent.reason]}`;
  }

  // ---- own words

  /** A run of pages, group by group. */
  *#parts(page: number, pages: number): Generator<{ group: number; index: number; count: number }, void, undefined> {
    const groupPages = this.#groupPages;
    for (let at = page; at < page + pages; ) {
      const group = Math.floor(at / groupPages);
      const end = Math.min(page + pages, (group + 1) * groupPages);
      yield { group, index: at - group * groupPages, count: end - at };
      at = end;
    }
  }

  /** Waits until no other operation of ours is at that group. */
  *#await(group: number): Protocol<OwnedGroup> {
    for (;;) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) throw fenced(`group ${group} is no longer ours`);
      if (!owned.busy) {
        if (owned.doubt === undefined) return owned;
        yield* this.#repair();
      }
      yield pause(0);
    }
  }

  /** Takes the pages of `bits` (11 for each) out of an own word; a group without pages is given up, but for a spare one. */
  *#drop(owned: OwnedGroup, bits: number): Protocol<void> {
    const left = (owned.low & ~bits) >>> 0;
    if (left !== 0) {
      yield* this.#change(owned, left);
    } else if (this.#table.keepsEmpty(owned)) {
      this.#table.spare = owned;
      yield* this.#change(owned, 0);
    } else {
      yield* this.#put(owned);
    }
  }

  /** An own word gets another low half and stays ours. */
  *#change(owned: OwnedGroup, low: number): Protocol<void> {
    const expected = joinWord(this.#high, owned.low);
    const desired = joinWord(this.#high, low);
    if (low === owned.low) return;
    const offset = groupWordOffset(this.#geometry, owned.group);
    owned.busy = true;
    try {
      let found: bigint;
      try {
        found = (yield compareExchange(offset, expected, desired)) as bigint;
      } catch (error) {
        if (!interrupted(error)) throw error;
        try {
          const word = (yield* reloadWords([offset]))[0]!;
          found =
            word === desired ? expected : word === expected ? yield* exchangeSurely(offset, expected, desired) : word;
        } catch (lost) {
          this.#doubtOwn(owned, low);
          throw lost;
        }
      }
      if (found !== expected) throw yield* this.#lost(owned.group);
      owned.low = low;
    } finally {
      owned.busy = false;
      this.#table.rank(owned);
    }
  }

  /** An own group goes back to everybody. */
  *#put(owned: OwnedGroup): Protocol<void> {
    const { group } = owned;
    const expected = joinWord(this.#high, owned.low);
    const clean = this.#table.cleanLow(owned);
    owned.busy = true;
    try {
      let found: bigint;
      try {
        found = yield* exchangeSurely(groupWordOffset(this.#geometry, group), expected, joinWord(0, clean));
      } catch (lost) {
        this.#doubtOwn(owned, 0);
        throw lost;
      }
      // After a lost reply the word may be anybody's already: a release that is not ours any more has happened.
      if (found === expected) this.#table.disown(owned, 0, clean);
      else if (highHalf(found) === this.#high) throw yield* this.#lost(group);
      else this.#table.disown(owned, highHalf(found), lowHalf(found));
    } finally {
      owned.busy = false;
      this.#table.rank(owned);
    }
  }

  /** An own word shows something that we did not write: the only honest reason is that we were declared dead. */
  *#lost(group: number): Protocol<ExomemError> {
    if ((yield* loadSurely(this.#fence)) !== this.identity.word)
      return fenced('another client took over this principal');
    const word = yield* loadSurely(load(groupWordOffset(this.#geometry, group)));
    return new ExomemError(
      'Damaged',
      `the word of group ${group} is 0x${word.toString(16)}, changed by somebody who does not own it`,
    );
  }

  /** Brings groups that were left in doubt to the state that they must have. */
  *#repair(): Protocol<void> {
    const table = this.#table;
    for (const group of [...this.#doubt]) {
      if (table.claiming.has(group)) continue;
      table.claiming.add(group);
      try {
        const word = (yield* reloadWords([groupWordOffset(this.#geometry, group)]))[0]!;
        this.#doubt.delete(group);
        table.claiming.delete(group);
        if (highHalf(word) === this.#high) yield* this.#put(table.own(group, lowHalf(word)));
        else table.observe(group, highHalf(word), lowHalf(word));
      } finally {
        table.claiming.delete(group);
      }
    }
    for (const owned of [...table.owned.values()]) {
      if (owned.doubt === undefined || owned.busy) continue;
      const low = owned.doubt;
      owned.busy = true;
      try {
        const word = (yield* reloadWords([groupWordOffset(this.#geometry, owned.group)]))[0]!;
        owned.doubt = undefined;
        if (highHalf(word) !== this.#high) {
          table.disown(owned, highHalf(word), lowHalf(word));
          continue;
        }
        owned.low = lowHalf(word);
      } finally {
        owned.busy = false;
      }
      if (low === 0) yield* this.#put(owned);
      else yield* this.#change(owned, low);
    }
    this.#doubtful = this.#doubt.size > 0 || [...table.owned.values()].some((owned) => owned.doubt !== undefined);
  }

  // ---- the table

  *#readTable(start: number, count: number): Protocol<Uint32Array> {
    const words = new Uint32Array(2 * count);
    const offset = groupWordOffset(this.#geometry, start);
    yield* retried(function* () {
      yield read(offset, new Uint8Array(words.buffer));
    });
    return words;
  }

  *#scan(): Protocol<void> {
    const table = this.#table;
    table.beginScan();
    for (let start = 0; start < table.groups; start += tableChunk) {
      const words = yield* this.#readTable(start, Math.min(tableChunk, table.groups - start));
      for (let at = 0; at < words.length / 2; at++) {
        const group = start + at;
        const high = words[2 * at + 1]!;
        if (high === this.#high && this.#unknown(group)) {
          // Ours, and we did not know: read again, since a release of our own may have overtaken this read.
          const word = yield* loadSurely(load(groupWordOffset(this.#geometry, group)));
          if (highHalf(word) === this.#high && this.#unknown(group)) {
            table.rank(table.own(group, lowHalf(word)));
            continue;
          }
        }
        table.observe(group, high, words[2 * at]!);
      }
    }
    table.endScan();
  }

  #refusal(pages: number): ExomemError {
    const { free, longest } = this.#table.capacity();
    if (free >= pages) {
      return new ExomemError(
        'Fragmented',
        `${free} pages are free, the longest run that can be had has ${longest}: ${pages} do not fit`,
      );
    }
    return new ExomemError('RegionFull', `${pages} page(s) were asked for, and this client could have ${free}`);
  }

  // ---- alignment

  /** The first page of the group that is aligned; beyond the group if there is none. */
  #firstIndex(group: number, alignment: number): number {
    if (alignment <= this.#geometry.pageSize) return 0;
    const start = pageOffset(this.#geometry, group * this.#groupPages);
    const over = start % alignment;
    return over === 0 ? 0 : Math.ceil((alignment - over) / this.#geometry.pageSize);
  }

  #unknown(group: number): boolean {
    return !this.#table.owned.has(group) && !this.#table.claiming.has(group) && !this.#doubt.has(group);
  }
}

function loadSurely(step: WordStep): Protocol<bigint> {
  return retried(function* () {
    return (yield step) as bigint;
  });
}

/** `low` with `pages` pages from `index` on in use: named, or a run whose head is withheld until it is zeroed. */
function markUse(low: number, index: number, pages: number, named: boolean, zero: boolean): number {
  if (named) return mark(low, index, pages, pageBits.withheld);
  let marked = withBits(low, index, zero ? pageBits.withheld : pageBits.head);
  for (let at = 1; at < pages; at++) marked = withBits(marked, index + at, pageBits.continuation);
  return marked;
}

/** `low` with the bits of `pages` pages from `index` on replaced. */
function mark(low: number, index: number, pages: number, bits: number): number {
  let marked = low;
  for (let at = index; at < index + pages; at++) marked = withBits(marked, at, bits);
  return marked;
}

/** The policy `atomic`. */
export const atomic: AllocationPolicy = {
  name: 'atomic',
  apiVersion: 1,
  create: (context) => new AtomicAllocator(context),
};
