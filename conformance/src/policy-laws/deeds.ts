import {
  type AllocationRequest,
  type Coordinator,
  type ErrorCode,
  type Extent,
  type Geometry,
  isExomemError,
  type Protocol,
  pageOffset,
  renew,
  write,
} from '@exomem/core';
import type { Operation } from '../simulator/index.js';
import type { Actor, Asking, Holder, Holding } from './holding.js';
import { Breach } from './law.js';
import type { Deed } from './workload.js';

/** Later than any record of the log. */
export const everApplied = Number.MAX_SAFE_INTEGER;

/** What deeds have around them: where it is written down what clients are told, and what one learns of the others. */
export interface Surroundings<A extends Actor> {
  readonly geometry: Geometry;
  /** All who take part, by number. */
  readonly everybody: readonly Holder[];

  // ---- what clients are told

  asks(actor: A, request: AllocationRequest): Asking;
  given(actor: A, extent: Extent, asking: Asking, request: AllocationRequest): Holding;
  refused(actor: A, asking: Asking, code: ErrorCode): void;
  /** What that one holds. */
  holdings(actor: A): Iterable<Holding>;
  hold(holding: Holding): void;
  letGo(holding: Holding): void;
  left(holding: Holding): void;
  /** Of this construction nobody can say what of it is withheld still. */
  leftOver(holding: Holding): void;

  // ---- the log

  /** The log names it from now on. Undefined: that took no step. */
  addName(actor: A, holding: Holding): Protocol<void> | undefined;
  /** A name goes away; the pages that it referred to are dismissed by whoever keeps them. */
  removeName(actor: A, pick: number): Protocol<void>;
  /** What has a name, once the log was read to its end. */
  names(actor: A): Protocol<(page: number) => boolean>;
  /** The index of the last record. */
  index(actor: A): number;

  // ---- others

  /** One who was declared dead, and is shut out; or how one finds out whether there is one. */
  victim(
    actor: A,
    pick: number,
  ): { readonly known: Holder | undefined } | { readonly search: Protocol<Holder | undefined> };
  /** What that one held is given to whoever recovers it. */
  recovers(actor: A, victim: Holder): void;
  /** What another holds. */
  foreign(actor: A, pick: number): Extent | undefined;
  /** An operation says that its client is shut out: whether that may be. */
  fenced(actor: A): boolean;
  /** Its principal is known to be somebody else's: what becomes of its runs is no business of its own. */
  overtaken(actor: A): boolean;
  /** An operation came to its end. */
  finished(actor: A): void;
}

/** Makes operations of deeds: what a client of a policy does, and what must be true of how it ends. */
export class Deeds<A extends Actor> {
  readonly #around: Surroundings<A>;

  constructor(around: Surroundings<A>) {
    this.#around = around;
  }

  /** @param coordinator what the client's protocols are run through */
  operation(actor: A, deed: Exclude<Deed, { kind: 'rest' }>, coordinator?: Coordinator): Operation {
    const operation = this.#operation(actor, deed);
    return {
      name: operation.name,
      start: () => {
        const protocol = operation.start();
        return protocol === undefined || coordinator === undefined ? protocol : coordinator.coordinate(protocol);
      },
      ended: (outcome) => {
        operation.ended?.(outcome);
        this.#around.finished(actor);
      },
    };
  }

