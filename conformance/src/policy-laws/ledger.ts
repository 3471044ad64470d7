import {
  type AllocationRequest,
  bitsOf,
  type Extent,
  type Geometry,
  groupWordOffset,
  highHalf,
  type Identity,
  lowHalf,
  ownerHalf,
  pageBits,
  pageOffset,
  userGroups,
} from '@exomem/core';
import type { SimulatedMemory, Simulation } from '../simulator/index.js';
import { Breach } from './law.js';

/** A request that is under way, or was given up: some of it may show in the bytes. */
export interface Asking {
  readonly request: AllocationRequest;
  /** The {@link Ledger.moment} at which it began. */
  readonly since: number;
}

/** One who holds pages. */
export interface Holder {
  readonly name: string;
  readonly identity: Identity;
  /** The byte that it fills its pages with. */
  readonly tag: number;
  /** The turn at which its principal was taken over; undefined: it is its own. */
  takenAt: number | undefined;
  /** What it has asked for and was neither given nor refused. */
  readonly asking: ReadonlySet<Asking>;
}

/**
 * Pages that a client was told to be its own. `live`: an allocation. `unsure`: an operation on it is under way, or was
 * given up. `constructing`: withheld, not named yet.
 */
export interface Holding {
  readonly holder: Holder;
  readonly extent: Extent;
  readonly page: number;
  readonly pages: number;
  state: 'live' | 'unsure' | 'constructing';
  /** An operation is at it. */
  busy: boolean;
}

const bitNames = ['free', 'a head', 'a continuation', 'withheld'];

/** What all clients were told, held against the bytes at every change of a group word. */
export class Ledger {
  readonly holdings = new Set<Holding>();
  /** Pages that a name refers to: what the log says. */
  readonly named = new Set<number>();
  readonly #geometry: Geometry;
  readonly #memory: SimulatedMemory;
  readonly #simulation: Simulation;
  readonly #groups: number;
  readonly #at: (Holding | undefined)[];
  readonly #holders = new Map<number, Holder>();
  /** Runs on their way out, which may still be shown. */
  readonly #leaving = new Set<Holding>();
  /** The turn at which each group word changed last. */
  readonly #changedAt: number[];
  /** Every change of a group word: the group, and what it said before. */
  readonly #history: { readonly group: number; readonly before: bigint }[] = [];

