import { ExomemError } from '../errors.js';
import type { CoordinationContext, Coordinator } from '../policy/policy.js';
import { reloadWords } from '../policy/resolve.js';
import { shutOut } from '../protocol/exclusion.js';
import { bindingOf, declareDead } from '../protocol/membership.js';
import { batch, interpose, type Protocol, pause, type Step, type StepResult, watch } from '../protocol/protocol.js';
import { controlFields, groupWordOffset, redoPlace } from '../region/geometry.js';
import { decodeLock, decodeMember, encodeLock, lockState, maxLockToken, memberState } from '../region/words.js';
import type { BatchAnswer, MemoryStep, WordStep } from '../transport/step.js';
import { compareExchange, load, notRun, read, write } from '../transport/step.js';
import { decodeRedo, type Exchange, encodeRedo, type RedoRecord, redoCapacity } from './redo-record.js';

/** A declaration of death that heartbeats foil is tried so often. */
const declarations = 16;
/** Milliseconds between two looks for what was left behind. */
const rest = 250;
/** Turns of waiting for another protocol of this member that need not be spared. */
const quickTurns = 16;

/** What a {@link LockCoordinator} knows from one step to the next, beside the step that it is at. */
export interface LockMemory {
  /** The lock's word as it was seen last: the next section begins with that. */
  readonly seen: bigint;
  /** That word has stood still in HELD for the wait: its holder is passed over. */
  readonly expired: bigint | undefined;
  /** Some protocol of this member is at the lock. */
  readonly busy: boolean;
  /** What became of the last step of ours on the lock is not known. */
  readonly doubt: boolean;
}

/**
 * All changes of the table of groups under one lock, whose word is the commit word. A locked section is three round trips:
 *
 * 1. FREE -> HELD, and the words concerned are read. What each exchange of the protocol would find is decided on them.
 * 2. The exchanges that succeed are written to the own redo slot; HELD -> COMMIT. If that fails the lock was taken over
 *    meanwhile: nothing has happened, and the section begins anew.
 * 3. They are made, in their order, by compareExchange; COMMIT -> FREE.
 *
 * Whoever holds the lock may stop anywhere, and go on at any time. One who stands still in HELD for the wait of the region is
 * passed over: it can do nothing then. One in COMMIT is shut out first, as the dead are, and what it had committed is done in its
 * place: a compareExchange of it that came later, after the words had gone on and come back to what they were, would undo
 * what nobody expects to be undone. So at any time steps on the table are under way from the holder in COMMIT alone.
 *
 * A look at the table waits until what was committed before it shows.
 */
export class LockCoordinator implements Coordinator {
  readonly #context: CoordinationContext;
  readonly #lock: number;
  readonly #tableStart: number;
  readonly #tableEnd: number;
  readonly #capacity: number;
  /** The lock's word as it was seen last: the next section begins with that. */
  #seen = 0n;
  /** That word has stood still in HELD for the wait: its holder is passed over. */
  #expired: bigint | undefined;
  /** Some protocol of this member is at the lock. */
  #busy = false;
  /** What became of the last step of ours on the lock is not known. */
  #doubt = false;

  constructor(context: CoordinationContext) {
    const { geometry } = context;
    this.#context = context;
    this.#lock = geometry.controlOffset + controlFields.lock;
    this.#tableStart = geometry.groupOffset;
    this.#tableEnd = groupWordOffset(geometry, geometry.groupCount);
    this.#capacity = redoCapacity(geometry.redoBytes / 2);
  }

