import {
  type AllocationRequest,
  type Allocator,
  decodePrincipal,
  type ErrorCode,
  type Extent,
  type Geometry,
  groupWordOffset,
  isExomemError,
  loadWord,
  type Protocol,
  principalState,
  principalWordOffset,
  read,
  renew,
  userGroups,
  write,
} from '@exomem/core';
import type { Surroundings } from './deeds.js';
import type { Actor, Asking, Holder, Holding, HoldingState } from './holding.js';
import { memberOf } from './small-region.js';
import { checkPlaced } from './table-laws.js';

/** What a client holds and knows at some moment, as plain data. */
export interface Held {
  readonly runs: readonly { readonly page: number; readonly pages: number; readonly state: HoldingState }[];
  /** Runs on their way out, which may still be shown. */
  readonly leaving: readonly { readonly page: number; readonly pages: number }[];
  readonly asking: readonly Asking['request'][];
  /** The request that is under way now. */
  readonly current: Asking['request'] | undefined;
  /** Pages of constructions whose release was broken off. */
  readonly leftovers: readonly number[];
}

/** What happens to a client, beside what it holds. */
export type Heard =
  | { readonly kind: 'asks' }
  | {
      readonly kind: 'given';
      readonly page: number;
      readonly pages: number;
      readonly initialise: AllocationRequest['initialise'];
    }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly pages: number;
      readonly alignment: number | undefined;
    }
  /** It takes over what that client held. */
  | { readonly kind: 'recovers'; readonly victim: number }
  /** It says that it is shut out. */
  | { readonly kind: 'fenced' }
  /** An operation came to its end. */
  | { readonly kind: 'ended' };

/** Where it is written whether a page has a name: a word for each page, in the place of a log. */
export const nameOffset = ({ arenaOffset }: Geometry, page: number): number => arenaOffset + 8 * page;

/**
 * A client of a policy that knows of the others only what it reads in the region, as an exhaustive search needs it. Names
 * are words of the region here; a page loses its name by whoever gave it that.
 */
export class Player implements Actor, Surroundings<Player> {
  readonly asking = new Set<Asking>();
  readonly freed: Extent[] = [];
  readonly leftovers = new Set<number>();
  readonly #holdings = new Set<Holding>();
  readonly #leaving = new Set<Holding>();
  readonly #named = new Set<number>();
  #current: Asking | undefined;
  #heard: Heard[] = [];
  #index = 0;

  constructor(
    readonly geometry: Geometry,
    readonly everybody: readonly Holder[],
    readonly number: number,
    readonly allocator: Allocator,
  ) {}

  get name(): string {
    return this.everybody[this.number]!.name;
  }
  get identity(): Holder['identity'] {
    return this.everybody[this.number]!.identity;
  }
  get tag(): number {
    return this.everybody[this.number]!.tag;
  }

