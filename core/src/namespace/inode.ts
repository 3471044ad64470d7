import type { ByteRange, FileExtent, FileKind, FileOwner } from './operation.js';

/** A file, a directory or a symbolic link, as the log has it. */
export interface Inode {
  readonly inode: number;
  readonly kind: FileKind;
  mode: number;
  uid: number;
  gid: number;
  /** Names that refer to it; of a directory 2 and one for each directory in it. */
  links: number;
  size: number;
  atime: bigint;
  mtime: bigint;
  ctime: bigint;
  /** Of a symlink. */
  readonly target: string;
  /** Of a directory: names and inodes. */
  readonly entries: Map<string, number> | undefined;
  /** Of a directory: where it is; the root is in itself. */
  parent: number;
  /** Of a file, ascending by `at`, without overlap. Pages that come are put into it; when pages go it is another. */
  extents: FileExtent[];
  /** Ranges within its pages that were cut off and not written since: they read as zero. Ascending. */
  unwritten: ByteRange[];
  /** Of a file whose names vanish with that principal. */
  owner: FileOwner | undefined;
}

/** Where page `at` of a file lies: the index of the extent that covers it, or of the first one behind it. */
export function extentAt(extents: readonly FileExtent[], at: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const extent = extents[middle]!;
    if (extent.at + extent.pages <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts an extent where it belongs, joined with its neighbours where they continue each other. */
export function insertExtent(extents: FileExtent[], extent: FileExtent): void {
  const index = extentAt(extents, extent.at);
  const before = extents[index - 1];
  const after = extents[index];
  let { at, page, pages } = extent;
  let remove = 0;
  let start = index;
  if (before !== undefined && before.at + before.pages === at && before.page + before.pages === page) {
    at = before.at;
    page = before.page;
    pages += before.pages;
    start--;
    remove++;
  }
  if (after !== undefined && at + pages === after.at && page + pages === after.page) {
    pages += after.pages;
    remove++;
  }
  extents.splice(start, remove, { at, page, pages });
}

/** `ranges` without what lies from `from` up to `to`. */
export function withoutRange(ranges: readonly ByteRange[], from: number, to: number): ByteRange[] {
  const left: ByteRange[] = [];
  for (const range of ranges) {
    if (range.to <= from || range.from >= to) {
      left.push(range);
      continue;
    }
    if (range.from < from) left.push({ from: range.from, to: from });
    if (range.to > to) left.push({ from: to, to: range.to });
  }
  return left;
}
