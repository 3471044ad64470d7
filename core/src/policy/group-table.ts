import type { Geometry } from '../region/geometry.js';
import { pageOffset, userGroups } from '../region/geometry.js';
import { pageBits } from '../region/words.js';
import { FreeRuns, type GroupRun } from './free-runs.js';
import type { FreeSpace, Need, PlaceKind, StartedGroup } from './placement.js';
import { firstRoom, freePages, hasRoom, runMask } from './run-bits.js';

/** A group whose word carries our principal: nobody else changes it, so this is what it says. */
export class OwnedGroup {
  /** Pages (bit per page) that are known to be zero. */
  clean = 0;
  /** Pages whose bytes are zero or were written last by this principal. */
  mine = 0;
  /** Withheld pages that are ours to name or to drop: no name can refer to them yet. */
  constructing = 0;
  /** Withheld pages that the log names no more; nobody may look at them once the record at `dismissedAt` is applied. */
  dismissed = 0;
  dismissedAt = 0;
  /** It came from another principal: which of its withheld pages are named, the log must tell. */
  unjudged = false;
  /** An operation on its word is under way. */
  busy = false;
  /** The fate of a step on its word is unknown, or a change of it is owed: `repair` is due before anything else. */
  doubt = false;
  /** What is owed: these bits of the low half are to become `owedBits`. */
  owedMask = 0;
  owedBits = 0;
  /** The step whose fate is unknown gave the group up or away. */
  leaving = false;
  /** Free pages, as the index of the set it is ranked in; -1 if in none. */
  rank = -1;
  constructor(
    readonly group: number,
    public low: number,
  ) {}

  /** These bits of the low half are to become `bits`, as soon as that can be done. */
  owe(mask: number, bits: number): void {
    this.owedMask = (this.owedMask | mask) >>> 0;
    this.owedBits = ((this.owedBits & ~mask) | bits) >>> 0;
    this.doubt = true;
  }
}

/**
 * What one allocator believes of the table of group words. What it says of own groups is the truth; of others it is a
 * hint that may be arbitrarily old: a compareExchange decides.
 */
export class GroupTable implements FreeSpace {
  readonly geometry: Geometry;
  readonly groups: number;
  readonly groupPages: number;
  readonly owned = new Map<number, OwnedGroup>();
  /** Own groups with dismissed pages. */
  readonly waiting = new Set<OwnedGroup>();
  /** Groups that an operation of ours is about to claim, or has perhaps claimed. */
  readonly claiming = new Set<number>();
  /** Words that ceased to be ours so far. */
  disowned = 0;
  /** The own group that is kept although it is empty, so that a lone allocation need not claim one each time. */
  spare: OwnedGroup | undefined;
  /** Groups that nobody owned when we looked last. */
  readonly #free: FreeRuns;
  /** The low halves of those. */
  readonly #lows: Uint32Array;
  readonly #ranks: Set<OwnedGroup>[];
  /** The own group that served last; it is in no rank. */
  #current: OwnedGroup | undefined;

  constructor(geometry: Geometry) {
    this.geometry = geometry;
    this.groups = userGroups(geometry);
    this.groupPages = geometry.groupPages;
    this.#free = new FreeRuns(this.groups);
    this.#lows = new Uint32Array(this.groups);
    this.#ranks = Array.from({ length: this.groupPages + 1 }, () => new Set());
  }

  // ---- what a placement sees

  fullest(need: Need): number {
    const current = this.#current;
    if (current !== undefined && !current.busy && !current.doubt) {
      const page = this.placeIn(current, need);
      if (page >= 0) return page;
    }
    for (let free = need.pages; free <= this.groupPages; free++) {
      for (const owned of this.#ranks[free]!) {
        if (owned.busy || owned.doubt) continue;
        const page = this.placeIn(owned, need);
        if (page < 0) continue;
        this.#ranks[free]!.delete(owned);
        owned.rank = -1;
        this.#current = owned;
        if (current !== undefined) this.rank(current);
        return page;
      }
    }
    return -1;
  }

