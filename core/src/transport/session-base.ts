import { ExomemError, isExomemError } from '../errors.js';
import type { BatchAnswer, MemoryStep, StepAnswer } from './step.js';
import { notRun } from './step.js';
import type { Awaitable, BatchOptions, CallOptions, Capabilities, MemberBinding, Session } from './transport.js';

/** Told to a driver whose caller stopped waiting: the answer, when it comes, must not touch the caller's buffers. */
export interface Wait {
  abandoned: boolean;
}

const attended: Wait = { abandoned: false };
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

  protected abstract doLoad(offset: number): Awaitable<bigint>;
  protected abstract doRead(offset: number, target: Uint8Array, wait: Wait): Awaitable<void>;
  protected abstract doWrite(offset: number, source: Uint8Array): Awaitable<void>;
  protected abstract doCompareExchange(offset: number, expected: bigint, desired: bigint): Awaitable<bigint>;
  protected abstract doFetchAdd(offset: number, delta: bigint): Awaitable<bigint>;
  /** `stopOnFail` is asked for only where the capability is declared. At most `maxBatch` steps. */
  protected abstract doBatch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Awaitable<BatchAnswer>;
  protected abstract doBind(member: MemberBinding): Awaitable<void>;
  /** `force`: something is unsettled, a new epoch is due even if the connection is whole. */
  protected abstract doRenew(force: boolean): Awaitable<void>;
  protected abstract doRevoke(member: MemberBinding): Awaitable<void>;
  protected abstract doClose(): Awaitable<void>;

  protected doView(_offset: number, _length: number): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'this transport does not share its memory', { where: this.where });
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    if (options === undefined) return this.doLoad(offset);
    return this.#wait(() => this.doLoad(offset), options, false);
  }

  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    this.checkRange(offset, target.byteLength);
    if (target.byteLength === 0) return options === undefined ? undefined : this.#wait(() => undefined, options, false);
    const limit = this.capabilities.maxTransfer;
    const run = (wait: Wait): Awaitable<void> =>
      target.byteLength <= limit
        ? this.doRead(offset, target, wait)
        : this.#pieces(target, limit, (at, piece) => this.doRead(offset + at, piece, wait));
    return options === undefined ? run(attended) : this.#wait(run, options, false);
  }

  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    this.checkRange(offset, source.byteLength);
    if (source.byteLength === 0) return options === undefined ? undefined : this.#wait(() => undefined, options, false);
    const limit = this.capabilities.maxTransfer;
    const run = (): Awaitable<void> =>
      source.byteLength <= limit
        ? this.doWrite(offset, source)
        : this.#pieces(source, limit, (at, piece) => this.doWrite(offset + at, piece));
    return options === undefined ? run() : this.#wait(run, options, true);
  }

  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    this.#checkAtomics();
    checkValue(expected);
    checkValue(desired);
    if (options === undefined) return this.doCompareExchange(offset, expected, desired);
    return this.#wait(() => this.doCompareExchange(offset, expected, desired), options, true);
  }

  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    this.checkWord(offset);
    this.#checkAtomics();
    checkValue(delta);
    if (options === undefined) return this.doFetchAdd(offset, delta);
    return this.#wait(() => this.doFetchAdd(offset, delta), options, true);
  }

  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    this.#checkOpen();
    let changes = false;
    let longest = 0;
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
          if (step.bytes.byteLength > longest) longest = step.bytes.byteLength;
          if (step.op === 'write') changes = true;
          break;
        default:
          throw new ExomemError('InvalidArgument', `a batch has no step ${String((step as MemoryStep).op)}`, {
            where: this.where,
          });
      }
    }
    const stop = options?.stopOnFail === true;
    if (options === undefined || (options.signal === undefined && options.timeout === undefined)) {
      return this.#runBatch(steps, stop, longest, attended);
    }
    return this.#wait((wait) => this.#runBatch(steps, stop, longest, wait), options, changes);
  }

  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    this.checkWord(member.offset);
    return options === undefined ? this.doBind(member) : this.#wait(() => this.doBind(member), options, false);
  }

  renew(options?: CallOptions): Awaitable<void> {
    this.#checkOpen();
    const force = this.#unsettled;
    this.#unsettled = false;
    return options === undefined ? this.doRenew(force) : this.#wait(() => this.doRenew(force), options, force);
  }

  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    this.checkWord(member.offset);
    if (!this.capabilities.revoke) {
      throw new ExomemError('UnsupportedCapability', 'this transport cannot revoke a member', { where: this.where });
    }
    return options === undefined ? this.doRevoke(member) : this.#wait(() => this.doRevoke(member), options, true);
  }

  view(offset: number, length: number): Uint8Array {
    this.checkRange(offset, length);
    return this.doView(offset, length);
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
      throw new ExomemError('Unaligned', `a word cannot lie at ${offset}: it is no multiple of 8`, { where: this.where });
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

  /** Pieces keep the phase of 8-byte words, since `limit` is a multiple of 8 and they start where the whole starts. */
  #pieces(bytes: Uint8Array, limit: number, run: (at: number, piece: Uint8Array) => Awaitable<void>): Awaitable<void> {
    const waits: Promise<void>[] = [];
    for (let at = 0; at < bytes.byteLength; at += limit) {
      const answer = run(at, bytes.subarray(at, Math.min(at + limit, bytes.byteLength)));
      if (answer !== undefined) waits.push(answer);
    }
    return waits.length === 0 ? undefined : settleAll(waits);
  }

  #runBatch(steps: readonly MemoryStep[], stop: boolean, longest: number, wait: Wait): Awaitable<BatchAnswer> {
    if (steps.length === 0) return [];
    const { maxBatch, maxTransfer, stopOnFail } = this.capabilities;
    if (steps.length <= maxBatch && longest <= maxTransfer && (!stop || stopOnFail)) {
      return this.doBatch(steps, stop, wait);
    }
    return this.#oneByOne(steps, stop, wait);
  }

  /** A batch that the transport cannot carry as one: the same order and the same answers, in more round trips. */
  #oneByOne(steps: readonly MemoryStep[], stop: boolean, wait: Wait): Awaitable<BatchAnswer> {
    const answers: BatchAnswer = [];
    const next = (): Awaitable<BatchAnswer> => {
      while (answers.length < steps.length) {
        const step = steps[answers.length]!;
        const answer = this.#one(step, wait);
        if (answer instanceof Promise) {
          return answer.then((value) => {
            answers.push(value);
            if (stop && failed(step, value)) return fill(answers, steps.length);
            return next();
          });
        }
        answers.push(answer);
        if (stop && failed(step, answer)) return fill(answers, steps.length);
      }
      return answers;
    };
    if (!stop && this.capabilities.maxBatch > 1) return this.#inParts(steps, wait);
    return next();
  }

  async #inParts(steps: readonly MemoryStep[], wait: Wait): Promise<BatchAnswer> {
    const answers: BatchAnswer = [];
    const { maxBatch, maxTransfer } = this.capabilities;
    let part: MemoryStep[] = [];
    const flush = async (): Promise<void> => {
      if (part.length > 0) answers.push(...(await this.doBatch(part, false, wait)));
      part = [];
    };
    for (const step of steps) {
      if ('bytes' in step && step.bytes.byteLength > maxTransfer) {
        await flush();
        answers.push(await this.#one(step, wait));
      } else {
        part.push(step);
        if (part.length === maxBatch) await flush();
      }
    }
    await flush();
    return answers;
  }

  #one(step: MemoryStep, wait: Wait): Awaitable<StepAnswer> {
    switch (step.op) {
      case 'load':
        return this.doLoad(step.offset);
      case 'compareExchange':
        return this.doCompareExchange(step.offset, step.expected, step.desired);
      case 'fetchAdd':
        return this.doFetchAdd(step.offset, step.desired);
      case 'read': {
        const { offset, bytes } = step;
        return this.#pieces(bytes, this.capabilities.maxTransfer, (at, piece) => this.doRead(offset + at, piece, wait)) as
          | Promise<undefined>
          | undefined;
      }
      case 'write': {
        const { offset, bytes } = step;
        return this.#pieces(bytes, this.capabilities.maxTransfer, (at, piece) => this.doWrite(offset + at, piece)) as
          | Promise<undefined>
          | undefined;
      }
    }
  }

  /** Runs a call with an abort signal and a deadline. `changes`: the step leaves a trace if it happens. */
  #wait<T>(run: (wait: Wait) => Awaitable<T>, options: CallOptions, changes: boolean): Awaitable<T> {
    const { signal, timeout } = options;
    if (signal?.aborted) {
      throw new ExomemError('Aborted', 'aborted before it began', { where: this.where, cause: signal.reason });
    }
    if (timeout !== undefined && !(timeout > 0)) {
      throw new ExomemError('DeadlineExceeded', `a deadline of ${timeout} ms is over at once`, { where: this.where });
    }
    const wait: Wait = { abandoned: false };
    const answer = run(wait);
    if (!(answer instanceof Promise) || (signal === undefined && timeout === undefined)) return answer;
    return new Promise<T>((resolve, reject) => {
      const giveUp = (code: 'Aborted' | 'DeadlineExceeded', what: string, cause?: unknown): void => {
        wait.abandoned = true;
        this.#unsettled = true;
        const reason = new ExomemError(code, what, { where: this.where, cause });
        end();
        reject(
          changes
            ? new ExomemError('OutcomeUnknown', `${what}; the step was in flight`, { where: this.where, cause: reason })
            : reason,
        );
      };
      const onAbort = (): void => giveUp('Aborted', 'aborted', signal?.reason);
      const timer =
        timeout === undefined || timeout === Number.POSITIVE_INFINITY
          ? undefined
          : setTimeout(() => giveUp('DeadlineExceeded', `no answer within ${timeout} ms`), timeout);
      const end = (): void => {
        if (timer !== undefined) clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      answer.then(
        (value) => {
          if (wait.abandoned) return;
          end();
          resolve(value);
        },
        (error) => {
          if (wait.abandoned) return;
          end();
          reject(error);
        },
      );
    });
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

/** Waits for all of them, so that no piece is in flight when the caller learns that one failed. */
async function settleAll(waits: readonly Promise<void>[]): Promise<void> {
  let failure: unknown;
  let unknown: unknown;
  for (const result of await Promise.allSettled(waits)) {
    if (result.status === 'rejected') {
      failure ??= result.reason;
      if (isExomemError(result.reason, 'OutcomeUnknown')) unknown ??= result.reason;
    }
  }
  if (failure !== undefined) throw unknown ?? failure;
}
