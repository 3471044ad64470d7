import { decodeRecord, type Geometry, type Operation, pageOffset } from '@exomem/core';
import type { RegionImage } from '@exomem/core/audit';
import { Copy, type Image } from './image.js';

/** Names and files, in one text. */
export function namespaceOf({ tables }: RegionImage): string {
  if (tables === undefined) return '';
  const inodes = [...tables.log.state.inodes.values()].sort((a, b) => a.inode - b.inode);
  const plain = inodes.map(({ entries, ...inode }) => ({ ...inode, entries: entries && [...entries].sort() }));
  return JSON.stringify(plain, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
}

/** Which inodes each record of an image is about, by index. */
export function subjectsOf(image: Image, { tables }: RegionImage): Map<number, Set<number>> {
  const copy = new Copy(image);
  const { entries } = tables!.log;
  return new Map(
    entries.map(({ index, offset, length }) => {
      const lap = Math.floor(index / image.geometry.logSlots);
      const { operations } = decodeRecord(copy.read(offset, length), index, lap)!;
      return [index, new Set(operations.flatMap((operation, number) => inodesOf(operation, index * 4096 + number)))];
    }),
  );
}
function inodesOf(operation: Operation, made: number): number[] {
  switch (operation.op) {
    case 'create':
      return [made];
    case 'rename':
      return [operation.inode, operation.replaced];
    case 'fence':
    case 'disown':
      return [];
    default:
      return [operation.inode];
  }
}

/** The bytes of pages that users have. */
export function userPages(copy: Copy, geometry: Geometry): Uint8Array {
  const { groupCount, reserveGroups, groupPages, pageSize } = geometry;
  return copy.read(pageOffset(geometry, 0), (groupCount - reserveGroups) * groupPages * pageSize);
}
