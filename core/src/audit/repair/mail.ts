import { answerWordOffset, decodeSeat, encodeSeat, requestWordOffset, seatOffset } from '../../region/mailboxes.js';
import { type Mend, mendWord, type Patient, placesOf } from './mend.js';

/**
 * The words of mailboxes, where nobody is joined: the seat is vacant, and who asked for something, or answered, is no more. Where somebody
 * is, each of these words is its own: who believes to have the seat grants, whatever the word says.
 */
export function cureMail({ tables: { mail, geometry }, damage }: Patient, attended: boolean): Mend[] {
  if (mail === undefined || attended) return [];
  const mends: Mend[] = [];
  if (damage.some(({ oracle, where }) => oracle === 'mail' && where === seatOffset(geometry))) {
    const vacant = encodeSeat({ term: decodeSeat(mail.seat).term, slot: 0, incarnation: 0 });
    mends.push(...mendWord('mail', 'the seat is vacant', seatOffset(geometry), mail.seat, vacant));
  }
  for (const member of placesOf(damage, 'member', 'mail')) {
    const [request, answer] = [requestWordOffset(geometry, member), answerWordOffset(geometry, member)];
    const what = `member ${member} has asked for nothing`;
    mends.push(...mendWord('mail', what, request, mail.requests[member]!, 0n));
    mends.push(...mendWord('mail', `nothing is answered to member ${member}`, answer, mail.answers[member]!, 0n));
  }
  return mends;
}
