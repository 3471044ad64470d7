import { looksGiven } from '../policy/group-table.js';
import { exchangeSurely, interrupted, surely } from '../policy/resolve.js';
import { shutOut } from '../protocol/exclusion.js';
import { bindingOf } from '../protocol/membership.js';
import { batch, type Protocol, pause, renew } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import {
  groupWordOffset,
  memberFields,
  memberLineOffset,
  principalWordOffset,
  userGroups,
} from '../region/geometry.js';
import {
  answerBodyOffset,
  answers,
  answerWordOffset,
  decodeLetter,
  decodeRequest,
  decodeSeat,
  encodeLetter,
  encodeSeat,
  maxTerm,
  type Request,
  refusedCount,
  requestBodyOffset,
  requestLength,
  requestLimit,
  requestWordOffset,
  seatOffset,
  type WordExchange,
} from '../region/mailboxes.js';
import {
  decodeMember,
  decodePrincipal,
  highHalf,
  lowHalf,
  memberState,
  ownerOf,
  principalState,
} from '../region/words.js';
import type { BatchAnswer, MemoryStep } from '../transport/step.js';
import { load, read, write } from '../transport/step.js';

/** Who takes part: a member slot that is ours. */
export interface Participant {
  readonly geometry: Geometry;
  readonly slot: number;
  readonly incarnation: number;
  /** Member numbers are configured: number 0 coordinates, and nobody ever takes over from it. */
  readonly configured?: boolean;
}

/** How often what was interrupted is looked at anew. */
const attempts = 8;

/**
 * Whoever has the seat is the one writer of all group words that are nobody's, or of somebody who is dead, and so grants
 * them to those who ask. It keeps nothing in its memory: what it has granted is in the words, what it has answered in the
 * answer words. So whoever follows it goes on from the bytes.
 */
export class Grantor {
  readonly #me: Participant;
  #seated = false;
  #left = false;
  #busy = false;
  /** Something that we wrote may still be on its way. */
  #unsettled = false;

  constructor(me: Participant) {
    this.#me = me;
  }

  /** Whether we have the seat. */
  get seated(): boolean {
    return this.#seated;
  }

