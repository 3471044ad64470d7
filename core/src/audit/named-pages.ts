import type { FileExtent } from '../namespace/operation.js';
import type { NamespaceState } from '../namespace/state.js';

/** Everything that refers to pages: files, and files without a name that somebody has open. */
export function* referents(
  state: NamespaceState,
): Generator<{ inode: number; kept: boolean; extents: readonly FileExtent[] }> {
  for (const { inode, extents } of state.inodes.values()) yield { inode, kept: false, extents };
  for (const [inode, { extents }] of state.kept) yield { inode, kept: true, extents };
}

/** Pages with two references that are remembered: a tree of nonsense may refer to all of them. */
const mostTwice = 200;

/** Which pages the namespace refers to: a bit each. */
export class NamedPages {
  readonly #bits: Uint8Array;
  /** Pages that are referred to, each counted once. */
  readonly pages: number = 0;
  /** Pages that are referred to twice, as far as anybody wants to know. */
  readonly twice: ReadonlySet<number>;

  /** @param userPages pages beyond are not referred to, whatever a file says. */
  constructor(state: NamespaceState, userPages: number) {
    this.#bits = new Uint8Array(Math.ceil(userPages / 8));
    const twice = new Set<number>();
    this.twice = twice;
    for (const { extents } of referents(state)) {
      for (const { page, pages } of extents) {
        const end = Math.min(page + pages, userPages);
        for (let at = page; at < end && twice.size < mostTwice; at++) {
          const bit = 1 << (at % 8);
          const byte = Math.floor(at / 8);
          if (this.#bits[byte]! & bit) twice.add(at);
          else this.pages++;
          this.#bits[byte]! |= bit;
        }
      }
    }
  }

  has(page: number): boolean {
    return ((this.#bits[Math.floor(page / 8)] ?? 0) & (1 << (page % 8))) !== 0;
  }
}
