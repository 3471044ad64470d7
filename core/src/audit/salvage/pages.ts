import type { FileExtent } from '../../namespace/operation.js';
import type { NamespaceState } from '../../namespace/state.js';
import { pageBits } from '../../region/words.js';
import type { Finding } from '../finding.js';
import type { Tables } from '../image.js';
import { referents } from '../named-pages.js';
import type { Loss } from './loss.js';
import type { Refuge } from './refuge.js';

/** What is left of extents without the pages of the file from `from` up to `to`. */
export function cutExtents(extents: readonly FileExtent[], from: number, to: number): FileExtent[] {
  const left: FileExtent[] = [];
  for (const { at, page, pages } of extents) {
    const [first, last] = [Math.max(at, from), Math.min(at + pages, to)];
    if (first >= last) left.push({ at, page, pages });
    else {
      if (at < first) left.push({ at, page, pages: first - at });
      if (last < at + pages) left.push({ at: last, page: page + last - at, pages: at + pages - last });
    }
  }
  return left;
}

/**
 * Holds the pages of files against the words. A file keeps a page if its word withholds it and no other file was given it since;
 * what was given out, or is free, has or may have bytes of others.
 */
export class PageJudge {
  readonly #tables: Tables;
  readonly #claims: ReadonlyMap<number, number>;
  /** Groups whose word is damaged: they say nothing. */
  readonly #doubted: ReadonlySet<number>;

  constructor(tables: Tables, claims: ReadonlyMap<number, number>, damage: readonly Finding[]) {
    this.#tables = tables;
    this.#claims = claims;
    const doubted = new Set<number>();
    for (const { oracle, group } of damage) {
      if (group !== undefined && (oracle === 'groups' || oracle === 'runs')) doubted.add(group);
    }
    this.#doubted = doubted;
  }

  /** Takes away what files cannot keep. Inode -> pages of the file that it has lost. */
  strip(state: NamespaceState): Map<number, number[]> {
    const lost = new Map<number, number[]>();
    const owner = this.#owners(state);
    const left = ({ inode, extents }: { inode: number; extents: readonly FileExtent[] }): FileExtent[] => {
      const kept: FileExtent[] = [];
      for (const { at, page, pages } of extents) {
        const end = Math.min(pages, Math.max(0, this.#tables.userPages - page));
        // Beyond the pages of files there is nothing: one number stands for it.
        if (end < pages) note(inode, at + end);
        let run: { at: number; page: number; pages: number } | undefined;
        for (let number = 0; number < end; number++) {
          const here = page + number;
          if (owner.get(here) === inode && this.#withheld(here)) {
            owner.delete(here);
            if (run === undefined) kept.push((run = { at: at + number, page: here, pages: 1 }));
            else run.pages++;
          } else {
            note(inode, at + number);
            run = undefined;
          }
        }
      }
      return kept;
    };
    const note = (inode: number, at: number): void => {
      const known = lost.get(inode);
      if (known === undefined) lost.set(inode, [at]);
      else known.push(at);
    };
    for (const inode of state.inodes.values()) {
      if (inode.extents.length > 0) inode.extents = left(inode);
    }
    for (const [inode, file] of state.kept) file.extents = left({ inode, extents: file.extents });
    return lost;
  }

  /** Of each page the one file that can have it: to which it was given last. Without a record of that the one made last. */
  #owners(state: NamespaceState): Map<number, number> {
    const owners = new Map<number, number>();
    for (const { inode, extents } of referents(state)) {
      for (const { page, pages } of extents) {
        const end = Math.min(page + pages, this.#tables.userPages);
        for (let here = page; here < end; here++) {
          const claim = this.#claims.get(here);
          if (claim !== undefined) owners.set(here, claim);
          else owners.set(here, Math.max(inode, owners.get(here) ?? 0));
        }
      }
    }
    return owners;
  }

  #withheld(page: number): boolean {
    const group = this.#tables.groupOf(page);
    if (this.#doubted.has(group)) return true;
    return this.#tables.high(group) >>> 16 !== 0 && this.#tables.bits(page) === pageBits.withheld;
  }

  /** Gives pages that are withheld and that no file has a name each run: what a lost record had named may be among them. */
  rescue(state: NamespaceState, refuge: Refuge, losses: Loss[]): void {
    const { userPages, geometry } = this.#tables;
    const named = new Set<number>();
    for (const { extents } of referents(state)) {
      for (const { page, pages } of extents) for (let here = page; here < page + pages; here++) named.add(here);
    }
    for (let page = 0; page < userPages && !refuge.full; ) {
      let end = page;
      while (end < userPages && !named.has(end) && this.#nameless(end)) end++;
      if (end > page) {
        const inode = refuge.make(refuge.directory, refuge.name(`pages-${page}`), 'file', refuge.fresh());
        const file = state.inodes.get(inode)!;
        file.extents = [{ at: 0, page, pages: end - page }];
        file.size = (end - page) * geometry.pageSize;
        losses.push({
          what: 'pages that no name is left for, or that were never named',
          inode,
          page,
          pages: end - page,
        });
      }
      page = Math.max(end, page + 1);
    }
  }
  #nameless(page: number): boolean {
    const group = this.#tables.groupOf(page);
    const high = this.#tables.high(group);
    if (high >>> 16 === 0 || this.#tables.standings.of(high) === 'never') return false;
    return this.#tables.bits(page) === pageBits.withheld;
  }
}
