import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { random } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import type { BatchAnswer } from '../transport/step.js';
import { HeldExtent, type Origin } from './extents.js';
import { type GroupTable, looksGiven, type OwnedGroup } from './group-table.js';
import { clear } from './initialisation.js';
import type { OwnWords } from './own-words.js';
import type { Need, Placement } from './placement.js';
import { firstFit } from './placements/first-fit.js';
import type { AllocationRequest, Extent } from './policy.js';
import type { TableReading } from './reading.js';
import { checkRequest, needOf } from './request.js';
import { interrupted } from './resolve.js';
import { allMask, runBits, runMask } from './run-bits.js';
import { Search } from './search.js';

/** How an allocator takes pages. */
export class Claiming {
  readonly #geometry: Geometry;
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #reading: TableReading;
  /** Whose extents they are. */
  readonly #owner: object;

  readonly #placement: Placement;
  /** What is asked for most, by pages: they lie anywhere in a group. */
  readonly #needs: Need[] = [];

  constructor(words: OwnWords, reading: TableReading, placement: Placement, owner: object) {
    this.#geometry = words.geometry;
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#reading = reading;
    this.#placement = placement;
    this.#owner = owner;
  }

  *allocate(request: AllocationRequest): Protocol<Extent> {
    checkRequest(request, this.#geometry, this.#table.groups);
    if (this.#words.trouble) yield* this.#words.repair();
    const { pages, alignment } = request;
    if (pages <= this.#groupPages && (alignment ?? 0) <= this.#geometry.pageSize) {
      // The usual case at once: each generator that delegates costs as much as the exchange itself.
      const need = (this.#needs[pages] ??= needOf(request, this.#geometry));
      const page = this.#placement.place(this.#table, need);
      const group = Math.floor(page / this.#groupPages);
      const owned = this.#table.ownedAt(group);
      if (owned !== undefined) {
        const index = page - group * this.#groupPages;
        if (!this.#table.hasPlace(owned, index, pages)) this.refuse(page, need);
        const extent = yield* this.#useOwn(owned, index, request, 'started');
        if (extent !== undefined) return extent;
      }
    }
    return yield* this.#search(request);
  }

  *#search(request: AllocationRequest): Protocol<Extent> {
    const { pages, named } = request;
    const groupPages = this.#groupPages;
    const table = this.#table;
    const need = needOf(request, this.#geometry);
    const search = new Search(this.#words, this.#reading, request);
    for (let lost = 0; ; ) {
      // Others look for the same places: after a race was lost, step aside by a random few.
      const skip = lost === 0 ? 0 : ((yield random) as number) % 2 ** Math.min(lost, 6);
      let page = this.#placement.place(table, skip === 0 ? need : { ...need, skip });
      // A placement prefers, it cannot refuse.
      const elsewhere = page < 0 && search.settled;
      if (elsewhere) page = firstFit.place(table, need);
      if (page < 0) {
        yield* search.lookAgain();
        lost = 0;
        continue;
      }
      const kind = table.kindOf(page, need) ?? this.refuse(page, need);
      const origin = elsewhere ? 'elsewhere' : kind;
      const group = Math.floor(page / groupPages);
      if (kind === 'groups') {
        const done = yield* this.#useRun(group, need.groups, request);
        if (done) return new HeldExtent(page, pages, named === true, this.#owner, origin);
      } else {
        const extent =
          kind === 'started'
            ? yield* this.#useOwn(table.owned.get(group)!, page % groupPages, request, origin)
            : yield* this.#useFree(group, page % groupPages, request, origin);
        if (extent !== undefined) return extent;
        if (kind === 'free') lost++;
      }
      yield* search.missed(group);
    }
  }

  /** The placement chose what is not free, as far as we know. */
  refuse(page: number, { pages }: Need): never {
    throw new ExomemError(
      'InvalidArgument',
      `the placement "${this.#placement.name}" put ${pages} page(s) at page ${page}, where there is no room for them`,
      { advice: 'mend its place(); another placement, or none, allocates in the same region' },
    );
  }

  /** Takes pages of a group that is ours. Undefined: a reply was lost, and it was taken back. */
  *#useOwn(
    owned: OwnedGroup,
    index: number,
    request: AllocationRequest,
    origin: Origin,
  ): Protocol<HeldExtent | undefined> {
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
        yield* clear(this.#geometry, owned.group * this.#groupPages + index, pages);
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
    if (done) {
      return new HeldExtent(owned.group * this.#groupPages + index, pages, named === true, this.#owner, origin);
    }
    yield* words.repair();
    return undefined;
  }

  /** Claims a group that nobody owns, and takes pages of it. Undefined: somebody was faster, or a reply was lost. */
  *#useFree(
    group: number,
    index: number,
    request: AllocationRequest,
    origin: Origin,
  ): Protocol<HeldExtent | undefined> {
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
        yield* clear(this.#geometry, group * this.#groupPages + index, pages);
        if (named !== true) yield* words.claimOwn(owned, runBits(index, pages, false));
      }
      take(owned, ((1 << pages) - 1) << index, named === true);
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      owned.busy = false;
      if (!done) words.owe(owned, allMask, 0);
      this.#table.rank(owned);
    }
    if (done) return new HeldExtent(group * this.#groupPages + index, pages, named === true, this.#owner, origin);
    yield* words.repair();
    return undefined;
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
    /** What the words end as, if not as they are claimed; else only the head is left to be changed. */
    let finals: Uint32Array | undefined;
    if (named !== true && !words.stops) {
      // Groups behind one that is taken are claimed, too: nobody may see them as the end of another run of ours.
      finals = lows.slice();
      finals[0] = commit;
      for (let at = 0; at < groups; at++) {
        const low = runMask(0, Math.min(groupPages, pages - at * groupPages));
        lows[at] = looksGiven(low, groupPages) ? ((low & ~runMask(0, 2)) | runBits(0, 2, true)) >>> 0 : low;
      }
    } else if (named !== true) lows[0] = (lows[0]! | runMask(0, 1)) >>> 0;
    const atOnce = named !== true && words.stops && dirty.length === 0;
    const owned = yield* words.claimRun({ first, before, lows, commit: atOnce ? commit : undefined });
    if (owned.length < groups) {
      yield* words.changeAll(owned.reverse().map((one) => ({ owned: one, mask: allMask, bits: 0 })));
      return false;
    }
    let done = false;
    for (const one of owned) one.busy = true;
    try {
      for (let at = 0; at < dirty.length; ) {
        let end = at + 1;
        while (end < dirty.length && dirty[end] === dirty[end - 1]! + 1) end++;
        const from = dirty[at]! * groupPages;
        yield* clear(
          this.#geometry,
          first * groupPages + from,
          Math.min(pages, (dirty[end - 1]! + 1) * groupPages) - from,
        );
        at = end;
      }
      if (finals !== undefined) yield* words.commitRun(owned, finals);
      else if (named !== true && !atOnce) yield* words.claimOwn(owned[0]!, commit);
      for (const [at, one] of owned.entries()) {
        take(one, (1 << Math.min(groupPages, pages - at * groupPages)) - 1, named === true);
      }
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      for (const one of owned) {
        one.busy = false;
        if (!done) words.owe(one, allMask, 0);
        this.#table.rank(one);
      }
    }
    if (!done) yield* words.repair();
    return done;
  }
}

/** Pages are in use from now on. */
export function take(owned: OwnedGroup, set: number, named: boolean): void {
  // They were let go once, and perhaps twice: whoever takes them now must not lose them to that.
  owned.dismissed &= ~set;
  owned.clean &= ~set;
  owned.mine |= set;
  if (named) owned.constructing |= set;
}
