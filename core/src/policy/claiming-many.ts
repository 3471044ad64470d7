import { ExomemError, isExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { batch, drain, random } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { joinWord } from '../region/words.js';
import type { BatchAnswer, WordStep } from '../transport/step.js';
import { compareExchange } from '../transport/step.js';
import { type Claiming, take } from './claiming.js';
import { HeldExtent, partsOf, spend } from './extents.js';
import { type GroupTable, looksGiven, type OwnedGroup } from './group-table.js';
import { clearAll } from './initialisation.js';
import { checkCount, type ManyRequest } from './many.js';
import { batchWords, type OwnWords, type WordChange } from './own-words.js';
import type { Need, Placement } from './placement.js';
import { firstFit } from './placements/first-fit.js';
import type { Extent } from './policy.js';
import type { TableReading } from './reading.js';
import { checkRequest, needOf } from './request.js';
import { interrupted } from './resolve.js';
import { allMask, runBits, runMask } from './run-bits.js';
import { Search } from './search.js';

/** What one word gives to a claim of many. */
interface Share {
  readonly group: number;
  /** Ours before; undefined: nobody's. */
  readonly before: OwnedGroup | undefined;
  /** The low half that it must have, the one it gets, and the one that it has in the end. */
  readonly expected: number;
  readonly low: number;
  readonly final: number;
  /** Where the runs begin, as page indexes in the group, and all their pages: bit per page, and as a mask. */
  readonly indexes: readonly number[];
  readonly set: number;
  readonly mask: number;
  /** Those of `indexes` whose pages are to be zeroed. */
  readonly dirty: readonly number[];
}

/**
 * How an allocator takes and gives back many runs of the same size. Each group word takes as many of them as fit, and up to
 * {@link batchWords} words are claimed by one batch, which ends with a read of the own principal word (R4). The claims of a
 * batch stand each for itself: what others were faster at is looked for elsewhere, in the next. Runs are committed by the
 * claim, before the caller has any of them: who adopts or recovers sees all that was given out, or more.
 */
export class ClaimingMany {
  readonly #geometry: Geometry;
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #reading: TableReading;
  readonly #claiming: Claiming;
  readonly #placement: Placement;
  readonly #owner: object;

  constructor(words: OwnWords, reading: TableReading, claiming: Claiming, placement: Placement, owner: object) {
    this.#geometry = words.geometry;
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#reading = reading;
    this.#claiming = claiming;
    this.#placement = placement;
    this.#owner = owner;
  }

  *allocate(request: ManyRequest): Protocol<readonly Extent[]> {
    const words = this.#words;
    checkRequest(request, this.#geometry, this.#table.groups);
    checkCount(request, this.#table.groups * this.#groupPages);
    if (words.trouble) yield* words.repair();
    const taken = new Taken(this.#groupPages, this.#owner);
    let settled = false;
    try {
      if (request.pages > this.#groupPages) yield* this.#allocateLong(request, taken);
      else yield* this.#allocateShort(request, taken);
      settled = true;
    } catch (error) {
      const refused = isExomemError(error) && ['RegionFull', 'Fragmented', 'DeadlineExceeded'].includes(error.code);
      if (refused && taken.extents.length > 0) {
        const ours = [...taken.masks.keys()].filter((owned) => this.#table.owned.get(owned.group) === owned);
        yield* words.awaitAll(ours.map(({ group }) => group));
        // From here on what cannot be given back is owed by that.
        settled = true;
        yield* words.changeAll(farthestFirst(ours.map((owned) => ({ owned, mask: taken.masks.get(owned)!, bits: 0 }))));
      }
      throw error;
    } finally {
      if (!settled) for (const [owned, mask] of taken.masks) words.owe(owned, mask, 0);
    }
    return taken.extents;
  }

  /** Runs that are longer than a group: one after the other, each by a batch of its own. */
  *#allocateLong(request: ManyRequest, taken: Taken): Protocol<void> {
    const { count, ...one } = request;
    while (taken.extents.length < count) {
      let extent: HeldExtent;
      try {
        extent = (yield* this.#claiming.allocate(one)) as HeldExtent;
      } catch (error) {
        const full = isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented');
        throw full ? this.#refusal(request, taken.extents.length) : error;
      }
      for (const { group, mask } of partsOf(extent.page, extent.pages, this.#groupPages)) {
        taken.mark(this.#table.owned.get(group)!, mask);
      }
      taken.extents.push(extent);
    }
  }

  *#allocateShort(request: ManyRequest, taken: Taken): Protocol<void> {
    const { count } = request;
    const search = new Search(this.#words, this.#reading, request, () => this.#refusal(request, taken.extents.length));
    for (let lost = 0; taken.extents.length < count; ) {
      const left = count - taken.extents.length;
      // Others take the lowest free groups too: after a race was lost, step aside by a random part of what is wanted.
      const aside = Math.min(batchWords, Math.ceil(left / this.#groupPages)) * 2 ** Math.min(lost, 2);
      const skip = lost === 0 ? 0 : ((yield random) as number) % aside;
      const shares = this.#choose(request, left, skip, search.settled);
      if (shares.length === 0) {
        yield* search.lookAgain();
        lost = 0;
        continue;
      }
      const { group } = shares.at(-1)!;
      if (yield* this.#claim(shares, request.pages, taken)) {
        lost = 0;
      } else {
        yield* search.missed(group);
        lost++;
      }
    }
  }

  /**
   * Words with room, where the placement puts one run after the other, as many as one batch takes. They are marked:
   * nothing else of ours touches them.
   */
  #choose(request: ManyRequest, wanted: number, skip: number, anywhere: boolean): Share[] {
    const table = this.#table;
    const need = { ...needOf(request, this.#geometry), skip };
    const shares: Share[] = [];
    let done = false;
    try {
      for (let left = wanted; left > 0 && shares.length < batchWords; ) {
        let page = this.#placement.place(table, need);
        // A placement prefers, it cannot refuse.
        if (page < 0 && anywhere) page = firstFit.place(table, need);
        if (page < 0) break;
        const kind = table.kindOf(page, need) ?? this.#claiming.refuse(page, need);
        let group = Math.floor(page / this.#groupPages);
        if (kind === 'started') {
          const owned = table.ownedAt(group)!;
          const share = this.#share(group, owned, need, left, request.initialise);
          owned.busy = true;
          shares.push(share);
          left -= share.indexes.length;
          continue;
        }
        // From there on through the free groups behind it: a placement is not asked about each of thousands.
        do {
          const share = this.#share(group, undefined, need, left, request.initialise);
          table.claim(group);
          shares.push(share);
          left -= share.indexes.length;
          group++;
        } while (left > 0 && shares.length < batchWords && this.#isPlace(group, need));
      }
      done = true;
    } finally {
      // A placement of somebody else's may throw anything.
      if (!done) for (const share of shares) this.#leave(share);
    }
    return shares;
  }

  /** Whether that group is nobody's, and runs fit into it. */
  #isPlace(group: number, need: Need): boolean {
    const page = group < this.#table.groups ? this.#table.placeInFree(group, need) : -1;
    return page >= 0 && this.#table.kindOf(page, need) === 'free';
  }

  /** A share is not claimed after all. */
  #leave({ group, before, expected }: Share): void {
    if (before !== undefined) {
      before.busy = false;
      this.#table.rank(before);
      return;
    }
    this.#table.claiming.delete(group);
    this.#table.observe(group, 0, expected);
  }

  /** Lays as many runs as are left into one group, from its beginning on. */
  #share(
    group: number,
    owned: OwnedGroup | undefined,
    need: Need,
    left: number,
    initialise: ManyRequest['initialise'],
  ): Share {
    const { pages } = need;
    const table = this.#table;
    const groupPages = this.#groupPages;
    const before = owned === undefined ? table.freeLow(group) : owned.low;
    const zeroed =
      owned === undefined ? cleanSet(before, groupPages) : initialise === 'none' ? owned.mine : owned.clean;
    const indexes: number[] = [];
    const dirty: number[] = [];
    let set = 0;
    let mask = 0;
    /** What is in use, with the runs so far. */
    let low = owned === undefined ? 0 : before;
    let final = low;
    while (indexes.length < left) {
      const page = table.placeIn({ group, low: final }, need);
      if (page < 0) break;
      const index = page - group * groupPages;
      const run = ((1 << pages) - 1) << index;
      const zero = (run & ~zeroed) !== 0;
      set |= run;
      mask = (mask | runMask(index, pages)) >>> 0;
      low = (low | runBits(index, pages, zero)) >>> 0;
      final = (final | runBits(index, pages, false)) >>> 0;
      indexes.push(index);
      if (zero) dirty.push(index);
    }
    const at = indexes[0]!;
    if (owned === undefined && looksGiven(low, groupPages)) {
      // Lone pages under construction would look given; that one of them continues another says that they are not.
      const two = at + 1 < groupPages ? at : at - 1;
      low = ((low & ~runMask(two, 2)) | runBits(two, 2, true)) >>> 0;
    }
    return { group, before: owned, expected: before, low, final, indexes, set, mask, dirty };
  }

  /** Claims them all by one batch. False: somebody was faster at some of them, or the reply was lost and all was taken back. */
  *#claim(shares: readonly Share[], pages: number, taken: Taken): Protocol<boolean> {
    const words = this.#words;
    const steps: WordStep[] = shares.map(({ group, before, expected, low }) =>
      compareExchange(words.offset(group), joinWord(before ? words.high : 0, expected), joinWord(words.high, low)),
    );
    let answer: BatchAnswer | undefined;
    try {
      const answers = (yield batch([...steps, words.fence])) as BatchAnswer;
      words.checkPrincipal(answers.at(-1));
      answer = answers;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      if (answer === undefined) {
        for (const { group, before, mask } of shares) {
          if (before === undefined) words.mayHaveClaimed(group);
          else this.#release(before, mask);
        }
      }
    }
    if (answer === undefined) {
      yield* words.repair();
      return false;
    }
    return yield* this.#take(shares, steps, answer, pages, taken);
  }

  *#take(
    shares: readonly Share[],
    steps: readonly WordStep[],
    answer: BatchAnswer,
    pages: number,
    taken: Taken,
  ): Protocol<boolean> {
    const words = this.#words;
    const table = this.#table;
    const unready: [Share, OwnedGroup][] = [];
    let all = true;
    let lost: number | undefined;
    for (const [at, share] of shares.entries()) {
      const { group, before, low, expected, set, dirty } = share;
      if (before === undefined) table.claiming.delete(group);
      if (answer[at] !== steps[at]!.expected) {
        all = false;
        if (before === undefined) words.observe(group, answer[at] as bigint);
        else {
          lost = group;
          this.#release(before, 0);
        }
        continue;
      }
      const owned = before ?? table.own(group, low, expected);
      owned.low = low;
      owned.busy = dirty.length > 0;
      if (owned.busy) unready.push([share, owned]);
      else {
        take(owned, set, false);
        taken.give(share, owned, pages);
        this.#settle(owned);
      }
    }
    try {
      // Nobody but us changes an own word: this says that we were declared dead.
      if (lost !== undefined) yield* words.lost(lost);
    } finally {
      if (lost !== undefined)
        for (const [{ before, mask }, owned] of unready) this.#release(owned, before ? mask : allMask);
    }
    if (unready.length === 0) return all;
    return (yield* this.#initialise(unready, pages, taken)) && all;
  }

  /** Zeroes what is not known to be zero, and commits it. False: a reply was lost, and it was taken back. */
  *#initialise(unready: readonly [Share, OwnedGroup][], pages: number, taken: Taken): Protocol<boolean> {
    const words = this.#words;
    let done = false;
    try {
      const runs = unready.flatMap(([{ group, dirty }]) =>
        dirty.map((index) => ({ page: group * this.#groupPages + index, pages })),
      );
      yield* clearAll(this.#geometry, runs);
      const steps = unready.map(([{ group, final }, { low }]) =>
        compareExchange(words.offset(group), joinWord(words.high, low), joinWord(words.high, final)),
      );
      const answer = (yield batch([...steps, words.fence])) as BatchAnswer;
      words.checkPrincipal(answer.at(-1));
      for (const [at, [share, owned]] of unready.entries()) {
        if (answer[at] !== steps[at]!.expected) yield* words.lost(owned.group);
        owned.low = share.final;
      }
      for (const [share, owned] of unready) {
        take(owned, share.set, false);
        taken.give(share, owned, pages);
      }
      done = true;
    } catch (error) {
      if (!interrupted(error)) throw error;
    } finally {
      for (const [{ before, mask }, owned] of unready) {
        if (done) this.#settle(owned);
        else this.#release(owned, before ? mask : allMask);
      }
    }
    if (!done) yield* words.repair();
    return done;
  }

  /** An own word is open to others of our operations again; what it gained is in use. */
  #settle(owned: OwnedGroup): void {
    owned.busy = false;
    if (this.#table.spare === owned) this.#table.spare = undefined;
    this.#table.rank(owned);
  }

  /** The same, and the pages of `mask` are to become free; the word must be read again. */
  #release(owned: OwnedGroup, mask: number): void {
    owned.busy = false;
    this.#words.owe(owned, mask, 0);
    this.#table.rank(owned);
  }

  #refusal({ count, pages }: ManyRequest, had: number): ExomemError {
    const { free } = this.#table.capacity();
    const what = `${count} runs of ${pages} page(s) were asked for, and this client could have ${had} of them`;
    return new ExomemError(free + had * pages >= count * pages ? 'Fragmented' : 'RegionFull', what);
  }

  // ---- giving back

  *free(extents: readonly Extent[]): Protocol<void> {
    const spent = spendAll(extents, this.#owner);
    const words = this.#words;
    let begun = false;
    try {
      // Nothing of ours may still be on its way to these pages when they become somebody else's (R8).
      yield drain;
      if (words.trouble) yield* words.repair();
      const masks = new Map<number, number>();
      let long = false;
      for (const { page, pages } of spent) {
        if (pages > this.#groupPages) long = true;
        for (const { group, mask } of partsOf(page, pages, this.#groupPages)) {
          masks.set(group, ((masks.get(group) ?? 0) | mask) >>> 0);
        }
      }
      const all = yield* words.awaitAll([...masks.keys()]);
      begun = true;
      const changes = all.map((owned) => ({ owned, mask: masks.get(owned.group)!, bits: 0 }));
      yield* words.changeAll(farthestFirst(changes), long);
    } finally {
      if (!begun) for (const extent of spent) extent.live = true;
    }
  }
}

/** What a claim of many has so far. */
class Taken {
  readonly extents: HeldExtent[] = [];
  /** Their pages in each word. */
  readonly masks = new Map<OwnedGroup, number>();
  readonly #groupPages: number;
  readonly #owner: object;

  constructor(groupPages: number, owner: object) {
    this.#groupPages = groupPages;
    this.#owner = owner;
  }

  mark(owned: OwnedGroup, mask: number): void {
    this.masks.set(owned, ((this.masks.get(owned) ?? 0) | mask) >>> 0);
  }

  give({ group, before, indexes, mask }: Share, owned: OwnedGroup, pages: number): void {
    const origin = before === undefined ? 'free' : 'started';
    for (const index of indexes) {
      this.extents.push(new HeldExtent(group * this.#groupPages + index, pages, false, this.#owner, origin));
    }
    this.mark(owned, mask);
  }
}

function farthestFirst(changes: WordChange[]): WordChange[] {
  return changes.sort((one, other) => other.owned.group - one.owned.group);
}

/** The pages that a word which nobody owns shows as clean, a bit per page. */
function cleanSet(low: number, groupPages: number): number {
  let set = 0;
  for (let index = 0; index < groupPages; index++) if (((low >>> (30 - 2 * index)) & 1) === 1) set |= 1 << index;
  return set;
}

/** All of them, or none. @throws `PermissionDenied`, `StaleHandle`, `InvalidArgument` */
function spendAll(extents: readonly Extent[], owner: object): HeldExtent[] {
  const spent: HeldExtent[] = [];
  try {
    for (const extent of extents) {
      const held = spend(extent, owner);
      spent.push(held);
      if (!held.named) continue;
      throw new ExomemError('InvalidArgument', `the pages from ${extent.page} on are withheld for a name`);
    }
  } catch (error) {
    for (const extent of spent) extent.live = true;
    throw error;
  }
  return spent;
}
