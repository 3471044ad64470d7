import { pageBits } from '../region/words.js';
import { freePages, hasRoom, runMask } from './run-bits.js';

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
export class GroupTable {
  readonly groups: number;
  readonly groupPages: number;
  readonly owned = new Map<number, OwnedGroup>();
  /** Own groups with dismissed pages. */
  readonly waiting = new Set<OwnedGroup>();
  /** Groups that an operation of ours is about to claim, or has perhaps claimed. */
  readonly claiming = new Set<number>();
  /** The own group that is kept although it is empty, so that a lone allocation need not claim one each time. */
  spare: OwnedGroup | undefined;
  /** The page index that the last successful `pickOwn` found. */
  picked = 0;
  /** Groups that nobody owned when we looked last: 1, else 0. */
  readonly #free: Uint8Array;
  /** The low halves of those. */
  readonly #lows: Uint32Array;
  readonly #ranks: Set<OwnedGroup>[];
  /** The own group that served last; it is in no rank. */
  #current: OwnedGroup | undefined;
  /** No free group lies below. */
  #lowest = 0;

  constructor(groups: number, groupPages: number) {
    this.groups = groups;
    this.groupPages = groupPages;
    this.#free = new Uint8Array(groups);
    this.#lows = new Uint32Array(groups);
    this.#ranks = Array.from({ length: groupPages + 1 }, () => new Set());
  }

  /**
   * An own group with room for `pages` in a row, the fullest that has it; where is in `picked`.
   * @param step distance of aligned pages; `first` the first aligned page of a group.
   */
  pickOwn(pages: number, step: number, first: ((group: number) => number) | undefined): OwnedGroup | undefined {
    const current = this.#current;
    if (current !== undefined && this.#fits(current, pages, step, first)) return current;
    for (let free = pages; free <= this.groupPages; free++) {
      for (const owned of this.#ranks[free]!) {
        if (!this.#fits(owned, pages, step, first)) continue;
        this.#ranks[free]!.delete(owned);
        owned.rank = -1;
        this.#current = owned;
        if (current !== undefined) this.rank(current);
        return owned;
      }
    }
    return undefined;
  }

  #fits(owned: OwnedGroup, pages: number, step: number, first: ((group: number) => number) | undefined): boolean {
    if (owned.busy || owned.doubt) return false;
    const last = this.groupPages - pages;
    for (let index = first === undefined ? 0 : first(owned.group); index <= last; index += step) {
      if (!hasRoom(owned.low, index, pages)) continue;
      this.picked = index;
      return true;
    }
    return false;
  }

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

  /** The lowest group that nobody seems to own, after passing over `skip` of them; -1 if there is none. */
  pickFree(skip: number, fits: ((group: number) => boolean) | undefined): number {
    let last = -1;
    let left = skip;
    let lowest = true;
    for (let group = this.#lowest; group < this.groups; group++) {
      if (this.#free[group] === 0) continue;
      if (lowest) this.#lowest = group;
      lowest = false;
      if (fits !== undefined && !fits(group)) continue;
      last = group;
      if (left-- <= 0) break;
    }
    if (lowest) this.#lowest = this.groups;
    return last;
  }

  /** The start of the run of free groups nearest to the far end that is long enough; -1 if there is none. */
  pickRun(groups: number, fits: (first: number) => boolean): number {
    let length = 0;
    for (let group = this.groups - 1; group >= 0; group--) {
      length = this.#free[group] === 1 ? length + 1 : 0;
      if (length >= groups && fits(group)) return group;
    }
    return -1;
  }

  /** An own group with room and no page that only we know the use of; undefined if there is none. */
  pickGift(pages: number): OwnedGroup | undefined {
    for (const owned of this.owned.values()) {
      if (
        owned.constructing === 0 &&
        looksGiven(owned.low, this.groupPages) &&
        this.#fits(owned, pages, 1, undefined)
      ) {
        return owned;
      }
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
    if (high >>> 16 === 0) {
      this.#free[group] = 1;
      this.#lows[group] = low;
      if (group < this.#lowest) this.#lowest = group;
    } else {
      this.#free[group] = 0;
    }
  }

  /** Begins to claim a group that nobody owns. */
  claim(group: number): void {
    this.claiming.add(group);
    this.#free[group] = 0;
  }

  /** The word is ours. `before`: the low half it had when nobody owned it; left out, its pages are of unknown content. */
  own(group: number, low: number, before?: number): OwnedGroup {
    const owned = new OwnedGroup(group, low);
    this.#free[group] = 0;
    if (before === undefined) {
      owned.unjudged = true;
    } else {
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
    this.owned.delete(owned.group);
    this.waiting.delete(owned);
    if (this.#current === owned) this.#current = undefined;
    if (this.spare === owned) this.spare = undefined;
    if (owned.rank >= 0) this.#ranks[owned.rank]!.delete(owned);
    owned.rank = -1;
    this.observe(owned.group, high, low);
  }

  /** What could be had: pages in groups that nobody owns and in own ones, and the longest run among them. */
  capacity(): { free: number; longest: number } {
    let free = 0;
    let longest = 0;
    let run = 0;
    for (let group = 0; group < this.groups; group++) {
      run = this.#free[group] === 1 ? run + this.groupPages : 0;
      if (this.#free[group] === 1) free += this.groupPages;
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
