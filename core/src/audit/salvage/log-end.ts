import { decodeSlot } from '../../region/words.js';

/**
 * The index behind the last record, as the slots show it, whatever single ones of them say. What has been appended in a lap
 * lies in front of where the log ends, what the lap before has left, or nothing, behind: with a lap that is one higher for
 * an empty slot the numbers go down by one at exactly one place, which is looked for where the most of them agree.
 */
export function logEnd(slots: BigUint64Array): number {
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
  return Math.max(1, best.end);
}
