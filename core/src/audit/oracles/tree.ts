import type { ByteRange } from '../../namespace/operation.js';
import { inodesPerIndex, rootInode } from '../../namespace/state.js';
import type { Findings } from '../finding.js';
import { referents } from '../named-pages.js';
import { overTables } from '../oracle.js';
import { treeProblems } from '../tree.js';

const most = 101;

export const tree = overTables(
  {
    id: 'tree',
    sentence: 'Names and inodes are a tree: every inode has the names it counts, every directory hangs on the root.',
    decidedByBytes: true,
  },
  (found, { tables, pending }) => {
    const { log } = tables;
    if (log.begin === undefined) return;
    const { state } = log;
    for (const { what, inode } of treeProblems(state, most)) found.damage(what, tables.rootAt, { inode });
    for (const { inode } of referents(state)) {
      const possible = inode >= inodesPerIndex && inode < state.index * inodesPerIndex;
      if (inode !== rootInode && !possible)
        found.damage(`no record could have made inode ${inode}: the log ends at ${state.index}`, tables.rootAt, {
          inode,
        });
    }
    for (const [inode, { holders }] of state.kept) {
      if (state.inodes.has(inode))
        found.damage(`inode ${inode} has a name, and is kept as one that has none`, tables.rootAt, { inode });
      for (const [principal, incarnation] of holders) {
        const place = { inode, principal };
        const standing = tables.standings.of(((principal << 16) | incarnation) >>> 0);
        if (standing === 'never')
          found.damage(
            `inode ${inode} is kept by principal ${principal} (incarnation ${incarnation}), who was never registered`,
            tables.rootAt,
            place,
          );
        else if (standing === 'gone')
          found.add(
            pending,
            `inode ${inode} is kept by principal ${principal} (incarnation ${incarnation}), who is no more`,
            tables.rootAt,
            place,
          );
      }
    }
  },
);

export const files = overTables(
  {
    id: 'files',
    sentence: 'The extents of a file have pages, are in order and do not overlap; so are its unwritten ranges.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { log, geometry } = tables;
    if (log.begin === undefined) return;
    for (const { inode, extents } of referents(log.state)) {
      let end = 0;
      for (const { at, pages } of extents) {
        if (pages < 1) found.damage(`inode ${inode} has an extent of no page`, tables.rootAt, { inode });
        else if (at < end) found.damage(`inode ${inode} has two pages for its page ${at}`, tables.rootAt, { inode });
        end = Math.max(end, at + pages);
      }
    }
    for (const { inode, size, unwritten, extents } of log.state.inodes.values()) {
      checkRanges(found, inode, unwritten, tables.rootAt);
      const last = extents.at(-1);
      const pages = Math.ceil(size / geometry.pageSize);
      if (last !== undefined && last.at + last.pages > pages)
        found.note(`inode ${inode} has pages behind its end, which is at ${size}`, tables.rootAt, { inode });
    }
  },
);

function checkRanges(found: Findings, inode: number, ranges: readonly ByteRange[], where: number): void {
  let end = 0;
  for (const { from, to } of ranges) {
    if (from >= to || from < end) {
      found.damage(`inode ${inode} has an unwritten range from ${from} to ${to}, out of order`, where, { inode });
    }
    end = Math.max(end, to);
  }
}