  /**
   * Takes the seat if it is vacant, or if who is in it was declared dead: then only after having shut it out, so that nothing it
   * sent can land any more. Whether it is ours.
   */
  *take(): Protocol<boolean> {
    if (this.#seated || this.#left) return this.#seated;
    const { geometry, slot, incarnation, configured } = this.#me;
    const word = (yield* surely(load(seatOffset(geometry)))) as bigint;
    const seat = decodeSeat(word);
    const mine = { term: Math.min(maxTerm, seat.term + 1), slot, incarnation };
    if (seat.slot === slot && seat.incarnation === incarnation) this.#seated = true;
    else if (configured) {
      // Number 0 alone writes this word, and who had that number before is shut out since it has joined.
      if (slot !== 0) return false;
      yield* surely(write(seatOffset(geometry), bytesOf([encodeSeat(mine)])));
      this.#seated = true;
    } else {
      if (seat.incarnation !== 0 && !(yield* this.#gone(seat))) return false;
      this.#seated = (yield* exchangeSurely(seatOffset(geometry), word, encodeSeat(mine))) === word;
    }
    return this.#seated;
  }

  /** Whether a member is dead, and nothing of it can land any more. */
  *#gone({ slot, incarnation }: { slot: number; incarnation: number }): Protocol<boolean> {
    const { geometry } = this.#me;
    if (slot >= geometry.memberSlots) return true;
    const binding = bindingOf(geometry, slot, incarnation);
    if (isAlive((yield* surely(load(binding.offset))) as bigint, incarnation)) return false;
    return yield* shutOut(binding);
  }

  /** Gives the seat back: for who leaves. */
  *yieldSeat(): Protocol<void> {
    this.#left = true;
    if (!this.#seated) return;
    yield* this.#alone(this.#vacate());
  }
  *#vacate(): Protocol<void> {
    this.#seated = false;
    const { geometry, configured } = this.#me;
    if (configured) return;
    const word = (yield* surely(load(seatOffset(geometry)))) as bigint;
    const { term } = decodeSeat(word);
    yield* exchangeSurely(seatOffset(geometry), word, encodeSeat({ term, slot: 0, incarnation: 0 }));
  }

  /** Answers every request that is not answered yet. How many. */
  *serve(): Protocol<number> {
    if (!this.#seated) return 0;
    return yield* this.#alone(this.#round());
  }

  /** Changes words that nobody else may change, for ourselves. What was found in each, as far as it went. */
  *exchange(changes: readonly WordExchange[], stop: boolean): Protocol<bigint[]> {
    return yield* this.#alone(this.#exchange(changes, stop));
  }

  /** One at a time, and not before everything that was sent is settled. */
  *#alone<T>(work: Protocol<T>): Protocol<T> {
    while (this.#busy) yield pause(0);
    this.#busy = true;
    try {
      if (this.#unsettled) yield renew;
      this.#unsettled = true;
      const done = yield* work;
      this.#unsettled = false;
      return done;
    } finally {
      this.#busy = false;
    }
  }

  *#exchange(changes: readonly WordExchange[], stop: boolean): Protocol<bigint[]> {
    const { geometry } = this.#me;
    if (changes.length === 0) return [];
    const words = (yield batch(changes.map(({ group }) => load(groupWordOffset(geometry, group))))) as bigint[];
    const { found, writes } = decide({ changes, stop }, words, geometry.groupPages);
    yield batch(writes.map(({ group, desired }) => write(groupWordOffset(geometry, group), bytesOf([desired]))));
    return found;
  }

  *#round(): Protocol<number> {
    const { geometry } = this.#me;
    const requests = new BigUint64Array(geometry.memberSlots);
    const answered = new BigUint64Array(geometry.memberSlots);
    yield* surely(
      batch([
        read(requestWordOffset(geometry, 0), new Uint8Array(requests.buffer)),
        read(answerWordOffset(geometry, 0), new Uint8Array(answered.buffer)),
      ]),
    );
    let served = 0;
    for (const [slot, word] of requests.entries()) {
      if (word === 0n || answers(answered[slot]!, word)) continue;
      if (yield* this.#answer(slot, word)) served++;
    }
    return served;
  }

  /** Answers one request: until it is certain that it is answered. */
  *#answer(slot: number, word: bigint): Protocol<boolean> {
    const { geometry } = this.#me;
    const { count } = decodeLetter(word);
    if (count > requestLimit) return false;
    const body = new Uint8Array(requestLength(count));
    yield* surely(read(requestBodyOffset(geometry, slot), body));
    const request = decodeRequest(body, word, userGroups(geometry));
    // Of an earlier or later request than the word: whoever wrote it is not done, or is no more.
    if (request === undefined) return false;
    for (let attempt = 1; ; attempt++) {
      try {
        return yield* this.#grant(slot, word, request);
      } catch (error) {
        if (!interrupted(error) || attempt === attempts) throw error;
        // What of it has landed, the words tell: those that are what they are to become are taken for changed.
        yield pause(attempt === 1 ? 0 : 10 * 2 ** attempt);
        yield renew;
      }
    }
  }

  *#grant(slot: number, word: bigint, request: Request): Protocol<boolean> {
    const { geometry } = this.#me;
    const { incarnation } = decodeLetter(word);
    const { changes } = request;
    const owners = [...new Set(changes.map(({ desired }) => highHalf(desired)).filter((high) => high !== 0))];
    const known = (yield batch([
      load(answerWordOffset(geometry, slot)),
      load(memberLineOffset(geometry, slot) + memberFields.w0),
      ...owners.map((high) => load(principalWordOffset(geometry, ownerOf(high).principal))),
      ...changes.map(({ group }) => load(groupWordOffset(geometry, group))),
    ])) as bigint[];
    const [answered, w0] = known as [bigint, bigint];
    if (answers(answered, word)) return true;
    // What the dead had is recovered without what they had asked for.
    const entitled =
      isAlive(w0, incarnation) && owners.every((high, at) => actsFor(known[2 + at]!, high, { slot, incarnation }));
    if (!entitled) {
      yield* this.#reply(slot, word, refusedCount, [], []);
      return true;
    }
    const { found, writes } = decide(request, known.slice(2 + owners.length), geometry.groupPages);
    yield* this.#reply(slot, word, found.length, found, writes);
    return true;
  }

  /** The words first, then what was found, then that it is answered: a grant that anybody can read has happened. */
  *#reply(
    slot: number,
    word: bigint,
    count: number,
    found: readonly bigint[],
    writes: readonly WordExchange[],
  ): Protocol<void> {
    const { geometry } = this.#me;
    const steps: MemoryStep[] = writes.map(({ group, desired }) =>
      write(groupWordOffset(geometry, group), bytesOf([desired])),
    );
    if (found.length > 0) steps.push(write(answerBodyOffset(geometry, slot), bytesOf(found)));
    steps.push(write(answerWordOffset(geometry, slot), bytesOf([encodeLetter({ ...decodeLetter(word), count })])));
    (yield batch(steps)) as BatchAnswer;
  }
}

/**
 * What becomes of words. A word that is already what it is to become counts as changed: nobody but the one who asks for it
 * would have made it that, so it was done for this very request, by us or by whoever had the seat before. But for a word that
 * another may have given away meanwhile: what is in that is not all of whoever asks, which is told that it has not been
 * granted, and finds it among its own, as something that was given to it.
 */
function decide(
  { changes, stop }: Request,
  words: readonly bigint[],
  groupPages: number,
): { found: bigint[]; writes: WordExchange[] } {
  const found: bigint[] = [];
  const writes: WordExchange[] = [];
  for (const [at, change] of changes.entries()) {
    const { expected, desired } = change;
    const word = words[at]!;
    const done = word === desired && !looksGiven(lowHalf(word), groupPages);
    if (word === expected && word !== desired) writes.push(change);
    found.push(done ? expected : word);
    if (stop && word !== expected && !done) break;
  }
  return { found, writes };
}

/** Whether a member word shows that incarnation alive. */
export function isAlive(word: bigint, incarnation: number): boolean {
  const member = decodeMember(word);
  if (member.incarnation !== incarnation) return false;
  return member.state === memberState.joining || member.state === memberState.active;
}

/** Whether a principal's word shows that the member acts for that owner of words. */
export function actsFor(word: bigint, high: number, { slot, incarnation }: Omit<Participant, 'geometry'>): boolean {
  const line = decodePrincipal(word);
  return (
    line.state === principalState.active &&
    line.incarnation === ownerOf(high).incarnation &&
    line.member === slot &&
    line.memberIncarnation === incarnation
  );
}

export function bytesOf(words: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(words).buffer);
}
