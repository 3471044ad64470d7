import { ExomemError, isExomemError } from '../errors.js';
import type { BatchAnswer, MemoryStep, StepAnswer } from './step.js';
import { notRun } from './step.js';
import type { Awaitable, BatchOptions, CallOptions, Capabilities, MemberBinding, Session } from './transport.js';
import { Turns } from './turns.js';
import { attended, type Wait, waitFor } from './wait.js';

const wordLimit = 1n << 64n;

/**
 * What most sessions extend. It checks arguments, bounds, closing, aborts and deadlines once and for all, and cuts
 * long transfers to pieces; a driver's `do...` methods see legal calls alone.
 *
 * A driver answers everything that was in flight when its connection broke with `OutcomeUnknown`, and never hangs.
 */
export abstract class SessionBase implements Session {
  abstract readonly capabilities: Capabilities;
  abstract readonly size: number;
  abstract readonly epoch: number;
  abstract readonly where: string;
  /** A step was given up while it was in flight: only a new epoch settles what became of it. */
  #unsettled = false;
  #closed = false;
  readonly #turns = new Turns();

  protected abstract doLoad(offset: number, wait?: Wait): Awaitable<bigint>;
  protected abstract doRead(offset: number, target: Uint8Array, wait: Wait): Awaitable<void>;
  protected abstract doWrite(offset: number, source: Uint8Array, wait?: Wait): Awaitable<void>;
  protected abstract doCompareExchange(
    offset: number,
    expected: bigint,
    desired: bigint,
    wait?: Wait,
  ): Awaitable<bigint>;
  protected abstract doFetchAdd(offset: number, delta: bigint, wait?: Wait): Awaitable<bigint>;
  /** `stopOnFail` is asked for only where the capability is declared. As many steps as `batchLength` allows. */
  protected abstract doBatch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Awaitable<BatchAnswer>;
  protected abstract doBind(member: MemberBinding, wait?: Wait): Awaitable<void>;
  /** `force`: something is unsettled, a new epoch is due even if the connection is whole. */
  protected abstract doRenew(force: boolean): Awaitable<void>;
  protected abstract doRevoke(member: MemberBinding, wait?: Wait): Awaitable<void>;
  protected abstract doClose(): Awaitable<void>;

  /**
   * How many steps from `at` on one batch can carry; 0 if the very first is too long for any. To be overridden where
   * more than `maxBatch` and `maxTransfer` bounds a batch.
   */
  protected batchLength(steps: readonly MemoryStep[], at: number): number {
    const { maxBatch, maxTransfer } = this.capabilities;
    let end = at;
    while (end < steps.length && end - at < maxBatch) {
      const step = steps[end]!;
      if ((step.op === 'read' || step.op === 'write') && step.bytes.byteLength > maxTransfer) break;
      end += 1;
    }
    return end - at;
  }

