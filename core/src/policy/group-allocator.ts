import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { bitsOf, pageBits } from '../region/words.js';
import { Claiming } from './claiming.js';
import { ClaimingMany } from './claiming-many.js';
import { Cleaning } from './cleaning.js';
import { Custody } from './custody.js';
import { explain } from './extents.js';
import { Freeing } from './freeing.js';
import { Gift } from './gift.js';
import { Holdings } from './holdings.js';
import type { ManyRequest } from './many.js';
import { OwnWords } from './own-words.js';
import type { Placement } from './placement.js';
import { lowFragmentation } from './placements/low-fragmentation.js';
import type {
  AllocationRequest,
  Allocator,
  Extent,
  Identity,
  PolicyContext,
  Suspects,
  Usage,
  Violation,
} from './policy.js';
import { TableReading } from './reading.js';
import { freePages } from './run-bits.js';
import { checkTable, countUsage } from './survey.js';
import { TakingOver } from './taking-over.js';

/**
 * An allocator on group words: owner, incarnation and extent bounds are one 64-bit word, so one compareExchange claims
 * and records. An owned word is changed by its owner alone, which therefore knows it without reading it. The shape
 * follows LLFree (Wrenger et al., USENIX ATC 2023): claim whole groups, serve from them locally.
 */
export class GroupAllocator implements Allocator {
  readonly identity: Identity;
  readonly #words: OwnWords;
  readonly #limit: (() => number | undefined) | undefined;
  /** Pages of requests under way, as long as there is a limit. */
  #asked = 0;
  readonly #reading: TableReading;
  readonly #placement: Placement;
  readonly #claiming: Claiming;
  readonly #many: ClaimingMany;
  readonly #cleaning: Cleaning;
  readonly #custody: Custody;
  readonly #freeing: Freeing;
  readonly #takingOver: TakingOver;
  readonly #gift: Gift;
  readonly #holdings: Holdings;

  constructor(context: PolicyContext) {
    const words = new OwnWords(context);
    this.identity = context.identity;
    this.#limit = context.limit;
    this.#words = words;
    this.#reading = new TableReading(words);
    this.#placement = context.placement ?? lowFragmentation;
    this.#claiming = new Claiming(words, this.#reading, this.#placement, this);
    this.#many = new ClaimingMany(words, this.#reading, this.#claiming, this.#placement, this);
    this.#cleaning = new Cleaning(words, this.#reading);
    this.#custody = new Custody(words, this);
    this.#freeing = new Freeing(words, this.#custody, this);
    this.#takingOver = new TakingOver(words, this.#reading);
    this.#gift = new Gift(words);
    this.#holdings = new Holdings(words, this.#reading, this);
  }

  /** Groups whose words are certainly ours: nothing of ours is at work on them. */
  get groups(): readonly number[] {
    const owned = [...this.#words.table.owned.values()];
    return owned.filter(({ busy, doubt }) => !busy && !doubt).map(({ group }) => group);
  }
  get empty(): boolean {
    return this.#words.none;
  }
  get room(): number {
    return this.#words.table.room;
  }
  get held(): number {
    const { groupPages, owned } = this.#words.table;
    let held = 0;
    for (const { low } of owned.values()) {
      for (let index = 0; index < groupPages; index++) {
        const bits = bitsOf(low, index);
        if (bits === pageBits.head || bits === pageBits.continuation) held++;
      }
    }
    return held;
  }
  /** Pages in use in own words: given out, or withheld. */
  get used(): number {
    const { groupPages, owned } = this.#words.table;
    let used = 0;
    for (const { low } of owned.values()) used += groupPages - freePages(low, groupPages);
    return used;
  }
  /** Holds a request against the quota: by what the words show, and what is being asked for. */
  *#within<T>(limit: number, pages: number, claims: Protocol<T>): Protocol<T> {
    const { used } = this;
    if (used + this.#asked + pages > limit) {
      throw new ExomemError(
        'QuotaExceeded',
        `${pages} page(s) were asked for; ${used} of principal ${this.identity.principal} are in use, and its quota is ${limit}`,
      );
    }
    this.#asked += pages;
    try {
      return yield* claims;
    } finally {
      this.#asked -= pages;
    }
  }
  get retired(): boolean {
    return this.#words.retired;
  }
  retire(): void {
    this.#words.retire();
  }

  // What hands its protocol on hands on the generator itself: a delegation costs as much as an exchange.
  allocate(request: AllocationRequest): Protocol<Extent> {
    const claims = this.#claiming.allocate(request);
    const limit = this.#limit?.();
    return limit === undefined ? claims : this.#within(limit, request.pages, claims);
  }
  free(extent: Extent): Protocol<void> {
    return this.#freeing.free(extent);
  }
  allocateMany(request: ManyRequest): Protocol<readonly Extent[]> {
    const claims = this.#many.allocate(request);
    const limit = this.#limit?.();
    return limit === undefined ? claims : this.#within(limit, request.pages * request.count, claims);
  }
  freeMany(extents: readonly Extent[]): Protocol<void> {
    return this.#many.free(extents);
  }
  surrender(): Protocol<void> {
    return this.#freeing.surrender();
  }

  release(page: number, pages: number): Protocol<void> {
    return this.#custody.release(page, pages);
  }
  withhold(extent: Extent): Protocol<void> {
    return this.#custody.withhold(extent);
  }
  settle(page: number, pages: number): void {
    this.#custody.settle(page, pages);
  }
  dismiss(page: number, pages: number, index: number): void {
    this.#custody.dismiss(page, pages, index);
  }
  retain(page: number, pages: number): void {
    this.#custody.retain(page, pages);
  }
  suspects(): Suspects {
    return this.#custody.suspects();
  }
  judge(suspects: Suspects, isNamed: (page: number) => boolean, index: number): number {
    return this.#custody.judge(suspects, isNamed, index);
  }
  doubtNames(): void {
    this.#custody.doubtNames();
  }
  sweep(applied: number): Protocol<number> {
    return this.#custody.sweep(applied);
  }
  clean(pages: number): Protocol<number> {
    return this.#cleaning.clean(pages);
  }
  get dismissed(): number {
    return this.#custody.dismissed;
  }

  *discover(): Protocol<void> {
    if (this.#words.trouble) yield* this.#words.repair();
    yield* this.#reading.scan();
  }
  merge(from: Identity): Protocol<number> {
    return this.#takingOver.merge(from);
  }
  inherit(): Protocol<number> {
    return this.#takingOver.inherit(this.identity);
  }
  recover(from: { principal: number; incarnation: number }): Protocol<number> {
    return this.#takingOver.recover(from);
  }
  giveRoom(to: { principal: number; incarnation: number }, pages: number): Protocol<boolean> {
    return this.#gift.giveRoom(to, pages);
  }
  holdings(): Protocol<readonly Extent[]> {
    return this.#holdings.read();
  }

  *inspect(): Protocol<Usage> {
    const { table } = this.#words;
    return countUsage(yield* this.#reading.read(0, table.groups), table.groupPages);
  }
  *validate(): Protocol<Violation[]> {
    const words = this.#words;
    const { owned, groups, groupPages } = words.table;
    const table = yield* this.#reading.read(0, groups);
    return checkTable(table, groupPages, words.high, owned, (group) => words.settled(group));
  }
  explain(extent: Extent): string {
    return explain(extent, this.#words.geometry, this.#placement);
  }
}
