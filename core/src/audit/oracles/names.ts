import { pageBits } from '../../region/words.js';
import { count, hex } from '../finding.js';
import type { Tables } from '../image.js';
import { referents } from '../named-pages.js';
import { overTables } from '../oracle.js';

export const I6 = overTables(
  {
    id: 'I6',
    sentence: 'A page that a file refers to is no other file’s, withheld by its word, and belongs to somebody.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    if (!tables.log.complete) return;
    const { state } = tables.log;
    const { userPages, named } = tables;
    /** Of pages with two references: the first. */
    const first = new Map<number, number>();
    for (const { inode, extents } of referents(state)) {
      for (const { at, page, pages } of extents) {
        if (page + pages > userPages) {
          found.damage(
            `inode ${inode} has its page ${at} at page ${page}, ${count(pages, 'page')}: files have the first ${userPages} alone`,
            tables.rootAt,
            { inode, page, pages },
          );
        }
        const end = Math.min(page + pages, userPages);
        for (let here = page; here < end && !found.full; here++) {
          if (named.twice.has(here)) {
            const other = first.get(here);
            if (other === undefined) first.set(here, inode);
            else found.damage(sharing(here, other, inode), tables.pageAt(here), { inode, page: here });
          }
          const wrong = unlikeNamed(tables, here);
          if (wrong !== undefined)
            found.damage(
              `page ${here} is a page of inode ${inode}, and ${wrong}`,
              tables.wordAt(tables.groupOf(here)),
              {
                inode,
                page: here,
                group: tables.groupOf(here),
              },
            );
        }
      }
    }
  },
);

function sharing(page: number, one: number, other: number): string {
  return one === other
    ? `inode ${one} has page ${page} twice`
    : `page ${page} is a page of inode ${one} and of inode ${other}`;
}

function unlikeNamed(tables: Tables, page: number): string | undefined {
  const group = tables.groupOf(page);
  if (tables.high(group) >>> 16 === 0) return `its group ${group} belongs to nobody`;
  const bits = tables.bits(page);
  if (bits === pageBits.withheld) return undefined;
  return `the word of group ${group} shows it as ${shown[bits]}`;
}
const shown = ['free', 'given out', 'given out', 'withheld'];

export const I7 = overTables(
  {
    id: 'I7',
    sentence: 'The record of a slot in use is whole until the root has passed it.',
    decidedByBytes: true,
  },
  (found, { tables: { log, geometry } }) => {
    if (log.broken === undefined) return;
    const { index, what, where } = log.broken;
    found.damage(`the record of index ${index} cannot be read: ${what}`, where, {
      index,
      slot: index % geometry.logSlots,
    });
  },
);

export const I8 = overTables(
  {
    id: 'I8',
    sentence: 'Each record of an author counts once, and none after its fence.',
    decidedByBytes: true,
  },
  (found, { tables: { log, rootAt } }) => {
    if (!log.complete) return;
    const { count: counted, state } = log;
    for (const principal of new Set([...counted.fences.keys(), ...state.fences.keys()])) {
      const [should, is] = [counted.fences.get(principal), state.fences.get(principal)];
      if (should !== is)
        found.damage(
          `by the log principal ${principal} is fenced up to ${should}, in the namespace up to ${is}`,
          rootAt,
          { principal },
        );
    }
    for (const principal of new Set([...counted.sequences.keys(), ...state.sequences.keys()])) {
      const [should, is] = [counted.sequences.get(principal), state.sequences.get(principal)];
      if (should?.incarnation !== is?.incarnation || should?.sequence !== is?.sequence)
        found.damage(`of principal ${principal} the log has appends that the namespace counts otherwise`, rootAt, {
          principal,
        });
    }
    for (const [principal, { incarnation, sequence }] of state.sequences) {
      if (incarnation < 1 || sequence < 1)
        found.damage(
          `the last append of principal ${principal} has the number ${hex(sequence)} of incarnation ${incarnation}`,
          rootAt,
          { principal },
        );
    }
  },
);
