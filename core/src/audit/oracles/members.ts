import { maxMemberIncarnation, memberState } from '../../region/words.js';
import { hex } from '../finding.js';
import { overTables } from '../oracle.js';

export const members = overTables(
  {
    id: 'members',
    sentence:
      'A member line shows a state that there is; one that is ACTIVE has introduced itself; what it has applied is of its incarnation and not beyond the end of the log.',
    decidedByBytes: true,
  },
  (found, { tables, atRest, pending }) => {
    const { log } = tables;
    for (const member of tables.members) {
      const { slot, offset, word, state, incarnation, w1, introduction, wanted } = member;
      const place = { member: slot };
      const { free, joining, active, fenced } = memberState;
      if (state > fenced) {
        found.damage(`the word of member ${slot} is ${hex(word)}: there is no state ${state}`, offset, place);
        continue;
      }
      if (state === free) {
        if (word !== BigInt(incarnation) << 40n)
          found.damage(
            `the word of member ${slot} is ${hex(word)}: nobody is there, and somebody has beaten`,
            offset,
            place,
          );
      } else if (incarnation === 0) {
        found.damage(`member ${slot} is there as incarnation 0: the first one is 1`, offset, place);
      }
      if (incarnation === maxMemberIncarnation && state === free)
        found.note(`slot ${slot} has had its last incarnation: nobody can take it any more`, offset, place);
      if (state === joining) found.add(atRest ? 'damage' : 'note', `member ${slot} is joining`, offset, place);
      if (state === fenced) {
        found.add(
          pending,
          `member ${slot} (incarnation ${incarnation}) has left or was declared dead: whoever comes next recovers it`,
          offset,
          place,
        );
      }
      if (state === active && !(introduction.whole && introduction.incarnation === incarnation))
        found.damage(
          `member ${slot} is ACTIVE, and its introduction is not whole or of another incarnation`,
          offset,
          place,
        );

      const published = tables.w1At(member);
      if (w1.incarnation > incarnation) {
        found.damage(
          `w1 of member ${slot} is of incarnation ${w1.incarnation}, which there has not been yet`,
          published,
          place,
        );
      } else if (state === active && w1.incarnation < incarnation) {
        found.damage(
          `w1 of member ${slot}, which is ACTIVE, is of incarnation ${w1.incarnation} still`,
          published,
          place,
        );
      } else if (w1.incarnation === incarnation && log.begin !== undefined && w1.applied > log.end) {
        found.damage(
          `member ${slot} says that it has applied all below index ${w1.applied}; the log ends at ${log.end}`,
          published,
          { ...place, index: w1.applied },
        );
      }
      if (wanted !== undefined && tables.standings.principal(wanted.principal) === undefined)
        found.note(
          `member ${slot} is asked for something by principal ${wanted.principal}, which there is not`,
          offset,
          place,
        );
    }
  },
);