  get memory(): LockMemory {
    return { seen: this.#seen, expired: this.#expired, busy: this.#busy, doubt: this.#doubt };
  }

  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    return interpose(protocol, (step) => this.#take(step));
  }

  /** What an operation that was given up has left in the way of others is finished. */
  *attend(): Protocol<number> {
    if (this.#doubt && !this.#busy) {
      yield* this.#enter();
      try {
        if (this.#doubt) yield* this.#settle();
      } finally {
        this.#busy = false;
      }
    }
    return rest;
  }

  *#take(step: Step): Protocol<StepResult> {
    switch (step.op) {
      case 'compareExchange':
        if (!this.#isChange(step)) break;
        return (yield* this.#alone([step], false, []))[0] as bigint;
      case 'load':
      case 'read':
        if (!this.#touches(step)) break;
        return (yield* this.#look([step], false))[0] as StepResult;
      case 'batch':
        if (step.steps.some((one) => this.#isChange(one))) return yield* this.#parts(step.steps, step.stopOnFail);
        if (!step.steps.some((one) => this.#touches(one))) break;
        if (step.steps.every(isLook)) return yield* this.#look(step.steps, step.stopOnFail);
        yield* this.#look([], false);
        break;
      case 'write':
      case 'fetchAdd':
        this.#isChange(step);
    }
    return yield step;
  }

  #touches(step: MemoryStep): boolean {
    const length = step.op === 'read' || step.op === 'write' ? step.bytes.byteLength : 8;
    return step.offset < this.#tableEnd && step.offset + length > this.#tableStart;
  }
  #isChange(step: MemoryStep): step is WordStep {
    if (step.op === 'load' || step.op === 'read' || !this.#touches(step)) return false;
    if (step.op === 'compareExchange') return true;
    throw new ExomemError('InvalidArgument', `a group word changes by compareExchange, not by ${step.op}`);
  }

  // ---- changes

  /**
   * A batch, in its order: each row of exchanges on group words is a section, together with the looks behind it. A row that is
   * longer than a redo slot is several: as a batch it would not take effect at one moment either.
   */
  *#parts(steps: readonly MemoryStep[], stop: boolean): Protocol<BatchAnswer> {
    const answers: BatchAnswer = [];
    while (answers.length < steps.length) {
      const from = answers.length;
      let middle = from;
      while (middle < steps.length && middle - from < this.#capacity && this.#isChange(steps[middle]!)) middle++;
      let end = middle;
      if (middle > from) while (end < steps.length && isLook(steps[end]!)) end++;
      else while (end < steps.length && !this.#isChange(steps[end]!)) end++;
      const part = steps.slice(from, end);
      const given =
        middle > from
          ? yield* this.#alone(part.slice(0, middle - from) as WordStep[], stop, part.slice(middle - from))
          : ((yield batch(part, stop)) as BatchAnswer);
      answers.push(...given);
      if (stop && given.some((answer, at) => answer === notRun || failed(part[at]!, answer))) break;
    }
    while (answers.length < steps.length) answers.push(notRun);
    return answers;
  }

  *#alone(exchanges: readonly WordStep[], stop: boolean, looks: readonly MemoryStep[]): Protocol<BatchAnswer> {
    yield* this.#enter();
    try {
      for (;;) {
        const answers = yield* this.#section(exchanges, stop, looks);
        if (answers !== undefined) return answers;
      }
    } finally {
      this.#busy = false;
    }
  }

  /** One at a time in this member. */
  *#enter(): Protocol<void> {
    for (let turn = 0; this.#busy; turn++) yield pause(turn < quickTurns ? 0 : 2);
    this.#busy = true;
  }

  /** Undefined: the lock was somebody else's, or became it; nothing has happened. */
  *#section(
    exchanges: readonly WordStep[],
    stop: boolean,
    looks: readonly MemoryStep[],
  ): Protocol<BatchAnswer | undefined> {
    if (this.#doubt) yield* this.#settle();
    const before = this.#seen;
    const { state, token } = decodeLock(before);
    if (state !== lockState.free && before !== this.#expired) {
      yield* this.#waitFor(before);
      return undefined;
    }
    const { slot } = this.#context.member;
    const held = this.#raised(token, lockState.held);
    const words = [...new Set(exchanges.map(({ offset }) => offset))];
    const found = yield* this.#exchange([compareExchange(this.#lock, before, held), ...words.map(load)], 0, held);
    if (this.#seen !== held) return undefined;

    const known = new Map(words.map((offset, at) => [offset, found[at + 1] as bigint]));
    const answers: BatchAnswer = [];
    const changes: WordStep[] = [];
    for (const exchange of exchanges) {
      const word = known.get(exchange.offset)!;
      answers.push(word);
      if (word === exchange.expected) {
        known.set(exchange.offset, exchange.desired);
        changes.push(exchange);
      } else if (stop) break;
    }
    const stopped = stop && failed(exchanges[answers.length - 1]!, answers.at(-1));
    const last = stopped ? [] : looks;
    const free = encodeLock({ token: token + 1, state: lockState.free, holder: 0 });
    if (changes.length === 0) {
      const end = yield* this.#exchange([compareExchange(this.#lock, held, free), ...last], 0, free);
      return fill([...answers, ...end.slice(1)], exchanges.length + looks.length);
    }

    const commit = encodeLock({ token: token + 1, state: lockState.commit, holder: slot });
    const record = this.#record(
      token + 1,
      changes.map((change) => this.#exchangeOf(change)),
    );
    yield* this.#exchange([record, compareExchange(this.#lock, held, commit)], 1, commit);
    if (this.#seen !== commit) return undefined;

    const end = yield* this.#exchange(
      [...changes, compareExchange(this.#lock, commit, free), ...last],
      changes.length,
      free,
    );
    if (this.#seen !== free || changes.some((change, at) => end[at] !== change.expected)) {
      // Somebody has done it in our place, who took us for dead; or one who is dead did something here that came late.
      throw new ExomemError('OutcomeUnknown', 'the table was changed by another while this client held its lock');
    }
    return fill([...answers, ...end.slice(changes.length + 1)], exchanges.length + looks.length);
  }

  /** A batch of which the step at `at` changes the lock to `next`. Afterwards `#seen` is what the lock shows. */
  *#exchange(steps: readonly MemoryStep[], at: number, next: bigint): Protocol<BatchAnswer> {
    this.#doubt = true;
    const answer = (yield batch(steps)) as BatchAnswer;
    this.#doubt = false;
    const word = answer[at] as bigint;
    this.#seen = word === (steps[at] as WordStep).expected ? next : word;
    return answer;
  }

  #raised(token: number, state: number): bigint {
    if (token >= maxLockToken) throw new ExomemError('OutOfRange', 'the lock of this region was taken too often');
    return encodeLock({ token: token + 1, state, holder: this.#context.member.slot });
  }

  #record(token: number, exchanges: readonly Exchange[]): MemoryStep {
    const { geometry, member } = this.#context;
    const { offset } = redoPlace(geometry, member.slot, token);
    return write(offset, encodeRedo({ token, incarnation: member.incarnation, exchanges }));
  }
  #exchangeOf({ offset, expected, desired }: WordStep): Exchange {
    return { group: (offset - this.#tableStart) / 8, before: expected, after: desired };
  }
  #step({ group, before, after }: Exchange): WordStep {
    return compareExchange(groupWordOffset(this.#context.geometry, group), before, after);
  }

  // ---- looks

  /** Steps that only look at the table, among others: what was committed before them shows. */
  *#look(steps: readonly MemoryStep[], stop: boolean): Protocol<BatchAnswer> {
    for (;;) {
      const [word, ...answers] = (yield batch([load(this.#lock), ...steps], stop)) as BatchAnswer;
      const { state, holder } = decodeLock(word as bigint);
      const ours = state !== lockState.free && holder === this.#context.member.slot;
      if (state !== lockState.commit && (!ours || this.#busy)) return answers;
      yield* this.#enter();
      try {
        // What of ours was left lying is not in the way of others any longer than it must.
        if (this.#doubt || ours) yield* this.#settle();
        else yield* this.#waitFor(word as bigint);
      } finally {
        this.#busy = false;
      }
    }
  }

  // ---- the lock in other hands

  /** Does what is to be done about that word; afterwards it is to be looked at again. */
  *#waitFor(word: bigint): Protocol<void> {
    const { state, holder } = decodeLock(word);
    const { wait } = this.#context.superblock;
    if (holder === this.#context.member.slot) yield* this.#settle();
    else if (state === lockState.commit) yield* this.#waitForCommit(word);
    else if (yield watch(this.#lock, word, wait)) this.#expired = word;
    else this.#seen = (yield load(this.#lock)) as bigint;
  }

  *#waitForCommit(word: bigint): Protocol<void> {
    const { geometry, superblock, exclusion } = this.#context;
    const { holder } = decodeLock(word);
    const record = yield* this.#readRecord(word);
    if (record === undefined) return;
    const binding = bindingOf(geometry, holder, record.incarnation);
    const member = decodeMember((yield load(binding.offset)) as bigint);
    // A slot has another member only when the one before it was shut out.
    const gone = member.incarnation !== record.incarnation || member.state === memberState.free;
    if (!gone && member.state !== memberState.fenced) {
      if (!(yield watch(this.#lock, word, superblock.wait))) this.#seen = (yield load(this.#lock)) as bigint;
      else if (exclusion === 'none') {
        throw new ExomemError('Unproven', `member ${holder} stands still with the table half changed`, {
          advice: 'let it go on: over this transport nobody is ever declared dead',
        });
      } else yield* declareDead(geometry, binding, { exclusion, wait: superblock.wait, attempts: declarations });
      return;
    }
    if (!gone && !(yield* shutOut(binding))) {
      // It has been declared dead, and is not proven to have ended.
      yield watch(this.#lock, word, superblock.wait);
      this.#seen = (yield load(this.#lock)) as bigint;
      return;
    }
    yield* this.#takeOver(word, record);
  }

  /** What we hold the lock in COMMIT for is done, whoever began it. */
  *#redo(word: bigint, { exchanges }: RedoRecord): Protocol<void> {
    const free = encodeLock({ token: decodeLock(word).token, state: lockState.free, holder: 0 });
    const steps = exchanges.map((exchange) => this.#step(exchange));
    yield* this.#exchange([...steps, compareExchange(this.#lock, word, free)], steps.length, free);
  }

  /** What its holder has committed; undefined: the lock is not in that state any more. */
  *#readRecord(word: bigint): Protocol<RedoRecord | undefined> {
    const { geometry } = this.#context;
    const { holder, token } = decodeLock(word);
    if (holder >= geometry.memberSlots) throw this.#damaged(`a holder ${holder}, and there is no such member slot`);
    const { offset, length } = redoPlace(geometry, holder, token);
    const bytes = new Uint8Array(length);
    const [, after] = (yield batch([read(offset, bytes), load(this.#lock)])) as BatchAnswer;
    this.#seen = after as bigint;
    if (after !== word) return undefined;
    const record = decodeRedo(bytes, token, geometry.groupCount);
    if (record === undefined) throw this.#damaged(`a commit of member ${holder}, whose redo slot has no whole record`);
    return record;
  }

  #damaged(what: string): ExomemError {
    return new ExomemError('Damaged', `the lock of the table shows ${what}`);
  }

  /** The lock may be ours and no protocol of ours is at it: what was committed is done, and it is let go. */
  *#settle(): Protocol<void> {
    this.#doubt = true;
    // Nothing of ours that was on its way comes after this.
    const [word] = yield* reloadWords([this.#lock]);
    this.#seen = word!;
    const { state, holder, token } = decodeLock(word!);
    const { slot, incarnation } = this.#context.member;
    if (state === lockState.free || holder !== slot) {
      this.#doubt = false;
      return;
    }
    if (state === lockState.held) {
      const free = encodeLock({ token, state: lockState.free, holder: 0 });
      yield* this.#exchange([compareExchange(this.#lock, word!, free)], 0, free);
      return;
    }
    const record = yield* this.#readRecord(word!);
    if (record === undefined) this.#doubt = false;
    else if (record.incarnation === incarnation) {
      yield* this.#redo(word!, record);
    } else {
      // It is of who had this slot before us, and was shut out. Others may be at it, too.
      yield* this.#takeOver(word!, record);
    }
  }

  /** Does in its place what one who is shut out has committed. Whoever does that may stop as well, and be followed. */
  *#takeOver(word: bigint, record: RedoRecord): Protocol<void> {
    const { token } = decodeLock(word);
    const mine = this.#raised(token, lockState.commit);
    const copy = this.#record(token + 1, record.exchanges);
    yield* this.#exchange([copy, compareExchange(this.#lock, word, mine)], 1, mine);
    if (this.#seen === mine) yield* this.#redo(mine, record);
  }
}

function isLook({ op }: MemoryStep): boolean {
  return op === 'load' || op === 'read';
}

function failed(step: MemoryStep, answer: unknown): boolean {
  return step.op === 'compareExchange' && answer !== step.expected;
}

function fill(answers: BatchAnswer, length: number): BatchAnswer {
  while (answers.length < length) answers.push(notRun);
  return answers;
}
