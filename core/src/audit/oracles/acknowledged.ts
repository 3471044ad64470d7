import { decodeMember, memberState, ownerHalf, pageBits } from '../../region/words.js';
import { overTables } from '../oracle.js';
import { highOf, nameOf, ownerName } from '../standing.js';

export const I4 = overTables(
  {
    id: 'I4',
    sentence: 'No success is reported for a step that took effect after the fence, and what was acknowledged counts.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    for (const { what, member, memberIncarnation, memberWord } of told.successes ?? []) {
      const { state, incarnation } = decodeMember(memberWord);
      const alive = state === memberState.joining || state === memberState.active;
      if (!alive || incarnation !== memberIncarnation)
        found.damage(
          `member ${member} (incarnation ${memberIncarnation}) was told that it ${what}, and was fenced when that happened`,
          tables.members[member]?.offset ?? 0,
          { member },
        );
    }
    const { log } = tables;
    if (!log.complete) return;
    const records = new Map(log.entries.map((entry) => [entry.index, entry]));
    for (const { author, incarnation, sequence, index } of told.appends ?? []) {
      const who = `the append ${sequence} of ${ownerName(ownerHalf(author, incarnation))}, acknowledged at index ${index},`;
      const place = { index, principal: author };
      const last = log.state.sequences.get(author);
      const applied =
        last !== undefined &&
        (last.incarnation > incarnation || (last.incarnation === incarnation && last.sequence >= sequence));
      if (!applied) found.damage(`${who} is not in the namespace`, tables.rootAt, place);
      if (index < log.begin!) continue;
      const record = records.get(index);
      const same = record?.author === author && record.incarnation === incarnation && record.sequence === sequence;
      if (!same) found.damage(`${who} is not the record of that index`, record?.offset ?? tables.rootAt, place);
      else if (!record.counts) found.damage(`${who} is passed over`, record.offset, place);
    }
  },
);

export const I5 = overTables(
  {
    id: 'I5',
    sentence: 'What was given out is among what an adopter sees, and that is among what was committed.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    for (const { given, seen, ...owner } of told.adoptions ?? []) {
      const sights = new Set(seen.map(({ page, pages }) => `${page}+${pages}`));
      for (const { page, pages } of given) {
        if (!sights.has(`${page}+${pages}`))
          found.damage(
            `${nameOf(owner)} had been given ${pages} pages from page ${page} on, and its adopter does not see them`,
            tables.pageAt(page),
            { page, pages },
          );
      }
      for (const { page, pages } of seen) {
        const group = tables.groupOf(page);
        if (tables.high(group) === highOf(owner) && tables.bits(page) === pageBits.head) continue;
        found.damage(
          `the adopter of ${nameOf(owner)} sees ${pages} pages from page ${page} on, which no word shows`,
          tables.wordAt(group),
          { page, pages, group },
        );
      }
    }
  },
);
