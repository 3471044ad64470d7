import { decodeSlot } from '../region/words.js';
import type { MemberImage } from './member-image.js';

/**
 * The index behind the last record, as the slots show it, whatever single ones of them say. What has been appended in a lap
 * lies in front of where the log ends, what the lap before has left, or nothing, behind: with a lap that is one higher for
 * an empty slot the numbers go down by one at exactly one place, which is looked for where the most of them agree. How many do is
 * told, too: if it is not most of them, nobody can say where the log ends.
 */
export function logEnd(slots: BigUint64Array): { readonly end: number; readonly agree: number } {
  const laps = Array.from(slots, (word) => {
    const { lap, address } = decodeSlot(word);
    return address === 0 ? lap : lap + 1;
  });
  const counts = new Map<number, number>();
  for (const lap of laps) counts.set(lap, (counts.get(lap) ?? 0) + 1);
  const [usual] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most));
  let best = { agree: -1, end: 1 };
  for (const lap of [usual - 1, usual]) {
    if (lap < 0) continue;
    let agree = counts.get(lap) ?? 0;
    for (let at = 0; ; at++) {
      if (agree > best.agree) best = { agree, end: lap * slots.length + at };
      if (at === laps.length) break;
      if (laps[at] === lap + 1) agree++;
      else if (laps[at] === lap) agree--;
    }
  }
  return { ...best, end: Math.max(1, best.end) };
}

/**
 * Whether members have applied more than the log has: the index behind what they have applied. The log only grows, so the last
 * slots are damaged then, or what a member has published is: that two say so tells which.
 * @param least members that have to say so
 */
export function appliedBeyond(
  members: readonly MemberImage[],
  end: number,
  logSlots: number,
  least: 1 | 2,
): number | undefined {
  const said = members
    .filter(({ incarnation, w1 }) => incarnation > 0 && w1.incarnation === incarnation)
    .map(({ w1 }) => w1.applied)
    .filter((applied) => applied > end && applied <= end + logSlots);
  return said.sort((a, b) => b - a)[least - 1];
}
