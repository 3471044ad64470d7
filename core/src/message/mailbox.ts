import { ExomemError } from '../errors.js';
import { fenced, interrupted } from '../policy/resolve.js';
import { batch, type Protocol, pause, renew, watch } from '../protocol/protocol.js';
import {
  answerBodyOffset,
  answers,
  answerWordOffset,
  decodeLetter,
  encodeLetter,
  encodeRequest,
  maxSequence,
  refusedCount,
  requestBodyOffset,
  requestWordOffset,
  type WordExchange,
} from '../region/mailboxes.js';
import type { MemoryStep } from '../transport/step.js';
import { load, read, write } from '../transport/step.js';
import { bytesOf, type Grantor, type Participant } from './grantor.js';

/** How often a request that was interrupted is sent again. */
const attempts = 8;
/** Milliseconds for which who waits for an answer takes it for granted that somebody has the seat. */
const seatInterval = 250;

interface OpenRequest {
  readonly word: bigint;
  readonly body: Uint8Array;
  readonly count: number;
  /** It was sent, and nothing of an earlier sending is on its way. */
  sent: boolean;
}

/**
 * A member's own mailbox: one request at a time. The next one is written when the one before it is answered, so that a body is
 * never written over while somebody may read it. What became of a request is not known before its answer, whatever else
 * happens meanwhile: `settle` waits for it.
 */
export class Mailbox {
  readonly #me: Participant;
  readonly #grantor: Grantor;
  /** How often it looks whether somebody has the seat before it gives up. */
  readonly #patience: number;
  #sequence = 0;
  #open: OpenRequest | undefined;
  #busy = false;
  /** The last request was answered. */
  #answered = false;

  constructor(me: Participant, grantor: Grantor, patience: number) {
    this.#me = me;
    this.#grantor = grantor;
    this.#patience = patience;
  }

  /** Whether a request waits for its answer. */
  get open(): boolean {
    return this.#open !== undefined;
  }
  /** Requests that it has sent. */
  get sequence(): number {
    return this.#sequence;
  }
  /** The last of them was answered. */
  get answered(): boolean {
    return this.#answered;
  }

  /**
   * Asks for changes of words, at most `requestLimit`. What was found in each, as far as it went.
   * @throws `Busy` (nobody answers), `Fenced` (we do not act for whom we asked).
   */
  *ask(changes: readonly WordExchange[], stop: boolean): Protocol<bigint[]> {
    while (this.#busy) yield pause(0);
    this.#busy = true;
    try {
      if (this.#open !== undefined) {
        yield renew;
        yield* this.#await(this.#open);
      }
      if (this.#sequence >= maxSequence) throw new ExomemError('Busy', 'this member has sent all requests that it can');
      this.#sequence++;
      const { incarnation } = this.#me;
      const word = encodeLetter({ incarnation, sequence: this.#sequence, count: changes.length });
      const body = encodeRequest(word, { changes, stop });
      this.#open = { word, body, count: changes.length, sent: false };
      const found = yield* this.#await(this.#open);
      if (found === undefined) throw fenced('another client took over this principal');
      return found;
    } finally {
      this.#busy = false;
    }
  }

  /** Waits for the answer to what was asked and given up. Afterwards nothing that we asked for happens any more. */
  *settle(): Protocol<void> {
    while (this.#busy) yield pause(0);
    if (this.#open === undefined) return;
    this.#busy = true;
    try {
      yield* this.#await(this.#open);
    } finally {
      this.#busy = false;
    }
  }

  *#await(request: OpenRequest): Protocol<bigint[] | undefined> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (!request.sent) yield* this.#send(request);
        return yield* this.#receive(request);
      } catch (error) {
        if (!interrupted(error) || attempt === attempts) throw error;
        yield pause(attempt === 1 ? 0 : 10 * 2 ** attempt);
        yield renew;
      }
    }
  }

  /** The body first, then the word that announces it. Twice is once: both are ours alone, and the same. */
  *#send(request: OpenRequest): Protocol<void> {
    const { geometry, slot } = this.#me;
    yield batch([
      write(requestBodyOffset(geometry, slot), request.body),
      write(requestWordOffset(geometry, slot), bytesOf([request.word])),
    ]);
    request.sent = true;
  }

  *#receive(request: OpenRequest): Protocol<bigint[] | undefined> {
    const { geometry, slot } = this.#me;
    const offset = answerWordOffset(geometry, slot);
    for (let look = 0; look < this.#patience; look++) {
      // Who has just been answered knows that somebody is there.
      if (!this.#answered && (yield* this.#grantor.take())) yield* this.#grantor.serve();
      for (let changed = true; changed; ) {
        const found = new BigUint64Array(request.count);
        // The word before the body: where it answers, the body is whole.
        const steps: MemoryStep[] = [load(offset)];
        if (request.count > 0) steps.push(read(answerBodyOffset(geometry, slot), new Uint8Array(found.buffer)));
        const [word] = (yield batch(steps)) as [bigint];
        if (answers(word, request.word)) {
          this.#open = undefined;
          this.#answered = true;
          const { count } = decodeLetter(word);
          return count === refusedCount ? undefined : [...found.subarray(0, count)];
        }
        changed = (yield watch(offset, word, seatInterval)) === 0;
      }
      this.#answered = false;
    }
    // Not one that says that nobody knows what became of it: there is no use in asking that at once.
    throw new ExomemError('Busy', 'whoever coordinates the groups of this region does not answer', {
      advice: 'try again later: somebody else takes its place when it has been declared dead',
    });
  }
}