  *started(pages: number): Iterable<OwnedGroup> {
    const current = this.#current;
    if (current !== undefined && !current.busy && !current.doubt) yield current;
    for (let free = pages; free <= this.groupPages; free++) {
      for (const owned of this.#ranks[free]!) if (!owned.busy && !owned.doubt) yield owned;
    }
  }

  placeIn({ group, low }: StartedGroup, need: Need): number {
    const { pages } = need;
    const { groupPages } = this;
    const first = group * groupPages;
    if (this.#fitsAnywhere(need)) {
      const index = firstRoom(low, pages, groupPages);
      return index < 0 ? -1 : first + index;
    }
    for (let index = 0; index + pages <= groupPages; index++) {
      if (hasRoom(low, index, pages) && this.#mayBegin(first + index, need)) return first + index;
    }
    return -1;
  }

  placeInFree(group: number, need: Need): number {
    return this.placeIn({ group, low: 0 }, need);
  }

  mayBegin(group: number, need: Need): boolean {
    return this.#fitsAnywhere(need) || this.#mayBegin(group * this.groupPages, need);
  }

  #fitsAnywhere({ alignment }: Need): boolean {
    return alignment <= this.geometry.pageSize;
  }
  #mayBegin(page: number, { alignment }: Need): boolean {
    return pageOffset(this.geometry, page) % alignment === 0;
  }

  nextRun(groups: number, from?: number): GroupRun | undefined {
    return this.#free.next(groups, from);
  }
  previousRun(groups: number, before?: number): GroupRun | undefined {
    return this.#free.previous(groups, before);
  }

  /** The own group of that number. */
  ownedAt(group: number): OwnedGroup | undefined {
    const current = this.#current;
    return current !== undefined && current.group === group ? current : this.owned.get(group);
  }

  /** Whether there is room in an own group that can be used now. */
  hasPlace(owned: OwnedGroup, index: number, pages: number): boolean {
    if ((index | 0) !== index || index + pages > this.groupPages) return false;
    return !owned.busy && !owned.doubt && hasRoom(owned.low, index, pages);
  }