  #operation(actor: A, deed: Exclude<Deed, { kind: 'rest' }>): Operation {
    switch (deed.kind) {
      case 'allocate':
        return this.#allocate(actor, deed);
      case 'free':
        return this.#free(actor, deed.pick);
      case 'freeAgain':
        return this.#refused('stale', 'StaleHandle', 'frees again', () => {
          const extent = actor.freed[deed.pick % actor.freed.length];
          return extent && actor.allocator.free(extent);
        });
      case 'freeForeign':
        return this.#refused('foreign', 'PermissionDenied', 'frees what is not its own', () => {
          const extent = this.#around.foreign(actor, deed.pick);
          return extent && actor.allocator.free(extent);
        });
      case 'withhold':
        return this.#withhold(actor, deed.pick);
      case 'name':
      case 'release':
        return this.#decide(actor, deed.kind, deed.pick);
      case 'unname':
        return this.#plain(actor, 'removes a name', () => this.#unname(actor, deed.pick));
      case 'giveRoom':
        return this.#giveRoom(actor, deed.pick);
      case 'recover':
        return this.#plain(actor, 'recovers what the dead held', () => {
          const victim = this.#around.victim(actor, deed.pick);
          if ('search' in victim) return this.#recover(actor, victim.search);
          return victim.known && this.recovering(actor, victim.known);
        });
      case 'judge':
        return this.#plain(actor, 'looks around', () => this.lookAround(actor));
    }
  }

  #allocate(actor: A, deed: Extract<Deed, { kind: 'allocate' }>): Operation {
    const { pages, initialise, named, writes } = deed;
    const request: AllocationRequest = {
      pages,
      initialise,
      timeout: Number.MAX_SAFE_INTEGER,
      ...(named ? { named } : {}),
      ...(deed.alignment !== 1 ? { alignment: deed.alignment * this.#around.geometry.pageSize } : {}),
    };
    let asking: Asking;
    const what = `allocates ${pages} ${named ? 'named ' : ''}(${initialise})`;
    return {
      name: what,
      start: () => {
        asking = this.#around.asks(actor, request);
        return this.#allocating(actor, asking, request, writes || initialise === 'caller');
      },
      ended: ({ error }) => {
        // One that gave up has perhaps claimed something, which is shown until the client has repaired it.
        if (error === undefined) return;
        this.#checkRefused(actor, what, error, ['RegionFull', 'Fragmented']);
        if (isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented')) {
          this.#around.refused(actor, asking, error.code);
        }
      },
    };
  }

  *#allocating(actor: A, asking: Asking, request: AllocationRequest, writes: boolean): Protocol<void> {
    const extent = yield* actor.allocator.allocate(request);
    const holding = this.#around.given(actor, extent, asking, request);
    const why = actor.allocator.explain(extent);
    if (!why.includes(String(extent.page))) throw new Breach('explained', `of page ${extent.page} it says: ${why}`);
    if (!writes) return;
    holding.busy = true;
    try {
      const { geometry } = this.#around;
      const bytes = new Uint8Array(extent.pages * geometry.pageSize).fill(actor.tag);
      yield* surely(write(pageOffset(geometry, extent.page), bytes));
    } finally {
      holding.busy = false;
    }
  }

  #free(actor: A, pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: 'frees',
      start: () => {
        holding = this.#pick(actor, pick, (one) => one.state === 'live' || one.state === 'unsure');
        if (holding === undefined) return undefined;
        this.#around.letGo(holding);
        return actor.allocator.free(holding.extent);
      },
      ended: ({ error }) => {
        if (error === undefined) {
          this.#around.left(holding!);
          actor.freed.push(holding!.extent);
          return;
        }
        // Broken off: it shows until the client has repaired it.
        this.#checkRefused(actor, 'frees', error, []);
        if (!holding!.extent.live || this.#around.overtaken(actor)) return;
        holding!.state = 'unsure';
        this.#around.hold(holding!);
      },
    };
  }

  /** Something that must be refused before its first step. */
  #refused(law: 'stale' | 'foreign', code: ErrorCode, name: string, make: () => Protocol<void> | undefined): Operation {
    return {
      name,
      start: () => {
        const protocol = make();
        return protocol && atOnce(protocol, law, name);
      },
      ended: ({ error }) => {
        if (!isExomemError(error, code)) throw new Breach(law, `${name}: ${String(error ?? 'it was accepted')}`);
      },
    };
  }

  #withhold(actor: A, pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: 'withholds',
      start: () => {
        holding = this.#pick(actor, pick, (one) => one.state === 'live');
        if (holding === undefined) return undefined;
        holding.state = 'unsure';
        holding.busy = true;
        return actor.allocator.withhold(holding.extent);
      },
      ended: ({ error }) => {
        holding!.busy = false;
        if (error === undefined) holding!.state = 'constructing';
        else this.#checkRefused(actor, 'withholds', error, []);
      },
    };
  }

  /** A construction is named, or given up. */
  #decide(actor: A, kind: 'name' | 'release', pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: kind === 'name' ? 'names' : 'gives up a construction',
      start: () => {
        holding = this.#pick(actor, pick, (one) => one.state === 'constructing');
        if (holding === undefined) return undefined;
        if (kind === 'name') {
          const naming = this.#around.addName(actor, holding);
          if (naming !== undefined) return this.#naming(actor, holding, naming);
          actor.allocator.settle(holding.page, holding.pages);
          return undefined;
        }
        this.#around.letGo(holding);
        return actor.allocator.release(holding.page, holding.pages);
      },
      ended: ({ error }) => {
        if (error === undefined) return;
        // Given up in the middle: what is left of it is still a construction of its own.
        this.#checkRefused(actor, 'gives up a construction', error, []);
        this.#around.leftOver(holding!);
      },
    };
  }

  *#naming(actor: A, holding: Holding, naming: Protocol<void>): Protocol<void> {
    holding.busy = true;
    try {
      yield* naming;
    } finally {
      holding.busy = false;
    }
    actor.allocator.settle(holding.page, holding.pages);
  }

  *#unname(actor: A, pick: number): Protocol<void> {
    yield* this.#around.removeName(actor, pick);
    yield* actor.allocator.sweep(everApplied);
  }

  #giveRoom(actor: A, pick: number): Operation {
    const { everybody } = this.#around;
    const to = everybody[pick % everybody.length]!;
    const pages = 1 + (Math.floor(pick / everybody.length) % 2);
    return this.#plain(actor, `gives room to ${to.name}`, () => actor.allocator.giveRoom(to.identity, pages));
  }

  *#recover(actor: A, search: Protocol<Holder | undefined>): Protocol<void> {
    const victim = yield* search;
    if (victim !== undefined) yield* this.recovering(actor, victim);
  }

  /** Takes over what that one held, and judges it. */
  *recovering(actor: A, victim: Holder): Protocol<void> {
    this.#around.recovers(actor, victim);
    yield* actor.allocator.recover(victim.identity);
    yield* this.lookAround(actor);
  }

  /** Looks at what came into its hands, and frees what has no name. */
  *lookAround(actor: A): Protocol<void> {
    const { allocator } = actor;
    yield* allocator.discover();
    const suspects = allocator.suspects();
    const isNamed = yield* this.#around.names(actor);
    allocator.judge(suspects, isNamed, this.#around.index(actor));
    yield* allocator.sweep(everApplied);
  }

  #plain(actor: A, name: string, make: () => Protocol<unknown> | undefined): Operation {
    return {
      name,
      start: make,
      ended: ({ error }) => {
        if (error !== undefined) this.#checkRefused(actor, name, error, []);
      },
    };
  }

  #pick(actor: A, pick: number, suits: (holding: Holding) => boolean): Holding | undefined {
    const own = [...this.#around.holdings(actor)].filter((one) => !one.busy && suits(one));
    return own[pick % own.length];
  }

  #checkRefused(actor: A, what: string, error: unknown, codes: readonly ErrorCode[]): void {
    const always: readonly ErrorCode[] = ['Aborted', 'OutcomeUnknown'];
    const code = isExomemError(error) ? error.code : undefined;
    if (code === 'Fenced' && this.#around.fenced(actor)) return;
    if (code !== undefined && [...always, ...codes].includes(code)) return;
    throw new Breach('typed', `${actor.name} ${what}: ${code}: ${String(error)}`);
  }
}

/** A step that is taken until its answer is heard. */
export function* surely(step: ReturnType<typeof write>): Protocol<void> {
  for (;;) {
    try {
      yield step;
      return;
    } catch (error) {
      if (!isExomemError(error, 'OutcomeUnknown')) throw error;
      yield renew;
    }
  }
}

/** A protocol that is to end without a step. */
// biome-ignore lint/correctness/useYield: that is what it is about
function* atOnce(protocol: Protocol<void>, law: 'stale' | 'foreign', name: string): Protocol<void> {
  if (!protocol.next().done) throw new Breach(law, `${name}: it was refused, but after some steps, or not at all`);
}
