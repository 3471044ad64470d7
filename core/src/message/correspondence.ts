import type { Coordinator } from '../policy/policy.js';
import { fenced, loadSurely } from '../policy/resolve.js';
import type { BatchStep, Protocol, Step, StepResult } from '../protocol/protocol.js';
import { batch, interpose } from '../protocol/protocol.js';
import { groupWordOffset, principalWordOffset, userGroups } from '../region/geometry.js';
import { requestLimit, type WordExchange } from '../region/mailboxes.js';
import { highHalf, ownerOf } from '../region/words.js';
import type { BatchAnswer, MemoryStep, StepAnswer, WordStep } from '../transport/step.js';
import { load, notRun, write } from '../transport/step.js';
import { OwnLine } from './configured.js';
import { actsFor, bytesOf, Grantor, type Participant } from './grantor.js';
import { Mailbox } from './mailbox.js';

/** How often who waits for an answer looks whether anybody has the seat before it gives up: for some ten seconds. */
const defaultPatience = 40;
/** Milliseconds between two looks for requests, at most. */
const longestIdle = 10;
/** Milliseconds between two looks whether the seat is somebody's who is alive. */
const vacancyInterval = 250;

/**
 * A step by which a protocol says that it is about to read what others have left: whatever is granted to those who are dead, or do
 * not act for a principal any more, is granted before it, or never. Where nothing is granted it does nothing.
 */
export const barrier: BatchStep = batch([]);

/** What a {@link Correspondence} knows from one step of a protocol to the next, beside what it was asked for. */
export interface CorrespondenceMemory {
  /** Requests that were sent. */
  readonly sequence: number;
  /** The last of them was answered: somebody has the seat. */
  readonly answered: boolean;
  /** One of them waits for its answer. */
  readonly open: boolean;
  /** We have the seat. */
  readonly seated: boolean;
  /** High halves of words that are known to be ours. */
  readonly own: readonly number[];
}

/**
 * What one member has to do with the others where group words change by messages. Its protocols use no compareExchange on them: a
 * word that shows a principal which the member acts for is changed by nobody else, so it is read and written; what others
 * may change too is asked for by its mailbox, of whoever has the seat, or done, if that is itself.
 */
export class Correspondence implements Coordinator {
  readonly #me: Participant;
  readonly grantor: Grantor;
  readonly #mailbox: Mailbox;
  /** Where nothing but own words change. */
  readonly #line: OwnLine | undefined;
  /** High halves of words that are ours. */
  readonly #own = new Set<number>();

  /** @param patience how often who waits for an answer looks whether anybody has the seat before it gives up */
  constructor(me: Participant, patience = defaultPatience) {
    this.#me = me;
    this.grantor = new Grantor(me);
    this.#mailbox = new Mailbox(me, this.grantor, patience);
    this.#line = me.configured ? new OwnLine(me.geometry, me.slot) : undefined;
  }