  /** All that it holds just now. */
  held(): Held {
    return {
      runs: [...this.#holdings].map(({ page, pages, state }) => ({ page, pages, state })),
      leaving: [...this.#leaving].map(({ page, pages }) => ({ page, pages })),
      asking: [...this.asking].map(({ request }) => request),
      current: this.#current?.request,
      leftovers: [...this.leftovers],
    };
  }

  /** What happened since this was asked last. */
  hear(): readonly Heard[] {
    const heard = this.#heard;
    this.#heard = [];
    return heard;
  }

  // ---- what it is told

  asks(_: Player, { pages, alignment, named }: AllocationRequest): Asking {
    const request = { pages, ...(alignment === undefined ? {} : { alignment }), ...(named ? { named } : {}) };
    const asking = { request };
    this.asking.add(asking);
    this.#current = asking;
    this.#heard.push({ kind: 'asks' });
    return asking;
  }
  given(_: Player, extent: Extent, asking: Asking, request: AllocationRequest): Holding {
    this.asking.delete(asking);
    const { page, pages } = extent;
    checkPlaced(this.geometry, userGroups(this.geometry) * this.geometry.groupPages, this, extent, request);
    const state = request.named ? 'constructing' : 'live';
    const holding: Holding = { holder: this, extent, page, pages, state, busy: false };
    this.#holdings.add(holding);
    this.#heard.push({ kind: 'given', page, pages, initialise: request.initialise });
    return holding;
  }
  refused(_: Player, asking: Asking, code: ErrorCode): void {
    this.asking.delete(asking);
    const { pages, alignment } = asking.request;
    this.#heard.push({ kind: 'refused', code, pages, alignment });
  }
  holdings(): Iterable<Holding> {
    return this.#holdings;
  }
  hold(holding: Holding): void {
    this.#leaving.delete(holding);
    this.#holdings.add(holding);
  }
  letGo(holding: Holding): void {
    this.#holdings.delete(holding);
    if (holding.state !== 'constructing') this.#leaving.add(holding);
  }
  left(holding: Holding): void {
    this.#leaving.delete(holding);
  }
  leftOver({ page, pages }: Holding): void {
    for (let at = page; at < page + pages; at++) this.leftovers.add(at);
  }

  // ---- names

  *addName(_: Player, holding: Holding): Protocol<void> {
    const { page, pages } = holding;
    for (let at = page; at < page + pages; at++) yield* this.#put(at, 1);
    this.#holdings.delete(holding);
    for (let at = page; at < page + pages; at++) this.#named.add(at);
  }
  *removeName(_: Player, pick: number): Protocol<void> {
    const pages = [...this.#named];
    const page = pages[pick % pages.length];
    if (page === undefined) return;
    // Who has given it away keeps it no more.
    const word = yield* loadWord(groupWordOffset(this.geometry, Math.floor(page / this.geometry.groupPages)));
    if (Number(word >> 48n) !== this.identity.principal) return;
    yield* this.#put(page, 0);
    this.#named.delete(page);
    this.allocator.dismiss(page, 1, ++this.#index);
  }
  *names(): Protocol<(page: number) => boolean> {
    const bytes = new Uint8Array(8 * userGroups(this.geometry) * this.geometry.groupPages);
    yield read(nameOffset(this.geometry, 0), bytes);
    const named = bytes.slice();
    return (page) => named[8 * page] !== 0;
  }
  index(): number {
    return ++this.#index;
  }

  /** A log is written to by whoever gives up waiting for it, too: it looks again. */
  *#put(page: number, value: number): Protocol<void> {
    for (;;) {
      try {
        yield write(nameOffset(this.geometry, page), Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0));
        return;
      } catch (error) {
        if (!isExomemError(error, 'OutcomeUnknown') && !isExomemError(error, 'Aborted')) throw error;
        yield renew;
      }
    }
  }

  // ---- the others

  victim(): { readonly search: Protocol<Holder | undefined> } {
    return { search: this.#search() };
  }
  *#search(): Protocol<Holder | undefined> {
    for (const [at, other] of this.everybody.entries()) {
      if (at === this.number) continue;
      const word = yield* loadWord(principalWordOffset(this.geometry, other.identity.principal));
      if (decodePrincipal(word).state !== principalState.dying) continue;
      yield { op: 'revoke', member: memberOf(this.geometry, at) };
      return other;
    }
    return undefined;
  }
  recovers(_: Player, victim: Holder): void {
    this.#heard.push({ kind: 'recovers', victim: this.everybody.indexOf(victim) });
  }
  /** It cannot know of another's extent: one that nobody ever gave it, of a page that it never had. */
  foreign(): Extent | undefined {
    const own = [...this.#holdings, ...this.#leaving, ...this.freed];
    const had = (page: number): boolean => own.some((run) => run.page <= page && page < run.page + run.pages);
    const all = userGroups(this.geometry) * this.geometry.groupPages;
    for (let page = 0; page < all; page++) if (!had(page)) return { page, pages: 1, live: true };
    return undefined;
  }
  fenced(): boolean {
    this.#heard.push({ kind: 'fenced' });
    return true;
  }
  overtaken(): boolean {
    return false;
  }
  finished(): void {
    this.#current = undefined;
    this.#heard.push({ kind: 'ended' });
  }
}
