import { referents } from '../named-pages.js';
import { overTables } from '../oracle.js';

export const counts = overTables(
  {
    id: 'counts',
    sentence:
      'Free pages, room, held and withheld ones are all pages there are; files refer to as many as the namespace counts.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { free, room, held, withheld, total } = tables.counts;
    const sum = free + room + held + withheld;
    if (sum !== total) found.damage(`${sum} pages are accounted for, of ${total}`, tables.geometry.groupOffset);
    const { log } = tables;
    if (log.begin === undefined) return;
    let referred = 0;
    for (const { extents } of referents(log.state)) for (const { pages } of extents) referred += pages;
    if (referred !== log.state.pages)
      found.damage(`files have ${referred} pages, and the namespace counts ${log.state.pages}`, tables.rootAt);
  },
);
