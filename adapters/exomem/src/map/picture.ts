import { bitsOf, type Occupancy, ownerOf, userGroups } from '@exomem/core';

/** What a cell mainly shows; of memory that is held, the principal that holds it. */
export type Shade = 'free' | 'reserve' | 'snapshot' | 'files' | number;

/** Some groups in a row, as one place of the picture. */
export interface Cell {
  readonly shade: Shade;
  /** At least half of its pages are in use. */
  readonly dense: boolean;
}

export interface Picture {
  readonly cells: readonly Cell[];
  readonly groupsPerCell: number;
}

/** Shows all groups in at most `most` cells, each of as many groups as the others; the last may have fewer. */
export function paintCells(occupancy: Occupancy, most: number): Picture {
  const { groupCount, groupPages } = occupancy.geometry;
  const reserve = userGroups(occupancy.geometry);
  const groupsPerCell = Math.ceil(groupCount / most);
  const cells: Cell[] = [];
  for (let begin = 0; begin < groupCount; begin += groupsPerCell) {
    const end = Math.min(groupCount, begin + groupsPerCell);
    const pages = new Map<Shade, number>();
    for (let group = begin; group < end; group++) {
      const { principal } = ownerOf(occupancy.words[2 * group + 1]!);
      if (principal === 0) continue;
      const low = occupancy.words[2 * group]!;
      for (let index = 0; index < groupPages; index++) {
        const bits = bitsOf(low, index);
        if (bits === 0) continue;
        const shade = group >= reserve ? 'snapshot' : bits === 3 ? 'files' : principal;
        pages.set(shade, (pages.get(shade) ?? 0) + 1);
      }
    }
    cells.push(cellOf(pages, (end - begin) * groupPages, begin >= reserve ? 'reserve' : 'free'));
  }
  return { cells, groupsPerCell };
}

/** What most of the pages in use are. */
function cellOf(pages: ReadonlyMap<Shade, number>, all: number, empty: Shade): Cell {
  let shade = empty;
  let largest = 0;
  let used = 0;
  for (const [candidate, count] of pages) {
    used += count;
    if (count > largest) {
      largest = count;
      shade = candidate;
    }
  }
  return { shade, dense: used * 2 >= all };
}
