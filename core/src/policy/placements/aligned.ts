import { pageOffset } from '../../region/geometry.js';
import type { Placement } from '../placement.js';
import { lowFragmentation } from './low-fragmentation.js';

/** Bytes of a large page of the processor. */
export const largePage = 2 * 1024 * 1024;

/**
 * What is as long as `bytes`, or longer, begins at a multiple of that in the region. Where no such place is free another one is
 * taken, for whoever needs the alignment asks for it (`alignment`), and whoever does not would rather have the memory. All
 * else goes where `low-fragmentation` puts it.
 * @param bytes a power of two
 */
export function alignedTo(bytes: number): Placement {
  const { place, explain } = lowFragmentation;
  const multiple = `a multiple of ${bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`}`;
  return {
    name: 'aligned',
    apiVersion: 1,
    place(space, need) {
      const { geometry } = space;
      if (need.pages * geometry.pageSize < bytes || need.alignment >= bytes) return place(space, need);
      const page = place(space, { ...need, alignment: bytes });
      return page >= 0 ? page : place(space, need);
    },
    explain(at, geometry) {
      const why = explain(at, geometry);
      if (at.pages * geometry.pageSize < bytes) return why;
      const begins = pageOffset(geometry, at.page) % bytes === 0;
      return begins ? `${why}, and begins at ${multiple}` : `${why}; no place at ${multiple} was free`;
    },
  };
}

/** Long runs by large pages: who maps them can do so by entries of 2 MiB. */
export const aligned = alignedTo(largePage);