  /** What a place that a placement chose is; undefined if it is none. */
  kindOf(page: number, need: Need): PlaceKind | undefined {
    const { pages, groups } = need;
    const group = Math.floor(page / this.groupPages);
    const index = page - group * this.groupPages;
    if (!Number.isInteger(page) || page < 0) return undefined;
    if (!this.#fitsAnywhere(need) && !this.#mayBegin(page, need)) return undefined;
    if (groups > 0) {
      if (index !== 0 || group + groups > this.groups) return undefined;
      for (let at = group; at < group + groups; at++) if (!this.#free.has(at)) return undefined;
      return 'groups';
    }
    if (index + pages > this.groupPages) return undefined;
    const owned = this.ownedAt(group);
    if (owned === undefined) return this.#free.has(group) ? 'free' : undefined;
    return this.hasPlace(owned, index, pages) ? 'started' : undefined;
  }

  // ---- what the allocator does with it

  /** Puts a group where its room says, after its word or its state changed. */
  rank(owned: OwnedGroup): void {
    if (owned === this.#current) return;
    if (owned.rank >= 0) this.#ranks[owned.rank]!.delete(owned);
    owned.rank = -1;
    if (owned.busy || owned.doubt || this.owned.get(owned.group) !== owned) return;
    const room = freePages(owned.low, this.groupPages);
    if (room === 0) return;
    owned.rank = room;
    this.#ranks[room]!.add(owned);
  }

  /** An own group with room and no page that only we know the use of; undefined if there is none. */
  pickGift(pages: number): OwnedGroup | undefined {
    for (const owned of this.owned.values()) {
      if (owned.constructing !== 0 || owned.busy || owned.doubt) continue;
      if (looksGiven(owned.low, this.groupPages) && firstRoom(owned.low, pages, this.groupPages) >= 0) return owned;
    }
    return undefined;
  }

  /** Whether an operation of ours is at a word, so that what could be had will be known only when it has ended. */
  get unsettled(): boolean {
    if (this.claiming.size > 0) return true;
    for (const owned of this.owned.values()) if (owned.busy || owned.doubt) return true;
    return false;
  }

  /** Whether a group is ours, or may be soon. */
  knows(group: number): boolean {
    return this.owned.has(group) || this.claiming.has(group);
  }

  /** Own groups without a page in use. */
  empties(): OwnedGroup[] {
    return [...this.owned.values()].filter((owned) => owned.low === 0);
  }

  /** The low half that a group had when nobody owned it. */
  freeLow(group: number): number {
    return this.#lows[group]!;
  }

  /** Takes note of a word that was seen. Own groups, and those that are being claimed, know better. */
  observe(group: number, high: number, low: number): void {
    if (this.knows(group)) return;
    const free = high >>> 16 === 0;
    if (free) this.#lows[group] = low;
    this.#free.set(group, free);
  }

  /** Begins to claim a group that nobody owns. */
  claim(group: number): void {
    this.claiming.add(group);
    this.#free.set(group, false);
  }

  /** The word is ours. `before`: the low half it had when nobody owned it; left out, its pages are of unknown content. */
  own(group: number, low: number, before?: number): OwnedGroup {
    const owned = new OwnedGroup(group, low);
    this.#free.set(group, false);
    if (before === undefined) {
      owned.unjudged = true;
    } else if (before !== 0) {
      for (let index = 0; index < this.groupPages; index++) {
        if ((before & runMask(index, 1)) !== 0) owned.clean |= 1 << index;
      }
      owned.mine = owned.clean;
    }
    this.owned.set(group, owned);
    return owned;
  }

  /** The word is nobody's, or somebody else's: `high` and `low` are what it says now. */
  disown(owned: OwnedGroup, high: number, low: number): void {
    this.disowned++;
    this.owned.delete(owned.group);
    this.waiting.delete(owned);
    if (this.#current === owned) this.#current = undefined;
    if (this.spare === owned) this.spare = undefined;
    if (owned.rank >= 0) this.#ranks[owned.rank]!.delete(owned);
    owned.rank = -1;
    this.observe(owned.group, high, low);
  }

  /** Pages in groups that nobody owned when we looked last, and in own ones that are quiet. */
  get room(): number {
    let room = this.#free.count * this.groupPages;
    for (let free = 1; free <= this.groupPages; free++) room += free * this.#ranks[free]!.size;
    return this.#current === undefined ? room : room + freePages(this.#current.low, this.groupPages);
  }

  /** What could be had: pages in groups that nobody owns and in own ones, and the longest run among them. */
  capacity(): { free: number; longest: number } {
    let free = 0;
    let longest = 0;
    let run = 0;
    for (let group = 0; group < this.groups; group++) {
      run = this.#free.has(group) ? run + this.groupPages : 0;
      if (run > 0) free += this.groupPages;
      if (run > longest) longest = run;
    }
    for (const owned of this.owned.values()) {
      free += freePages(owned.low, this.groupPages);
      let length = 0;
      for (let index = 0; index < this.groupPages; index++) {
        length = hasRoom(owned.low, index, 1) ? length + 1 : 0;
        if (length > longest) longest = length;
      }
    }
    return { free, longest };
  }

  /** What the low half of a group says when it is given up: 01 for each page that is still known to be zero. */
  cleanLow(owned: OwnedGroup): number {
    if (owned.clean === 0) return 0;
    let low = 0;
    for (let index = 0; index < this.groupPages; index++) {
      if (owned.clean & (1 << index)) low |= pageBits.clean << (30 - 2 * index);
    }
    return low >>> 0;
  }
}

/**
 * Whether an own word with that low half may have been given to us by another principal: it has withheld pages, room,
 * and nothing else. No other own word comes from somebody else, so it alone is not taken at its face value after a
 * lost reply.
 */
export function looksGiven(low: number, groupPages: number): boolean {
  const withheld = low & (low >>> 1) & 0x5555_5555;
  const other = (low ^ (low >>> 1)) & 0x5555_5555;
  return withheld !== 0 && other === 0 && freePages(low, groupPages) > 0;
}