  get memory(): CorrespondenceMemory {
    const { sequence, answered, open } = this.#mailbox;
    return { sequence, answered, open, seated: this.grantor.seated, own: [...this.#own] };
  }

  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    return interpose(protocol, (step) => this.#step(step));
  }

  /** Takes a seat that nobody alive has, and grants what was asked for, if the seat is ours. */
  *attend(): Protocol<number> {
    if (!(yield* this.grantor.take())) return vacancyInterval;
    this.#idle = (yield* this.grantor.serve()) > 0 ? 0 : Math.min(longestIdle, this.#idle * 2 + 1);
    return this.#idle;
  }
  #idle = 0;

  leave(): Protocol<void> {
    return this.grantor.yieldSeat();
  }

  *#step(step: Step): Protocol<StepResult> {
    switch (step.op) {
      case 'compareExchange':
        if (this.#isGroup(step)) return (yield* this.#run(batch([step])))[0] as bigint;
        if (this.#line !== undefined) return yield* this.#line.step(step);
        return yield* this.#other(step);
      case 'batch':
        if (step === barrier) return (yield* this.exchange([], false)) as BatchAnswer;
        if (step.steps.some((one) => this.#isGroup(one))) return yield* this.#run(step);
        return this.#line === undefined ? yield* this.#other(step) : yield* this.#line.step(step);
      case 'renew':
        yield step;
        // Whoever begins a new epoch asks next what became of what it did: that must be over.
        yield* this.#mailbox.settle();
        return undefined;
      default:
        return yield step;
    }
  }

  /** A compareExchange on a word of the table that is coordinated: the reserve for snapshots belongs to the log. */
  #isGroup(step: MemoryStep): step is WordStep {
    const { geometry } = this.#me;
    if (step.op !== 'compareExchange' || step.offset < geometry.groupOffset) return false;
    return step.offset < groupWordOffset(geometry, userGroups(geometry));
  }
  #isPrincipal({ offset }: WordStep): boolean {
    const { principalOffset, groupOffset } = this.#me.geometry;
    return offset >= principalOffset && offset < groupOffset;
  }

  /** Somebody else may act for a principal from now on. */
  *#other(step: WordStep | BatchStep): Protocol<StepResult> {
    try {
      return yield step;
    } finally {
      const steps = step.op === 'batch' ? step.steps : [step];
      if (steps.some((one) => one.op === 'compareExchange' && this.#isPrincipal(one))) this.#own.clear();
    }
  }

  /** The steps of a batch, in their order. */
  *#run({ steps, stopOnFail }: BatchStep): Protocol<BatchAnswer> {
    const foreign: boolean[] = [];
    const ours = new Map<number, boolean>();
    for (const step of steps) {
      if (!this.#isGroup(step)) {
        foreign.push(false);
        continue;
      }
      const high = highHalf(step.expected);
      let mine = this.#own.has(high) ? true : ours.get(high);
      if (mine === undefined) ours.set(high, (mine = yield* this.#isOurs(high)));
      foreign.push(!mine);
    }
    const answer: BatchAnswer = [];
    while (answer.length < steps.length) {
      const at = answer.length;
      const asks = foreign[at]!;
      let end = at;
      while (end < steps.length && foreign[end] === asks && (!asks || end - at < requestLimit)) end++;
      if (!asks) {
        answer.push(...(yield* this.#change(steps.slice(at, end))));
        continue;
      }
      const changes = (steps.slice(at, end) as WordStep[]).map(({ offset, expected, desired }) => {
        return { group: (offset - this.#me.geometry.groupOffset) / 8, expected, desired };
      });
      const found = yield* this.exchange(changes, stopOnFail);
      answer.push(...found);
      const failed = stopOnFail && found.some((word, index) => word !== changes[index]!.expected);
      if (failed) while (answer.length < steps.length) answer.push(notRun);
    }
    return answer;
  }

  /** Whether the member acts for the owner of a word. As long as it lives nobody but itself ends that. */
  *#isOurs(high: number): Protocol<boolean> {
    const { principal } = ownerOf(high);
    const { geometry } = this.#me;
    if (principal === 0 || principal > geometry.principalSlots) return false;
    if (!actsFor(yield* loadSurely(load(principalWordOffset(geometry, principal))), high, this.#me)) return false;
    this.#own.add(high);
    return true;
  }

  /** Changes words that are not ours. What was found in each, as far as it went. @param changes at most `requestLimit` */
  *exchange(changes: readonly WordExchange[], stop: boolean): Protocol<bigint[]> {
    if (this.grantor.seated) return yield* this.grantor.exchange(changes, stop);
    const found = yield* this.#mailbox.ask(changes, stop);
    if (!stop && found.length < changes.length) throw fenced('another client took over this principal');
    return found;
  }

  /** The same for any number, whatever becomes of each. */
  *exchangeMany(changes: readonly WordExchange[]): Protocol<void> {
    for (let at = 0; at < changes.length; at += requestLimit) {
      yield* this.exchange(changes.slice(at, at + requestLimit), false);
    }
  }

  /** Own words: each is read, and written, in order. Nobody else changes them meanwhile. */
  *#change(steps: readonly MemoryStep[]): Protocol<StepAnswer[]> {
    const parts: MemoryStep[] = [];
    const at: number[] = [];
    for (const step of steps) {
      at.push(parts.length);
      if (this.#isGroup(step)) parts.push(load(step.offset), write(step.offset, bytesOf([step.desired])));
      else parts.push(step);
    }
    const answer = (yield batch(parts)) as StepAnswer[];
    return at.map((index) => answer[index]);
  }
}