  protected doView(_offset: number, _length: number): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'this transport does not share its memory', {
      where: this.where,
      advice: 'read and write it; or mount the region (`exomem mount`) and map the file there',
    });
  }

  protected doWindows(offset: number, length: number): Uint8Array[] {
    return [this.doView(offset, length)];
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    if (options === undefined && this.#turns.free) return this.doLoad(offset);
    return this.#run((wait) => this.doLoad(offset, wait), options, false);
  }

  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    this.checkRange(offset, target.byteLength);
    if (options === undefined && this.#turns.free) return this.#read(offset, target, attended);
    return this.#run((wait) => this.#read(offset, target, wait), options, false);
  }

  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    this.checkRange(offset, source.byteLength);
    if (options === undefined && this.#turns.free) return this.#write(offset, source, attended);
    return this.#run((wait) => this.#write(offset, source, wait), options, true);
  }

  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    this.#checkAtomics();
    checkValue(expected);
    checkValue(desired);
    if (options === undefined && this.#turns.free) return this.doCompareExchange(offset, expected, desired);
    return this.#run((wait) => this.doCompareExchange(offset, expected, desired, wait), options, true);
  }

  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    this.#checkAtomics();
    checkValue(delta);
    if (options === undefined && this.#turns.free) return this.doFetchAdd(offset, delta);
    return this.#run((wait) => this.doFetchAdd(offset, delta, wait), options, true);
  }

  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    this.#checkOpen();
    let changes = false;
    for (let at = 0; at < steps.length; at += 1) {
      const step = steps[at]!;
      switch (step.op) {
        case 'load':
          this.checkWord(step.offset);
          break;
        case 'compareExchange':
        case 'fetchAdd':
          this.checkWord(step.offset);
          this.#checkAtomics();
          checkValue(step.expected);
          checkValue(step.desired);
          changes = true;
          break;
        case 'read':
        case 'write':
          this.checkRange(step.offset, step.bytes.byteLength);
          if (step.op === 'write') changes = true;
          break;
        default:
          throw new ExomemError('InvalidArgument', `a batch has no step ${String((step as MemoryStep).op)}`, {
            where: this.where,
          });
      }
    }
    const stop = options?.stopOnFail === true;
    const whole = this.batchLength(steps, 0) === steps.length && (!stop || this.capabilities.stopOnFail);
    const unattended = options === undefined || (options.signal === undefined && options.timeout === undefined);
    if (whole && unattended && this.#turns.free && steps.length > 0) return this.doBatch(steps, stop, attended);
    return this.#run(
      (wait) => {
        if (steps.length === 0) return [];
        if (whole) return this.doBatch(steps, stop, wait);
        return stop ? this.#conditionalParts(steps, changes, wait) : this.#parts(steps, changes, wait);
      },
      options,
      changes,
    );
  }

  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    this.checkWord(member.offset);
    return this.#run((wait) => this.doBind(member, wait), options, false);
  }

  renew(options?: CallOptions): Awaitable<void> {
    this.#checkOpen();
    const force = this.#unsettled;
    this.#unsettled = false;
    const send = (): Awaitable<void> => {
      const answer = this.doRenew(force);
      if (!force || !(answer instanceof Promise)) return answer;
      return answer.catch((error) => {
        this.#unsettled = true;
        throw error;
      });
    };
    return options === undefined ? send() : this.#wait(send, options, force);
  }

  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    this.checkWord(member.offset);
    if (this.capabilities.revoke === 'none') {
      throw new ExomemError('UnsupportedCapability', 'this transport cannot revoke a member', { where: this.where });
    }
    return this.#run((wait) => this.doRevoke(member, wait), options, true);
  }

  view(offset: number, length: number): Uint8Array {
    this.checkRange(offset, length);
    return this.doView(offset, length);
  }

  windows(offset: number, length: number): Uint8Array[] {
    this.checkRange(offset, length);
    return this.doWindows(offset, length);
  }

  close(): Awaitable<void> {
    if (this.#closed) return undefined;
    this.#closed = true;
    return this.doClose();
  }

  get closed(): boolean {
    return this.#closed;
  }

  protected checkRange(offset: number, length: number): void {
    this.#checkOpen();
    if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
      throw new ExomemError('OutOfRange', `no such range: offset ${offset}, length ${length}`, { where: this.where });
    }
    if (offset + length > this.size) {
      throw new ExomemError('OutOfRange', `${length} bytes at ${offset} end beyond the region's ${this.size} bytes`, {
        where: this.where,
      });
    }
  }

  protected checkWord(offset: number): void {
    this.checkRange(offset, 8);
    if (offset % 8 !== 0) {
      throw new ExomemError('Unaligned', `a word cannot lie at ${offset}: it is no multiple of 8`, {
        where: this.where,
      });
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ExomemError('Closed', 'the session is closed', { where: this.where });
  }

  #checkAtomics(): void {
    if (this.capabilities.atomics === 'none') {
      throw new ExomemError('UnsupportedCapability', 'this transport has no atomics', { where: this.where });
    }
  }

  #read(offset: number, target: Uint8Array, wait: Wait): Awaitable<void> {
    if (target.byteLength === 0) return undefined;
    if (target.byteLength <= this.capabilities.maxTransfer) return this.doRead(offset, target, wait);
    return this.#pieces(offset, target, false, (at, piece) => this.doRead(offset + at, piece, wait));
  }

  #write(offset: number, source: Uint8Array, wait: Wait): Awaitable<void> {
    if (source.byteLength === 0) return undefined;
    if (source.byteLength <= this.capabilities.maxTransfer) return this.doWrite(offset, source, wait);
    return this.#pieces(offset, source, true, (at, piece) => this.doWrite(offset + at, piece, wait));
  }

  /** Pieces meet at the edges of words, so that none is torn: `maxTransfer` is a multiple of 8. */
  #pieces(
    offset: number,
    bytes: Uint8Array,
    changes: boolean,
    send: (at: number, piece: Uint8Array) => Awaitable<void>,
  ): Awaitable<void> {
    const limit = this.capabilities.maxTransfer;
    const answers: Awaitable<void>[] = [];
    for (let at = 0; at < bytes.byteLength; ) {
      const from = at;
      const piece = bytes.subarray(from, from + limit - ((offset + from) & 7));
      if (!this.#collect(answers, () => send(from, piece))) break;
      at += piece.byteLength;
    }
    if (answers.some((answer) => answer instanceof Promise))
      return this.#settle(answers, changes).then(() => undefined);
  }

  /** A batch that the transport cannot carry as one. All parts are sent at once: they run in the order of the calls. */
  #parts(steps: readonly MemoryStep[], changes: boolean, wait: Wait): Awaitable<BatchAnswer> {
    const answers: Awaitable<BatchAnswer>[] = [];
    for (let at = 0; at < steps.length; ) {
      const part = this.#part(steps, at);
      const step = steps[at]!;
      const send = () => (part.length === 0 ? this.#alone(step, wait) : this.doBatch(part, false, wait));
      if (!this.#collect(answers, send)) break;
      at += Math.max(part.length, 1);
    }
    if (!answers.some((answer) => answer instanceof Promise)) return (answers as BatchAnswer[]).flat();
    return this.#settle(answers, changes).then((parts) => parts.flat());
  }

  /** The same where a failed compareExchange stops it: each part waits for the answer to the one before. */
  #conditionalParts(steps: readonly MemoryStep[], changes: boolean, wait: Wait): Awaitable<BatchAnswer> {
    const answers: BatchAnswer = [];
    /** Whether to go on behind a part. */
    const take = (part: readonly MemoryStep[], given: BatchAnswer): boolean => {
      answers.push(...given);
      const last = given.length - 1;
      return given[last] !== notRun && !failed(part[last]!, given[last]!);
    };
    const next = (): Awaitable<BatchAnswer> => {
      while (answers.length < steps.length) {
        const at = answers.length;
        // Given up: a part that went out now could land behind the epoch that settles this.
        if (wait.abandoned) throw this.#abandoned();
        const part = this.capabilities.stopOnFail ? this.#part(steps, at) : [];
        const sent = part.length === 0 ? [steps[at]!] : part;
        const answer = part.length === 0 ? this.#alone(steps[at]!, wait) : this.doBatch(part, true, wait);
        if (answer instanceof Promise) {
          return answer.then((given) => (take(sent, given) ? next() : fill(answers, steps.length)));
        }
        if (!take(sent, answer)) return fill(answers, steps.length);
      }
      return answers;
    };
    const whole = next();
    if (!(whole instanceof Promise)) return whole;
    this.#turns.prolong(whole);
    return whole.catch((error) => {
      throw answers.length > 0 && changes ? this.#inPart(error) : error;
    });
  }

  /** The steps from `at` on that one batch can carry; none if the very first is too long for any. */
  #part(steps: readonly MemoryStep[], at: number): readonly MemoryStep[] {
    return steps.slice(at, at + this.batchLength(steps, at));
  }

  #alone(step: MemoryStep, wait: Wait): Awaitable<BatchAnswer> {
    const answer = this.#one(step, wait);
    return answer instanceof Promise ? answer.then((value) => [value]) : [answer];
  }

  /** Sends one of several parts; false if it was refused at once, and those behind it are not to be sent. */
  #collect<T>(answers: Awaitable<T>[], send: () => Awaitable<T>): boolean {
    try {
      answers.push(send());
      return true;
    } catch (error) {
      if (answers.length === 0) throw error;
      answers.push(Promise.reject(error));
      return false;
    }
  }

  /** Waits for all parts, so that none is in flight when the caller learns that one failed. */
  async #settle<T>(answers: readonly Awaitable<T>[], changes: boolean): Promise<T[]> {
    const values: T[] = [];
    const failures: unknown[] = [];
    for (const result of await Promise.allSettled(answers)) {
      if (result.status === 'fulfilled') values.push(result.value);
      else failures.push(result.reason);
    }
    if (failures.length === 0) return values;
    const worst = failures.find((error) => isExomemError(error, 'OutcomeUnknown')) ?? failures[0];
    throw changes && values.length > 0 ? this.#inPart(worst) : worst;
  }

  /** An error that says that nothing happened is wrong where a part of it did. */
  #inPart(error: unknown): unknown {
    const nothing =
      isExomemError(error) && ['Disconnected', 'Closed', 'Aborted', 'DeadlineExceeded'].includes(error.code);
    if (!nothing) return error;
    return new ExomemError('OutcomeUnknown', `a part of it took effect before: ${error.message}`, {
      where: this.where,
      cause: error,
    });
  }

  /** Sends a call in its turn, and waits for it as its options say. `changes`: it leaves a trace if it happens. */
  #run<T>(send: (wait: Wait) => Awaitable<T>, options: CallOptions | undefined, changes: boolean): Awaitable<T> {
    const checkOpen = (): void => this.#checkOpen();
    if (options === undefined) return this.#turns.send(() => send(attended), checkOpen);
    const sendUnlessAbandoned = (wait: Wait): Awaitable<T> => {
      if (wait.abandoned) throw this.#abandoned();
      return send(wait);
    };
    return this.#wait((wait) => this.#turns.send(() => sendUnlessAbandoned(wait), checkOpen), options, changes);
  }

  #abandoned(): ExomemError {
    return new ExomemError('Aborted', 'given up before it was sent', { where: this.where });
  }

  #one(step: MemoryStep, wait: Wait): Awaitable<StepAnswer> {
    switch (step.op) {
      case 'load':
        return this.doLoad(step.offset, wait);
      case 'compareExchange':
        return this.doCompareExchange(step.offset, step.expected, step.desired, wait);
      case 'fetchAdd':
        return this.doFetchAdd(step.offset, step.desired, wait);
      case 'read':
        return this.#read(step.offset, step.bytes, wait) as Awaitable<undefined>;
      case 'write':
        return this.#write(step.offset, step.bytes, wait) as Awaitable<undefined>;
    }
  }

  #wait<T>(run: (wait: Wait) => Awaitable<T>, options: CallOptions, changes: boolean): Awaitable<T> {
    const onGiveUp = (): void => {
      this.#unsettled = true;
    };
    return waitFor(run, { options, changes, where: this.where, onGiveUp });
  }
}

function checkValue(value: bigint): void {
  if (typeof value !== 'bigint' || value < 0n || value >= wordLimit) {
    throw new ExomemError('OutOfRange', `${String(value)} is no unsigned 64-bit value`);
  }
}

/** Whether that was a compareExchange that found something else than it expected. */
function failed(step: MemoryStep, answer: StepAnswer): boolean {
  return step.op === 'compareExchange' && answer !== step.expected;
}

function fill(answers: BatchAnswer, length: number): BatchAnswer {
  while (answers.length < length) answers.push(notRun);
  return answers;
}
