import {
  answerWordOffset,
  decodeLetter,
  decodeSeat,
  refusedCount,
  requestLimit,
  requestWordOffset,
  seatOffset,
} from '../../region/mailboxes.js';
import { hex } from '../finding.js';
import { overTables } from '../oracle.js';

export const mail = overTables(
  {
    id: 'mail',
    sentence:
      'The seat is vacant, or of a member in an incarnation that it has or had; so are requests and answers, and no answer is ahead of its request.',
    decidedByBytes: true,
  },
  (found, { tables: { mail, members, geometry } }) => {
    if (mail === undefined) return;
    const seat = decodeSeat(mail.seat);
    const holder = members[seat.slot];
    if (seat.incarnation === 0 ? seat.slot !== 0 : seat.incarnation > (holder?.incarnation ?? 0))
      found.damage(
        `the seat ${hex(mail.seat)} is of member ${seat.slot} (incarnation ${seat.incarnation}), which there has never been`,
        seatOffset(geometry),
      );
    for (const [member, { incarnation }] of members.entries()) {
      const [request, answer] = [decodeLetter(mail.requests[member]!), decodeLetter(mail.answers[member]!)];
      if (request.incarnation > incarnation || request.count > requestLimit)
        found.damage(
          `the request of member ${member} is ${hex(mail.requests[member]!)}: it cannot have asked that`,
          requestWordOffset(geometry, member),
          { member },
        );
      const ahead = answer.incarnation === request.incarnation && answer.sequence > request.sequence;
      const impossible = answer.count > requestLimit && answer.count !== refusedCount;
      if (answer.incarnation > incarnation || impossible || ahead)
        found.damage(
          `the answer to member ${member} is ${hex(mail.answers[member]!)}: that answers nothing that it has asked`,
          answerWordOffset(geometry, member),
          { member },
        );
    }
  },
);
