import { isExomemError } from '@exomem/core';
import { Breach } from './law.js';
import type { Deed } from './workload.js';
import type { World } from './world.js';

/**
 * What one client alone can have, from what it was told and nothing else: a short run where a group has room for it,
 * a long one over groups with nothing in them.
 */
export class Model {
  readonly #groups: number;
  readonly #groupPages: number;

  constructor(groups: number, groupPages: number) {
    this.#groups = groups;
    this.#groupPages = groupPages;
  }

  /** Lets a world's first client do it, and holds the result against what the model says. */
  expect(world: World, deed: Exclude<Deed, { kind: 'rest' }>): void {
    const used = this.#used(world);
    let said: string | undefined;
    world.doAlone(0, deed, ({ error }) => {
      said = isExomemError(error) ? error.code : undefined;
    });
    if (deed.kind === 'allocate') {
      const free = used.filter((page) => !page).length;
      const fits = this.#fits(world, used, deed.pages, deed.alignment);
      const expected = fits ? undefined : free < deed.pages ? 'RegionFull' : 'Fragmented';
      if (said !== expected) {
        throw new Breach(
          'full',
          `for ${deed.pages} pages the policy says ${said ?? 'yes'}, the model ${expected ?? 'yes'}`,
        );
      }
    }
    const now = this.#used(world).filter((page) => page).length;
    const { held, withheld, total } = world.usage(0);
    if (held + withheld !== now || total !== this.#groups * this.#groupPages) {
      throw new Breach(
        'conserved',
        `${now} of ${this.#groups * this.#groupPages} pages are in use, the policy counts ${held + withheld} of ${total}`,
      );
    }
  }

  #used(world: World): boolean[] {
    const used: boolean[] = new Array(this.#groups * this.#groupPages).fill(false);
    for (const { page, pages } of world.ledger.holdings) used.fill(true, page, page + pages);
    for (const page of world.ledger.named) used[page] = true;
    return used;
  }

  #fits(world: World, used: readonly boolean[], pages: number, alignment: number): boolean {
    const first = world.geometry.dataOffset / world.geometry.pageSize;
    const long = pages > this.#groupPages;
    const step = long ? this.#groupPages : 1;
    for (let start = 0; start + pages <= used.length; start += step) {
      if ((first + start) % alignment !== 0) continue;
      const group = Math.floor(start / this.#groupPages);
      if (!long && start + pages > (group + 1) * this.#groupPages) continue;
      // A long run takes groups with nothing in them, the last one too.
      const end = long ? Math.ceil((start + pages) / this.#groupPages) * this.#groupPages : start + pages;
      if (!used.slice(start, end).includes(true)) return true;
    }
    return false;
  }
}
