import type { Protocol } from '../protocol/protocol.js';
import { drain } from '../protocol/protocol.js';
import { pageBits } from '../region/words.js';
import type { Custody } from './custody.js';
import { type HeldExtent, partsOf, spend } from './extents.js';
import type { GroupTable, OwnedGroup } from './group-table.js';
import type { OwnWords, WordChange } from './own-words.js';
import type { Extent } from './policy.js';
import { pagesWith, runMask, setMask } from './run-bits.js';

/** How an allocator gives back. */
export class Freeing {
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #custody: Custody;
  readonly #owner: object;

  constructor(words: OwnWords, custody: Custody, owner: object) {
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#custody = custody;
    this.#owner = owner;
  }

  *free(extent: Extent): Protocol<void> {
    const { page, pages, named } = spend(extent, this.#owner);
    const words = this.#words;
    let begun = false;
    try {
      // Nothing of ours may still be on its way to these pages when they become somebody else's (R8).
      yield drain;
      if (words.trouble) yield* words.repair();
      if (named) {
        begun = true;
        yield* this.#custody.release(page, pages);
      } else if (pages <= this.#groupPages) {
        const group = Math.floor(page / this.#groupPages);
        const owned = words.ready(group) ?? (yield* words.await(group));
        begun = true;
        const mask = runMask(page - group * this.#groupPages, pages);
        if (!words.wipes && this.#keeps(owned, mask)) yield* words.change(owned, mask, 0);
        else yield* words.changeAll([{ owned, mask, bits: 0 }]);
      } else {
        const parts = partsOf(page, pages, this.#groupPages);
        const all = yield* words.awaitAll(parts.map(({ group }) => group));
        begun = true;
        // From the last group on; the head ceased before them all.
        yield* words.changeAll(parts.map(({ mask }, at) => ({ owned: all[at]!, mask, bits: 0 })).reverse());
      }
    } finally {
      if (!begun) (extent as HeldExtent).live = true;
    }
  }

  /** Whether a group stays ours without those pages: with others in use, or as the spare one. */
  #keeps(owned: OwnedGroup, mask: number): boolean {
    if ((owned.low & ~mask) !== 0) return true;
    if (this.#table.spare !== undefined && this.#table.spare !== owned) return false;
    this.#table.spare = owned;
    return true;
  }

  *surrender(): Protocol<void> {
    const words = this.#words;
    yield drain;
    if (words.trouble) yield* words.repair();
    const groups = [...this.#table.owned.keys()].sort((one, other) => one - other);
    const all = yield* words.awaitAll(groups);
    const drops: WordChange[] = [];
    for (const owned of all) {
      const named = pagesWith(owned.low, pageBits.withheld, this.#groupPages) & ~owned.constructing;
      owned.constructing = 0;
      drops.push({ owned, mask: setMask(~named & 0xffff), bits: 0 });
    }
    yield* words.changeAll(drops.reverse());
  }
}
