import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { drain } from '../protocol/protocol.js';
import { pageBits } from '../region/words.js';
import { HeldExtent, partsOf, spend } from './extents.js';
import type { GroupTable, OwnedGroup } from './group-table.js';
import type { OwnWords, WordChange } from './own-words.js';
import type { Extent, Suspects } from './policy.js';
import { freePages, pagesWith, setMask } from './run-bits.js';

/** Withheld pages (11): of names, and of what is to be named. The log decides about them. */
export class Custody {
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #owner: object;

  constructor(words: OwnWords, owner: object) {
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#owner = owner;
  }

  *release(page: number, pages: number): Protocol<void> {
    yield drain;
    const words = this.#words;
    const parts = partsOf(page, pages, this.#groupPages).filter(({ group }) => this.#table.owned.has(group));
    const all = yield* words.awaitAll(parts.map(({ group }) => group));
    const changes: WordChange[] = [];
    for (const [at, owned] of all.entries()) {
      const dropped = parts[at]!.set & owned.constructing;
      owned.constructing &= ~dropped;
      this.#dropWithheld(owned, dropped, changes);
    }
    yield* words.changeAll(changes);
  }

  /** Whoever had the file open may have written to these pages: what they hold now is not only ours. */
  #dropWithheld(owned: OwnedGroup, set: number, changes: WordChange[]): void {
    const dropped = set & pagesWith(owned.low, pageBits.withheld, this.#groupPages);
    owned.mine &= ~dropped;
    if (dropped !== 0) changes.push({ owned, mask: setMask(dropped), bits: 0 });
  }

  dismiss(page: number, pages: number, index: number): void {
    for (const { group, set } of partsOf(page, pages, this.#groupPages)) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) continue;
      const withheld = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      this.#dismiss(owned, set & withheld, index);
    }
  }

  #dismiss(owned: OwnedGroup, set: number, index: number): void {
    if (set === 0) return;
    owned.dismissed |= set;
    owned.dismissedAt = Math.max(owned.dismissedAt, index);
    this.#table.waiting.add(owned);
  }

  retain(page: number, pages: number): void {
    for (const { group, set } of partsOf(page, pages, this.#groupPages)) {
      const owned = this.#table.owned.get(group);
      if (owned === undefined) continue;
      owned.dismissed &= ~set;
      if (owned.dismissed === 0) this.#table.waiting.delete(owned);
    }
  }

  suspects(): Suspects {
    return [...this.#table.owned.values()].filter((owned) => owned.unjudged);
  }

  judge(suspects: Suspects, isNamed: (page: number) => boolean, index: number): number {
    let found = 0;
    for (const owned of suspects as readonly OwnedGroup[]) {
      if (!owned.unjudged || this.#table.owned.get(owned.group) !== owned) continue;
      // What an operation is just building shows as withheld, too: the next judgement is for these.
      if (owned.busy || owned.doubt) continue;
      owned.unjudged = false;
      let dropped = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      for (let at = 0; at < this.#groupPages; at++) {
        if (isNamed(owned.group * this.#groupPages + at)) dropped &= ~(1 << at);
      }
      found += countPages(dropped);
      this.#dismiss(owned, dropped, index);
    }
    return found;
  }

  doubtNames(): void {
    for (const owned of this.#table.owned.values()) owned.unjudged = true;
  }

  *sweep(applied: number): Protocol<number> {
    let freed = 0;
    yield drain;
    const changes: WordChange[] = [];
    for (const owned of [...this.#table.waiting]) {
      if (owned.dismissedAt >= applied || owned.busy || owned.doubt) continue;
      const { dismissed } = owned;
      owned.dismissed = 0;
      this.#table.waiting.delete(owned);
      freed += countPages(dismissed);
      this.#dropWithheld(owned, dismissed, changes);
    }
    yield* this.#words.changeAll(changes);
    return freed;
  }

  get dismissed(): number {
    let count = 0;
    for (const owned of this.#table.waiting) count += countPages(owned.dismissed);
    return count;
  }

  *withhold(extent: Extent): Protocol<void> {
    if (extent instanceof HeldExtent && extent.named) {
      throw new ExomemError('InvalidArgument', `the pages from ${extent.page} on are withheld already`);
    }
    const { page, pages } = spend(extent, this.#owner);
    const words = this.#words;
    const changes: WordChange[] = [];
    const before: number[] = [];
    let done = false;
    try {
      if (words.trouble) yield* words.repair();
      const parts = partsOf(page, pages, this.#groupPages);
      const all = yield* words.awaitAll(parts.map(({ group }) => group));
      // From the first group on: once its head is 11 the run is a construction, and no reader takes it for given out.
      for (const [at, { mask, set }] of parts.entries()) {
        const owned = all[at]!;
        owned.constructing |= set;
        before.push((owned.low & mask) >>> 0);
        changes.push({ owned, mask, bits: mask });
      }
      yield* words.changeAll(changes);
      done = true;
    } finally {
      if (!done) {
        (extent as HeldExtent).live = true;
        for (const [at, { owned, mask }] of changes.entries()) {
          owned.constructing &= ~pagesWith(mask, pageBits.withheld, this.#groupPages);
          words.owe(owned, mask, before[at]!);
        }
      }
    }
  }

  settle(page: number, pages: number): void {
    for (const { group, set } of partsOf(page, pages, this.#groupPages)) {
      const owned = this.#table.owned.get(group);
      if (owned !== undefined) owned.constructing &= ~set;
    }
  }
}

function countPages(set: number): number {
  return 16 - freePages(setMask(set), 16);
}
