import { memberState, pageBits } from '../../region/words.js';
import type { Tables } from '../image.js';
import { overTables } from '../oracle.js';
import { highOf, nameOf } from '../standing.js';
import type { ToldAccess } from '../told.js';

export const I9 = overTables(
  {
    id: 'I9',
    sentence:
      'Data is read, written and zeroed by who owns the page; in a file, by who looked it up and has not published an index beyond.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    for (const access of told.accesses ?? []) {
      if (mayAccess(tables, access)) continue;
      const { kind, page, lookedUpAt } = access;
      const how = lookedUpAt === undefined ? 'as its own' : `as a file’s, looked up at index ${lookedUpAt}`;
      found.damage(`${nameOf(access)} does a ${kind} of page ${page} ${how}, and may not`, tables.pageAt(page), {
        page,
        member: access.member,
      });
    }
  },
);

function mayAccess(tables: Tables, { member, memberIncarnation, lookedUpAt, page, ...owner }: ToldAccess): boolean {
  const line = tables.members[member];
  if (line?.incarnation !== memberIncarnation) return false;
  if (line.state !== memberState.active && line.state !== memberState.joining) return false;
  const group = tables.groupOf(page);
  if (lookedUpAt === undefined) return tables.high(group) === highOf(owner) && tables.bits(page) !== pageBits.free;
  // It was named then; as long as the member has not published a later index, nobody may have freed it.
  return tables.high(group) >>> 16 !== 0 && tables.bits(page) === pageBits.withheld && line.w1.applied <= lookedUpAt;
}

export const I12 = overTables(
  {
    id: 'I12',
    sentence: 'Nobody sees bytes of another owner through a fresh page, a file, or an open file without a name.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    for (const { page, through, writer, allowed, ...owner } of told.sights ?? []) {
      if (writer === 0 || allowed.includes(writer)) continue;
      found.damage(
        `${nameOf(owner)} saw bytes of principal ${writer} in page ${page}, through a ${through}`,
        tables.pageAt(page),
        { page },
      );
    }
  },
);
