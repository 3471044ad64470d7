import { pageBits } from '../region/words.js';
import type { Tables } from './image.js';

/** Where all bytes of a region are. Pages, unless said otherwise. */
export interface Counts {
  /** That allocations can take. */
  readonly total: number;
  /** In groups that nobody owns. */
  readonly free: number;
  /** Free pages inside groups that somebody owns. */
  readonly room: number;
  /** Given out: heads and continuations. */
  readonly held: number;
  /** Withheld by their words: pages of files, and those that have no name yet or any more. */
  readonly withheld: number;
  /** That files refer to, also files without a name. Each once. */
  readonly named: number;
  /** Groups of the reserve. */
  readonly reserve: { readonly free: number; readonly snapshot: number; readonly other: number };
  /** Bytes of superblocks and tables, and of what lies between them. */
  readonly metadataBytes: number;
}

/** Counts the pages of the table of group words. */
export function countPages(tables: Tables): Counts {
  const { geometry, words, userPages, log } = tables;
  const { groupPages, groupCount, pageSize } = geometry;
  const counts = { free: 0, room: 0, held: 0, withheld: 0 };
  const userGroups = userPages / groupPages;
  for (let group = 0; group < userGroups; group++) {
    if (words[2 * group + 1]! >>> 16 === 0) {
      counts.free += groupPages;
      continue;
    }
    const low = words[2 * group]!;
    for (let index = 0; index < groupPages; index++) {
      const bits = (low >>> (30 - 2 * index)) & 3;
      counts[bits === pageBits.free ? 'room' : bits === pageBits.withheld ? 'withheld' : 'held']++;
    }
  }
  const snapshot = new Set(log.snapshot?.groups);
  const reserve = { free: 0, snapshot: snapshot.size, other: 0 };
  for (let group = userGroups; group < groupCount; group++) {
    if (words[2 * group + 1]! >>> 16 === 0) reserve.free++;
    else if (!snapshot.has(group)) reserve.other++;
  }
  return {
    total: userPages,
    ...counts,
    named: tables.named.pages,
    reserve,
    metadataBytes: geometry.regionBytes - groupCount * groupPages * pageSize,
  };
}
