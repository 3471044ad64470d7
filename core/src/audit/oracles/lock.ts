import { lockState, maxLockToken } from '../../region/words.js';
import { hex } from '../finding.js';
import { mender } from '../lock-image.js';
import { overTables } from '../oracle.js';

export const I15 = overTables(
  {
    id: 'I15',
    sentence:
      'Where a lock rules, it shows a state and a member that there are; what that one committed is whole, and each of its words is as before or as after.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { lock, lockAt, geometry, members } = tables;
    const { state, holder, token, word, record } = lock;
    if (!lock.rules) return;
    if (token >= maxLockToken) {
      found.damage(`the lock is ${hex(word)}: that is the last token, and nobody can take it any more`, lockAt);
      return;
    }
    if (state === lockState.free) {
      if (holder !== 0) found.damage(`the lock is free, and ${hex(word)} names a holder`, lockAt);
      return;
    }
    if (state > lockState.commit) {
      found.damage(`the lock ${hex(word)} shows state ${state}, which is none`, lockAt);
      return;
    }
    if (holder === mender && state === lockState.held) {
      found.note('the lock is held by who mends the table', lockAt);
      return;
    }
    if (holder >= geometry.memberSlots) {
      found.damage(`the lock ${hex(word)} is held by member ${holder}, and there is no such slot`, lockAt);
      return;
    }
    const place = { member: holder };
    if (state === lockState.held) {
      found.note(`the lock is held by member ${holder}, which has committed nothing`, lockAt, place);
      return;
    }
    if (record === undefined) {
      found.damage(
        `member ${holder} has committed (token ${token}), and its redo slot has no whole record`,
        lockAt,
        place,
      );
      return;
    }
    const { incarnation } = members[holder]!;
    if (record.incarnation > incarnation) {
      found.damage(
        `member ${holder} has committed in incarnation ${record.incarnation}, and is in ${incarnation}`,
        lockAt,
        place,
      );
    }
    const possible = new Map<number, bigint[]>();
    for (const { group, before, after } of record.exchanges) {
      const words = possible.get(group);
      if (words === undefined) possible.set(group, [before, after]);
      else words.push(after);
    }
    for (const [group, words] of possible) {
      const shown = lock.words.get(group);
      if (shown === undefined || words.includes(shown)) continue;
      found.damage(
        `group ${group} shows ${hex(shown)}, and what is committed for it goes on from another word`,
        tables.wordAt(group),
        {
          ...place,
          group,
        },
      );
    }
    found.note(
      `member ${holder} has committed ${record.exchanges.length} changes, which may not all be done`,
      lockAt,
      place,
    );
  },
);
