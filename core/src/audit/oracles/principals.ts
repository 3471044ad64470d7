import { decodePrincipal, maxPrincipalIncarnation, principalState } from '../../region/words.js';
import { hex } from '../finding.js';
import { overTables } from '../oracle.js';
import { isKept } from '../standing.js';

export const principals = overTables(
  {
    id: 'principals',
    sentence:
      'A principal word shows a state that there is, and refers to a member in an incarnation that it has or had; a fence of the log never reaches one that is registered.',
    decidedByBytes: true,
  },
  (found, { tables, pending }) => {
    const { log } = tables;
    const { free, registering, active, adopting, dying } = principalState;
    if (tables.principals[0] !== 0n)
      found.damage('the word of principal 0, which nobody may be, is not zero', tables.principalAt(0), {
        principal: 0,
      });
    for (let principal = 1; principal < tables.principals.length; principal++) {
      const word = tables.principals[principal]!;
      const where = tables.principalAt(principal);
      const place = { principal };
      const line = decodePrincipal(word);
      const { state, incarnation, member, memberIncarnation, policy } = line;
      const name = `principal ${principal} (incarnation ${incarnation})`;
      if (state > dying) {
        found.damage(`the word of principal ${principal} is ${hex(word)}: there is no state ${state}`, where, place);
        continue;
      }
      const fence = log.begin === undefined ? undefined : log.state.fences.get(principal);
      if (fence !== undefined && fence > incarnation)
        found.damage(
          `the log fences incarnation ${fence} of principal ${principal}, whose last is ${incarnation}`,
          where,
          place,
        );
      if (state === free) {
        if (word !== BigInt(incarnation) << 44n)
          found.damage(
            `the word of principal ${principal} is ${hex(word)}: it is FREE, and refers to a member`,
            where,
            place,
          );
        if (incarnation >= maxPrincipalIncarnation)
          found.note(`${name} was its last: nobody can register it any more`, where, place);
        continue;
      }
      if (incarnation === 0)
        found.damage(`principal ${principal} is there in incarnation 0: the first one is 1`, where, place);
      if (policy !== 0 && policy !== 254 && !isKept(policy))
        found.damage(`${name} has the policy ${policy}, which there is not`, where, place);
      if ((state === active || state === registering) && fence === incarnation)
        found.damage(`${name} is registered, and the log has fenced it`, where, place);

      const reference = tables.standings.reference(line);
      const whom = `member ${member} (incarnation ${memberIncarnation})`;
      if (reference === 'nowhere' || reference === 'future') {
        found.damage(`${name} refers to ${whom}, which there has never been`, where, place);
        continue;
      }
      if (reference === 'joining') {
        found.damage(`${name} refers to ${whom}, which has not joined yet`, where, place);
        continue;
      }
      if (state === adopting && reference !== 'there' && isKept(policy))
        found.note(`${name} lost its member while that adopted it, and is kept for whoever adopts it`, where, place);
      else if (state === dying) found.add(pending, `${name} is being recovered`, where, place);
      else if (state === adopting) found.add(pending, `${name} is being adopted`, where, place);
      else if (state === registering) found.add(pending, `${name} is being registered`, where, place);
      else if (reference === 'there') continue;
      else if (isKept(policy))
        found.note(`${name} has lost its member, and is kept for whoever adopts it`, where, place);
      else if (reference === 'fenced') found.add(pending, `${name} is left behind by ${whom}`, where, place);
      else found.add(pending, `${name} is stranded: ${whom}, to which it refers, is no more`, where, place);
    }
  },
);
