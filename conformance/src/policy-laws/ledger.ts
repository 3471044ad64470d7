import {
  type AllocationRequest,
  type Extent,
  type Geometry,
  groupWordOffset,
  pageOffset,
  userGroups,
} from '@exomem/core';
import type { SimulatedMemory, Simulation } from '../simulator/index.js';
import type { Asking, Holder, Holding } from './holding.js';
import { Breach } from './law.js';
import {
  checkFresh,
  checkGroup,
  checkPlaced,
  checkRuns,
  claimable,
  describeRun,
  ownHalf,
  type Table,
} from './table-laws.js';

/** A request, and the {@link Ledger.moment} at which it began. */
export interface DatedAsking extends Asking {
  readonly since: number;
}

/** A holder whose principal may be taken over. */
export interface LedgerHolder extends Holder {
  /** The turn at which its principal was taken over; undefined: it is its own. */
  takenAt: number | undefined;
}

/** What all clients were told, held against the bytes at every change of a group word. */
export class Ledger implements Table {
  readonly holdings = new Set<Holding>();
  /** Pages that a name refers to: what the log says. */
  readonly named = new Set<number>();
  readonly geometry: Geometry;
  readonly groups: number;
  readonly #memory: SimulatedMemory;
  readonly #simulation: Simulation;
  readonly #at: (Holding | undefined)[];
  readonly #holders = new Map<number, LedgerHolder>();
  /** Runs on their way out, which may still be shown. */
  readonly #leaving = new Set<Holding>();
  /** The turn at which each group word changed last. */
  readonly #changedAt: number[];
  /** Every change of a group word: the group, and what it said before. */
  readonly #history: { readonly group: number; readonly before: bigint }[] = [];

  constructor(geometry: Geometry, memory: SimulatedMemory, simulation: Simulation) {
    this.geometry = geometry;
    this.#memory = memory;
    this.#simulation = simulation;
    this.groups = userGroups(geometry);
    this.#at = new Array(this.groups * geometry.groupPages).fill(undefined);
    this.#changedAt = new Array(this.groups).fill(0);
    const { principalOffset, groupOffset } = geometry;
    memory.observe(principalOffset, groupOffset + this.groups * 8, (offset, before) => {
      if (offset >= groupOffset) this.#changed((offset - groupOffset) / 8, before);
      else this.#takenOver((offset - principalOffset) / 8);
    });
  }

  enter(holder: LedgerHolder): void {
    this.#holders.set(ownHalf(holder.identity), holder);
  }

  // ---- what clients are told

  handOut(holder: LedgerHolder, extent: Extent, request: AllocationRequest): Holding {
    const { page, pages } = extent;
    const { groupPages, pageSize } = this.geometry;
    checkPlaced(this.geometry, this.#at.length, holder, extent, request);
    for (let at = page; at < page + pages; at++) {
      const other = this.#at[at];
      if (other !== undefined)
        throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and ${describeRun(other)}`);
      if (this.named.has(at)) throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and has a name`);
      if (request.initialise === 'caller') continue;
      const start = pageOffset(this.geometry, at);
      checkFresh(this.#memory.bytes.subarray(start, start + pageSize), holder, at, request.initialise);
    }
    const first = Math.floor(page / groupPages);
    const last = Math.floor((page + pages - 1) / groupPages);
    for (let group = first; group <= last; group++) {
      if (holder.takenAt !== undefined && this.#changedAt[group]! > holder.takenAt) {
        const what = `${holder.name} was given page ${page}, claimed at step ${this.#changedAt[group]}`;
        throw new Breach('fenced', `${what}, after its principal was taken over at step ${holder.takenAt}`);
      }
    }
    const state = request.named ? 'constructing' : 'live';
    const holding: Holding = { holder, extent, page, pages, state, busy: false };
    this.hold(holding);
    for (let group = first; group <= last; group++) checkGroup(this, group);
    return holding;
  }

  hold(holding: Holding): void {
    this.#leaving.delete(holding);
    for (let at = holding.page; at < holding.page + holding.pages; at++) {
      const other = this.#at[at];
      if (other !== undefined && other !== holding) {
        throw new Breach('exclusive', `page ${at} belongs to ${holding.holder.name} again, and ${describeRun(other)}`);
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

  // ---- a table

  word(group: number): bigint {
    return this.#memory.load(groupWordOffset(this.geometry, group));
  }
  at(page: number): Holding | undefined {
    return this.#at[page];
  }
  isNamed(page: number): boolean {
    return this.named.has(page);
  }
  holder(high: number): Holder | undefined {
    return this.#holders.get(high);
  }
  isLeaving(page: number, pages: number): boolean {
    for (const one of this.#leaving) if (one.page === page && one.pages === pages) return true;
    return false;
  }

  // ---- what the bytes say

  words(): bigint[] {
    return Array.from({ length: this.groups }, (_, group) => this.word(group));
  }

  /** A moment, for {@link checkRefusal}. */
  get moment(): number {
    return this.#history.length;
  }

  /** Holds a refusal against every instant since it was asked for: at one of them nothing fitted. */
  checkRefusal(holder: Holder, { request, since }: DatedAsking, code: string): void {
    const { pages, alignment } = request;
    const words = this.words();
    for (let at = this.#history.length; ; at--) {
      if (claimable(words, this.geometry, holder.identity, pages, alignment) === undefined) return;
      if (at === since) break;
      const { group, before } = this.#history[at - 1]!;
      words[group] = before;
    }
    const place = claimable(this.words(), this.geometry, holder.identity, pages, alignment);
    const what = `${holder.name} was told ${code} for ${pages} pages`;
    throw new Breach('full', `${what}, while all the time something fitted (now ${place})`);
  }

  checkAll(): void {
    for (let group = 0; group < this.groups; group++) checkGroup(this, group);
  }

  #changed(group: number, before: bigint): void {
    this.#history.push({ group, before });
    this.#changedAt[group] = this.#simulation.turn;
    checkGroup(this, group);
    checkRuns(this, group);
  }

  #takenOver(principal: number): void {
    for (const holder of this.#holders.values()) {
      if (holder.identity.principal === principal) holder.takenAt ??= this.#simulation.turn;
    }
  }
}