  constructor(geometry: Geometry, memory: SimulatedMemory, simulation: Simulation) {
    this.#geometry = geometry;
    this.#memory = memory;
    this.#simulation = simulation;
    this.#groups = userGroups(geometry);
    this.#at = new Array(this.#groups * geometry.groupPages).fill(undefined);
    this.#changedAt = new Array(this.#groups).fill(0);
    const { principalOffset, groupOffset } = geometry;
    memory.observe(principalOffset, groupOffset + this.#groups * 8, (offset, before) => {
      if (offset >= groupOffset) this.#changed((offset - groupOffset) / 8, before);
      else this.#takenOver((offset - principalOffset) / 8);
    });
  }

  enter(holder: Holder): void {
    this.#holders.set(ownerHalf(holder.identity.principal, holder.identity.incarnation), holder);
  }

  // ---- what clients are told

  handOut(holder: Holder, extent: Extent, request: AllocationRequest): Holding {
    const { page, pages } = extent;
    const { groupPages, pageSize } = this.#geometry;
    if (pages !== request.pages || !Number.isInteger(page) || page < 0 || page + pages > this.#at.length) {
      throw new Breach('placed', `${holder.name} asked for ${request.pages} pages and got ${pages} from page ${page}`);
    }
    if (pageOffset(this.#geometry, page) % (request.alignment ?? pageSize) !== 0) {
      throw new Breach('placed', `page ${page} is not aligned to ${request.alignment}`);
    }
    for (let at = page; at < page + pages; at++) {
      const other = this.#at[at];
      if (other !== undefined)
        throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and ${describe(other)}`);
      if (this.named.has(at)) throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and has a name`);
      this.#checkFresh(holder, at, request.initialise);
    }
    const first = Math.floor(page / groupPages);
    const last = Math.floor((page + pages - 1) / groupPages);
    for (let group = first; group <= last; group++) {
      if (holder.takenAt !== undefined && this.#changedAt[group]! > holder.takenAt) {
        const what = `${holder.name} was given page ${page}, claimed at step ${this.#changedAt[group]}`;
        throw new Breach('fenced', `${what}, after its principal was taken over at step ${holder.takenAt}`);
      }
    }
    const holding: Holding = {
      holder,
      extent,
      page,
      pages,
      state: request.named ? 'constructing' : 'live',
      busy: false,
    };
    this.hold(holding);
    for (let group = first; group <= last; group++) this.#checkGroup(group);
    return holding;
  }

  hold(holding: Holding): void {
    this.#leaving.delete(holding);
    for (let at = holding.page; at < holding.page + holding.pages; at++) {
      const other = this.#at[at];
      if (other !== undefined && other !== holding) {
        throw new Breach('exclusive', `page ${at} belongs to ${holding.holder.name} again, and ${describe(other)}`);
      }
      this.#at[at] = holding;
    }
    this.holdings.add(holding);
  }

  /** The client gives it back: from now on the pages may be anybody's. */
  letGo(holding: Holding): void {
    for (let at = holding.page; at < holding.page + holding.pages; at++) this.#at[at] = undefined;
    this.holdings.delete(holding);
    if (holding.state !== 'constructing') this.#leaving.add(holding);
  }

  left(holding: Holding): void {
    this.#leaving.delete(holding);
  }

  allLeft(): void {
    this.#leaving.clear();
  }

  /** The log names the pages of a construction. */
  name(holding: Holding): void {
    this.letGo(holding);
    for (let at = holding.page; at < holding.page + holding.pages; at++) this.named.add(at);
  }

  // ---- what the bytes say

  words(): bigint[] {
    return Array.from({ length: this.#groups }, (_, group) => this.#word(group));
  }

  /** A moment, for {@link checkRefusal}. */
  get moment(): number {
    return this.#history.length;
  }

  /** Holds a refusal against every instant since it was asked for: at one of them nothing fitted. */
  checkRefusal(holder: Holder, asking: Asking, code: string): void {
    if (!this.#alwaysFitted(holder, asking)) return;
    const { pages, alignment } = asking.request;
    const place = this.#claimable(this.words(), holder, pages, alignment);
    const what = `${holder.name} was told ${code} for ${pages} pages`;
    throw new Breach('full', `${what}, while all the time something fitted (now ${place})`);
  }

  #alwaysFitted(holder: Holder, { request: { pages, alignment }, since }: Asking): boolean {
    const words = this.words();
    for (let at = this.#history.length; ; at--) {
      if (this.#claimable(words, holder, pages, alignment) === undefined) return false;
      if (at === since) return true;
      const { group, before } = this.#history[at - 1]!;
      words[group] = before;
    }
  }

  /** What of the past may still decide a judgement. */
  memo(holders: readonly Holder[]): string {
    const parts = holders.map((holder) => {
      const fitted = [...holder.asking].map((asking) => this.#alwaysFitted(holder, asking));
      const { takenAt } = holder;
      const late = takenAt === undefined ? '' : this.#changedAt.map((turn) => Number(turn > takenAt)).join('');
      return `${fitted.map(Number).join('')}/${late}`;
    });
    return parts.join();
  }

  /** Where a run would fit that the holder could claim: its own room, and groups that nobody owns. */
  #claimable(words: readonly bigint[], holder: Holder, pages: number, alignment = 1): string | undefined {
    const { groupPages } = this.#geometry;
    const own = ownerHalf(holder.identity.principal, holder.identity.incarnation);
    const aligned = (page: number) => pageOffset(this.#geometry, page) % alignment === 0;
    let run = 0;
    for (let group = words.length - 1; group >= 0; group--) {
      const word = words[group]!;
      const nobody = highHalf(word) >>> 16 === 0;
      const mine = highHalf(word) === own;
      run = nobody || (mine && lowHalf(word) === 0) ? run + groupPages : 0;
      if (pages > groupPages) {
        if (run >= pages && aligned(group * groupPages)) return `from group ${group}`;
        continue;
      }
      let length = 0;
      for (let index = groupPages - 1; index >= 0; index--) {
        length = nobody || (mine && bitsOf(lowHalf(word), index) === 0) ? length + 1 : 0;
        if (length >= pages && aligned(group * groupPages + index)) return `in group ${group}`;
      }
    }
    return undefined;
  }

  checkAll(): void {
    for (let group = 0; group < this.#groups; group++) this.#checkGroup(group);
  }

  #changed(group: number, before: bigint): void {
    this.#history.push({ group, before });
    this.#changedAt[group] = this.#simulation.turn;
    this.#checkGroup(group);
    this.#checkRuns(group);
  }

  #takenOver(principal: number): void {
    for (const holder of this.#holders.values()) {
      if (holder.identity.principal === principal) holder.takenAt ??= this.#simulation.turn;
    }
  }

  #checkGroup(group: number): void {
    const { groupPages } = this.#geometry;
    const word = this.#word(group);
    const [high, low] = [highHalf(word), lowHalf(word)];
    for (let index = 0; index < groupPages; index++) {
      const page = group * groupPages + index;
      const bits = bitsOf(low, index);
      if (this.named.has(page) && (bits !== pageBits.withheld || high >>> 16 === 0)) {
        throw new Breach(
          'named',
          `page ${page} has a name, and its word 0x${word.toString(16)} says ${bitNames[bits]}`,
        );
      }
      const holding = this.#at[page];
      if (holding === undefined) continue;
      const { holder, state } = holding;
      const own = high === ownerHalf(holder.identity.principal, holder.identity.incarnation);
      const expected = page === holding.page ? pageBits.head : pageBits.continuation;
      const right =
        state === 'live' ? bits === expected : state === 'constructing' ? bits === pageBits.withheld : bits !== 0;
      if (!own || !right) {
        throw new Breach('shown', `${describe(holding)}, and the word of group ${group} says 0x${word.toString(16)}`);
      }
    }
  }

  /** Every run that the table shows as committed around that group is whole, or on its way. */
  #checkRuns(group: number): void {
    const { groupPages } = this.#geometry;
    const end = (group + 1) * groupPages;
    // A run that reaches into this group begins in it, or in a group before it that ends with a part of the run.
    let start = group * groupPages;
    while (start > 0 && this.#bits(start) === pageBits.continuation) start--;
    for (let page = start; page < end; page++) {
      if (this.#bits(page) !== pageBits.head) continue;
      const high = highHalf(this.#word(Math.floor(page / groupPages)));
      if (high >>> 16 === 0) continue;
      let length = 1;
      while (
        page + length < this.#at.length &&
        this.#bits(page + length) === pageBits.continuation &&
        highHalf(this.#word(Math.floor((page + length) / groupPages))) === high
      ) {
        length++;
      }
      const holder = this.#holders.get(high);
      if (holder === undefined || asksFor(holder, length)) continue;
      const holding = this.#at[page];
      if (holding?.page === page && holding.pages === length) continue;
      if ([...this.#leaving].some((one) => one.page === page && one.pages === length)) continue;
      throw new Breach(
        'whole',
        `the bytes show ${length} pages from page ${page} as a run of ${holder.name}, who asked for no such run`,
      );
    }
  }

  #bits(page: number): number {
    const { groupPages } = this.#geometry;
    return bitsOf(lowHalf(this.#word(Math.floor(page / groupPages))), page % groupPages);
  }

  #checkFresh(holder: Holder, page: number, initialise: AllocationRequest['initialise']): void {
    if (initialise === 'caller') return;
    const { pageSize } = this.#geometry;
    const start = pageOffset(this.#geometry, page);
    const bytes = this.#memory.bytes.subarray(start, start + pageSize);
    const words = new Uint32Array(bytes.buffer, start, pageSize / 4);
    const own = initialise === 'none' ? holder.tag : 0;
    for (let at = 0; at < words.length; at++) {
      if (words[at] === 0) continue;
      for (const byte of bytes.subarray(4 * at, 4 * at + 4)) {
        if (byte === 0 || byte === own) continue;
        throw new Breach(
          'fresh',
          `${holder.name} got page ${page} (${initialise}), and it shows a byte 0x${byte.toString(16)}`,
        );
      }
    }
  }

  #word(group: number): bigint {
    return this.#memory.load(groupWordOffset(this.#geometry, group));
  }
}

function asksFor({ asking }: Holder, pages: number): boolean {
  for (const { request } of asking) if (request.pages === pages && request.named !== true) return true;
  return false;
}

function describe({ holder, page, pages, state }: Holding): string {
  return `${holder.name} holds ${pages} pages from page ${page} (${state})`;
}
