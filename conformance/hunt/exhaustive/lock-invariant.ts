import { controlFields, decodeLock, groupWordOffset, lockState } from '@exomem/core';
import { type Change, rightful } from './invariants.js';
import type { Client, Moment } from './judgement.js';

/** I15, of each change of the lock and of the table. What is wrong, or undefined. */
export function committed(moment: Moment, who: Client, { offset, before, after }: Change): string | undefined {
  if (!moment.plot.locked) return undefined;
  const { controlOffset, groupOffset, groupCount } = moment.geometry;
  if (offset === controlOffset + controlFields.lock) return lockChanged(moment, who, before, after);
  if (offset < groupOffset || offset >= groupOffset + groupCount * 8) return undefined;
  // Where nobody can be shut out, what the dead had sent may come at any time, and finds no word that it fits but a free one.
  if (moment.waits && !who.stands) return undefined;
  const group = (offset - groupOffset) / 8;
  const change = `group ${group} goes from ${before.toString(16)} to ${after.toString(16)} by ${who.name}`;
  const lock = decodeLock(moment.lock());
  if (lock.state !== lockState.commit || lock.holder !== who.member?.slot)
    return `${change}, which has not committed that: the lock shows state ${lock.state} of member ${lock.holder}`;
  const known = moment
    .redo(moment.lock())
    ?.exchanges.some((one) => one.group === group && one.before === before && one.after === after);
  return known ? undefined : `${change}, and no redo record says so`;
}

/** What words become by what was committed and is not done. */
export function pending(moment: Moment): readonly bigint[] {
  if (!moment.plot.locked || decodeLock(moment.lock()).state !== lockState.commit) return [];
  return moment.redo(moment.lock())?.exchanges.map(({ after }) => after) ?? [];
}

function lockChanged(moment: Moment, who: Client, before: bigint, after: bigint): string | undefined {
  const [old, now] = [decodeLock(before), decodeLock(after)];
  const what = `the lock goes from ${show(old)} to ${show(now)} by ${who.name}`;
  const { free, held, commit } = lockState;
  const taken = now.token === old.token + 1 && now.holder === who.member?.slot;
  switch (now.state) {
    case held:
      return taken && old.state !== commit ? undefined : what;
    case free: {
      if (now.token !== old.token || old.state === free) return what;
      return old.state === held ? undefined : undone(moment, before, what);
    }
    case commit: {
      const record = moment.redo(after);
      if (record === undefined) return `${what}, and its redo slot has no whole record`;
      if (old.state === commit) {
        const earlier = moment.redo(before);
        const same = JSON.stringify(earlier?.exchanges, show64) === JSON.stringify(record.exchanges, show64);
        return taken && same ? undefined : `${what}, with other changes`;
      }
      if (old.state !== held || now.token !== old.token || now.holder !== old.holder) return what;
      for (const { group, before: was, after: then } of record.exchanges) {
        const offset = groupWordOffset(moment.geometry, group);
        const wrong = rightful(moment, who, { offset, before: was, after: then });
        if (wrong !== undefined) return wrong;
      }
      if (moment.waits) return undefined;
      const words = new Map<number, bigint>();
      for (const exchange of record.exchanges) {
        const word = words.get(exchange.group) ?? moment.groupWord(exchange.group);
        if (word !== exchange.before) return `${what}, and group ${exchange.group} shows ${word.toString(16)}`;
        words.set(exchange.group, exchange.after);
      }
      return undefined;
    }
    default:
      return what;
  }
}

/** Whether something of a commit is not done. */
function undone(moment: Moment, lock: bigint, what: string): string | undefined {
  if (moment.waits) return undefined;
  const words = new Map(moment.redo(lock)?.exchanges.map(({ group, after }) => [group, after]));
  for (const [group, word] of words) {
    const shown = moment.groupWord(group);
    if (shown !== word) return `${what}, and group ${group} shows ${shown.toString(16)}, not ${word.toString(16)}`;
  }
  return undefined;
}

function show({ token, state, holder }: ReturnType<typeof decodeLock>): string {
  return `${['FREE', 'HELD', 'COMMIT'][state] ?? state} ${token} of ${holder}`;
}

function show64(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString(16) : value;
}
