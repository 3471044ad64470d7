import { isExomemError } from '../errors.js';
import { fenced, interrupted, loadSurely, reloadWords } from '../policy/resolve.js';
import { type Geometry, memberFields, memberLineOffset } from '../region/geometry.js';
import { decodeMember, memberState } from '../region/words.js';
import type { BatchAnswer } from '../transport/step.js';
import { compareExchange, load } from '../transport/step.js';
import { shutOut } from './exclusion.js';
import { bindingOf, type Member } from './membership.js';
import { batch, type Protocol } from './protocol.js';

/** Who holds a lock by name, and how often it has been taken: its first word. Incarnation 0: nobody. */
export interface Hold {
  /** Grows by one with each holder. */
  readonly turn: number;
  readonly slot: number;
  readonly incarnation: number;
}

/** A lock that has been taken so often is worn out: another file takes its place. */
export const lastTurn = 2 ** 28 - 1;

/** `{turn:28 | incarnation:20 | slot:16}`. */
export function encodeHold({ turn, slot, incarnation }: Hold): bigint {
  return (BigInt(turn) << 36n) | (BigInt(incarnation) << 16n) | BigInt(slot);
}
export function decodeHold(word: bigint): Hold {
  return { turn: Number(word >> 36n), incarnation: Number((word >> 16n) & 0xf_ffffn), slot: Number(word & 0xffffn) };
}

/** A lock's word, and who is at it: a member, one operation at a time. */
export interface LockPlace {
  readonly geometry: Geometry;
  /** Of the word, in bytes. */
  readonly offset: number;
  readonly member: Pick<Member, 'slot' | 'incarnation'>;
}

/**
 * Takes a lock, once: from nobody, or from one who is dead and shut out, so nothing that it does under the lock is on its way.
 * The turn that is ours, or undefined: somebody else has it.
 * @throws `Fenced`
 */
export function* takeHold({ geometry, offset, member }: LockPlace): Protocol<number | undefined> {
  let word = yield* loadSurely(load(offset));
  for (;;) {
    const hold = decodeHold(word);
    // The word, then whether its holder lives, then a compareExchange of that very word.
    if (hold.incarnation !== 0 && !(yield* isOver(geometry, hold, member))) return undefined;
    if (hold.turn === lastTurn) return undefined;
    const { slot, incarnation } = member;
    const turn = hold.turn + 1;
    const found = yield* exchangeAlive(geometry, offset, word, encodeHold({ turn, slot, incarnation }), member);
    if (found === word) return turn;
    word = found;
  }
}

/** Whether a hold counts no more: its holder is dead, and shut out. What we left behind ourselves counts no more either. */
function* isOver(geometry: Geometry, hold: Hold, me: LockPlace['member']): Protocol<boolean> {
  const { slot, incarnation } = hold;
  if (slot === me.slot && incarnation === me.incarnation) return true;
  // Garbage holds nothing.
  if (slot >= geometry.memberSlots) return true;
  const member = decodeMember(yield* loadSurely(load(memberLineOffset(geometry, slot) + memberFields.w0)));
  if (member.incarnation !== incarnation || member.state === memberState.free) return true;
  if (member.state !== memberState.fenced) return false;
  // Who declared it dead may have died before it could shut it out.
  return yield* shutOut(bindingOf(geometry, slot, incarnation));
}

/** A compareExchange to a value that nobody else writes, and the look whether we live behind it: what it found. */
function* exchangeAlive(
  geometry: Geometry,
  offset: number,
  expected: bigint,
  desired: bigint,
  { slot, incarnation }: LockPlace['member'],
): Protocol<bigint> {
  const own = memberLineOffset(geometry, slot) + memberFields.w0;
  const check = (word: bigint): void => {
    const member = decodeMember(word);
    const lives = member.state === memberState.active || member.state === memberState.joining;
    if (!lives || member.incarnation !== incarnation) throw fenced('another client declared this one dead');
  };
  for (;;) {
    try {
      const [found, line] = (yield batch([compareExchange(offset, expected, desired), load(own)])) as BatchAnswer;
      check(line as bigint);
      return found as bigint;
    } catch (error) {
      if (!interrupted(error)) throw error;
      const [word, line] = yield* reloadWords([offset, own]);
      check(line!);
      if (word === desired) return expected;
      if (word !== expected) return word!;
    }
  }
}

/**
 * Gives a lock back. Answers the word behind it, in which those who wait leave a sign.
 * @throws `Fenced`: it was not ours any more.
 */
export function* releaseHold({ offset, member: { slot, incarnation } }: LockPlace, turn: number): Protocol<bigint> {
  const mine = encodeHold({ turn, slot, incarnation });
  const free = encodeHold({ turn, slot: 0, incarnation: 0 });
  for (;;) {
    try {
      const [found, sign] = (yield batch([compareExchange(offset, mine, free), load(offset + 8)])) as BatchAnswer;
      if (found !== mine) throw fenced('another client took over this lock');
      return sign as bigint;
    } catch (error) {
      if (isExomemError(error, 'Fenced') || !interrupted(error)) throw error;
      const [word, sign] = yield* reloadWords([offset, offset + 8]);
      // Nobody but us changes it while it is ours: whatever else it shows came after.
      if (word !== mine) return sign!;
    }
  }
}
