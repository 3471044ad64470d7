import { ExomemError, isExomemError } from '../errors.js';
import { SessionBase } from '../transport/session-base.js';
import type { BatchAnswer, MemoryStep } from '../transport/step.js';
import type { Awaitable, CallOptions, Capabilities, MemberBinding, Session } from '../transport/transport.js';
import type { Wait } from '../transport/wait.js';
import { Crossing, type Half } from './crossing.js';
import { atGate, closeGate, openGate } from './gate.js';

/** How two regions make one address space: the metadata region up to `head`, the data region, the rest of the metadata region. */
export interface PairLayout {
  /** Bytes of the metadata region before the data region. A multiple of 8, as all of these. */
  readonly head: number;
  /** Where in the data region its part of the address space begins, and how long that is. */
  readonly from: number;
  readonly bytes: number;
  /** Where in the data region the words of its members begin, one for each slot; see `gate.ts`. */
  readonly gates: number;
}

const metadata: Half = 0;
const data: Half = 1;

/**
 * One lane to a region whose metadata lies elsewhere than its data: two sessions as one. Steps go where their bytes are, in
 * the order of the calls: one that follows a step on the other half waits for the answer to that. Who is bound is bound at
 * both, who is shut out is shut out at both, and a lane that has lost one half has lost the other, until `renew()`.
 */
export class PairSession extends SessionBase {
  readonly capabilities: Capabilities;
  readonly size: number;
  readonly where: string;
  readonly #halves: readonly [Session, Session];
  readonly #layout: PairLayout;
  readonly #end: number;
  readonly #synchronous: boolean;
  readonly #crossing: Crossing;
  /** Why every step is refused: a bind was refused, by one half or the other. */
  #fence: string | undefined;

  readonly #check: ((data: Session) => Promise<void>) | undefined;

  /**
   * @param check what is behind a new connection to the data region may be another one: rejects if it is
   * @throws `OutOfRange` if a session is too short for the layout
   */
  constructor(
    metadataSession: Session,
    dataSession: Session,
    layout: PairLayout,
    where: string,
    check?: (data: Session) => Promise<void>,
  ) {
    super();
    this.#check = check;
    if (metadataSession.size < layout.head) throw tooShort('metadata', metadataSession, layout.head);
    if (dataSession.size < layout.from + layout.bytes) throw tooShort('data', dataSession, layout.from + layout.bytes);
    this.#halves = [metadataSession, dataSession];
    this.#layout = layout;
    this.#end = layout.head + layout.bytes;
    this.size = metadataSession.size + layout.bytes;
    this.where = where;
    this.capabilities = meet(metadataSession.capabilities, dataSession.capabilities);
    this.#synchronous = this.capabilities.synchronous;
    this.#crossing = new Crossing(where);
  }

  get epoch(): number {
    return this.#halves[metadata].epoch + this.#halves[data].epoch;
  }

  protected doLoad(offset: number, wait?: Wait): Awaitable<bigint> {
    const { half, at } = this.#place(offset);
    return this.#send(half, () => this.#halves[half].load(at, given(wait)), wait);
  }

  protected doRead(offset: number, target: Uint8Array, wait?: Wait): Awaitable<void> {
    return this.#pieces(offset, target, false, wait, (session, at, piece) => session.read(at, piece, given(wait)));
  }

  protected doWrite(offset: number, source: Uint8Array, wait?: Wait): Awaitable<void> {
    return this.#pieces(offset, source, true, wait, (session, at, piece) => session.write(at, piece, given(wait)));
  }

  protected doCompareExchange(offset: number, expected: bigint, desired: bigint, wait?: Wait): Awaitable<bigint> {
    const { half, at } = this.#place(offset);
    return this.#send(half, () => this.#halves[half].compareExchange(at, expected, desired, given(wait)), wait);
  }

  protected doFetchAdd(offset: number, delta: bigint, wait?: Wait): Awaitable<bigint> {
    const { half, at } = this.#place(offset);
    return this.#send(half, () => this.#halves[half].fetchAdd(at, delta, given(wait)), wait);
  }

  /** Of one half alone, since that is how far a batch reaches. */
  protected doBatch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Awaitable<BatchAnswer> {
    const { half } = this.#place(steps[0]!.offset);
    const local = this.#moved(steps);
    const options = given(wait);
    return this.#send(half, () => this.#halves[half].batch(local, { ...options, stopOnFail }), wait);
  }

  protected override batchLength(steps: readonly MemoryStep[], at: number): number {
    if (at >= steps.length) return 0;
    const half = this.#halfOf(steps[at]!);
    if (half === undefined) return 0;
    let end = at + 1;
    while (end < steps.length && this.#halfOf(steps[end]!) === half) end += 1;
    return end - at;
  }

  protected doBind(member: MemberBinding, wait?: Wait): Awaitable<void> {
    const { half, at } = this.#place(member.offset);
    if (half !== metadata) {
      throw new ExomemError('InvalidArgument', 'the word of a member lies in the metadata region', {
        where: this.where,
      });
    }
    const { slot, incarnation } = member;
    const [own, other] = this.#halves;
    const gate = this.#gate(slot);
    const options = given(wait);
    const steps = [() => own.bind({ slot, incarnation, offset: at }, options)];
    // Where nobody can be shut out the data region need not know who is who.
    if (this.capabilities.revoke !== 'none') {
      steps.push(
        () => atGate(openGate(gate, incarnation), other),
        () => other.bind({ slot, incarnation, offset: gate }, options),
      );
    }
    return this.#crossing.alone(() => {
      const refused = (error: unknown): never => {
        if (isExomemError(error, 'Fenced')) this.#fence = error.message;
        throw error;
      };
      try {
        const answer = inTurn(steps);
        if (answer instanceof Promise) {
          return answer.then(() => {
            this.#fence = undefined;
          }, refused);
        }
        this.#fence = undefined;
      } catch (error) {
        refused(error);
      }
    }, wait);
  }

  /** Both, whichever needs it. */
  protected doRenew(): Awaitable<void> {
    const { epoch } = this.#halves[data];
    const answers = this.#halves.map((session) => {
      try {
        return session.renew();
      } catch (error) {
        return Promise.reject(error);
      }
    });
    const done = (): void => this.#crossing.restore();
    if (!answers.some((answer) => answer instanceof Promise)) return done();
    return Promise.allSettled(answers).then(async (results) => {
      for (const result of results) if (result.status === 'rejected') throw result.reason;
      // A lane that is bound has had its gate looked at; one that only looks has nothing else to go by.
      if (this.#halves[data].epoch !== epoch) await this.#check?.(this.#halves[data]);
      done();
    });
  }

  /**
   * At both. Where one of them wants a proof it is asked first: until it has one nothing changes. The gate is closed before
   * the data region shuts lanes out, so that none is bound behind that, whoever serves the region by then.
   */
  protected doRevoke(member: MemberBinding, wait?: Wait): Awaitable<void> {
    if (this.#fence !== undefined) this.#refuse();
    const { slot, incarnation } = member;
    const [own, other] = this.#halves;
    const gate = this.#gate(slot);
    const options = given(wait);
    const atMetadata = (): Awaitable<void> =>
      own.revoke({ slot, incarnation, offset: this.#place(member.offset).at }, options);
    const atData = (): Awaitable<void> => other.revoke({ slot, incarnation, offset: gate }, options);
    const close = (): Awaitable<void> => atGate(closeGate(gate, incarnation), other);
    const immediate = {
      metadata: own.capabilities.revoke === 'immediate',
      data: other.capabilities.revoke === 'immediate',
    };
    // Who had no lane at the data region when a proof was asked for there could have got one before the gate was closed.
    const rest = immediate.data ? [close, atData] : immediate.metadata ? [atData, close, atData] : [atData, close];
    return this.#crossing.alone(() => inTurn(immediate.metadata ? [...rest, atMetadata] : [atMetadata, ...rest]), wait);
  }

  protected override doView(offset: number, length: number): Uint8Array {
    if (!this.capabilities.mapped) return super.doView(offset, length);
    const { half, at } = this.#place(offset);
    if (length > 0 && (this.#place(offset + length - 1).half !== half || this.#wrapped(offset, length))) {
      throw new ExomemError('Fragmented', `${length} bytes at ${offset} lie in two regions`, {
        where: this.where,
        advice: 'take `windows()`, which gives the pieces',
      });
    }
    if (this.#fence !== undefined) this.#refuse();
    return this.#halves[half].view(at, length);
  }

  protected override doWindows(offset: number, length: number): Uint8Array[] {
    if (!this.capabilities.mapped || length === 0) return [this.doView(offset, length)];
    if (this.#fence !== undefined) this.#refuse();
    const windows: Uint8Array[] = [];
    for (const end = offset + length; offset < end; ) {
      const { half, at } = this.#place(offset);
      const session = this.#halves[half];
      const piece = Math.min(end, this.#edgeBehind(offset)) - offset;
      windows.push(...(session.windows?.(at, piece) ?? [session.view(at, piece)]));
      offset += piece;
    }
    return windows;
  }

  protected doClose(): Awaitable<void> {
    const answers = this.#halves.map((session) => session.close());
    if (answers.some((answer) => answer instanceof Promise)) return Promise.all(answers).then(() => undefined);
  }

  // ---- where bytes are

  #gate(slot: number): number {
    return this.#layout.gates + slot * 8;
  }

  #place(offset: number): { readonly half: Half; readonly at: number } {
    if (offset < this.#layout.head) return { half: metadata, at: offset };
    if (offset < this.#end) return { half: data, at: offset - this.#layout.head + this.#layout.from };
    return { half: metadata, at: offset - this.#layout.bytes };
  }

  /** Where what lies at an offset goes on in the other half, or ends. */
  #edgeBehind(offset: number): number {
    if (offset < this.#layout.head) return this.#layout.head;
    return offset < this.#end ? this.#end : this.size;
  }

  /** From before the data region to behind it. */
  #wrapped(offset: number, length: number): boolean {
    return offset < this.#layout.head && offset + length > this.#end;
  }

  /** Undefined: it lies in both. */
  #halfOf(step: MemoryStep): Half | undefined {
    const { half } = this.#place(step.offset);
    if (step.op !== 'read' && step.op !== 'write') return half;
    const { offset, bytes } = step;
    if (bytes.byteLength === 0) return half;
    const whole = this.#place(offset + bytes.byteLength - 1).half === half && !this.#wrapped(offset, bytes.byteLength);
    return whole ? half : undefined;
  }

  /** The same steps, with the offsets that they have in their half. */
  #moved(steps: readonly MemoryStep[]): readonly MemoryStep[] {
    if (steps.every(({ offset }) => offset < this.#layout.head)) return steps;
    return steps.map((step) => ({ ...step, offset: this.#place(step.offset).at }));
  }

  #send<T>(half: Half, call: () => Awaitable<T>, wait: Wait | undefined): Awaitable<T> {
    if (this.#fence !== undefined) this.#refuse();
    return this.#synchronous ? call() : this.#crossing.send(half, call, wait);
  }

  /** A copy, cut where one half ends and the other begins. All pieces are called at once: they are sent in order. */
  #pieces(
    offset: number,
    bytes: Uint8Array,
    changes: boolean,
    wait: Wait | undefined,
    copy: (session: Session, at: number, piece: Uint8Array) => Awaitable<void>,
  ): Awaitable<void> {
    const answers: Awaitable<void>[] = [];
    for (let done = 0; done < bytes.byteLength; ) {
      const from = offset + done;
      const length = Math.min(bytes.byteLength - done, this.#edgeBehind(from) - from);
      const piece = length === bytes.byteLength ? bytes : bytes.subarray(done, done + length);
      const { half, at } = this.#place(from);
      const answer = this.#send(half, () => copy(this.#halves[half], at, piece), wait);
      if (length === bytes.byteLength) return answer;
      answers.push(answer);
      done += length;
    }
    if (!answers.some((answer) => answer instanceof Promise)) return undefined;
    return Promise.allSettled(answers).then((results) => {
      const failed = results.find((result) => result.status === 'rejected');
      if (failed === undefined) return;
      if (!changes || results.every((result) => result.status === 'rejected')) throw failed.reason;
      throw new ExomemError('OutcomeUnknown', `a part of it was done: ${String(failed.reason?.message)}`, {
        where: this.where,
        cause: failed.reason,
      });
    });
  }

  #refuse(): never {
    throw new ExomemError('Fenced', `this lane is fenced: ${this.#fence}`, { where: this.where });
  }
}

/** What a half is told of a caller that may give up: it does so with it. */
function given(wait: Wait | undefined): CallOptions | undefined {
  if (wait === undefined || wait.attended) return undefined;
  wait.controller ??= new AbortController();
  return { signal: wait.controller.signal };
}

/** One after the other; none behind one that fails. */
function inTurn(steps: readonly (() => Awaitable<void>)[]): Awaitable<void> {
  for (const [index, step] of steps.entries()) {
    const answer = step();
    if (answer instanceof Promise) return answer.then(() => inTurn(steps.slice(index + 1)));
  }
}

/** What both can do. */
function meet(a: Capabilities, b: Capabilities): Capabilities {
  const atomics =
    a.atomics === b.atomics ? a.atomics : a.atomics === 'none' || b.atomics === 'none' ? 'none' : 'device';
  const revokes = [a.revoke, b.revoke];
  return {
    synchronous: a.synchronous && b.synchronous,
    mapped: a.mapped && b.mapped,
    atomics,
    maxTransfer: Math.min(a.maxTransfer, b.maxTransfer),
    maxBatch: Math.min(a.maxBatch, b.maxBatch),
    stopOnFail: a.stopOnFail && b.stopOnFail,
    sessionFence: a.sessionFence && b.sessionFence,
    revoke: revokes.includes('none') ? 'none' : revokes.includes('proof') ? 'proof' : 'immediate',
    ...(a.maxDelay === undefined || b.maxDelay === undefined ? {} : { maxDelay: Math.max(a.maxDelay, b.maxDelay) }),
    watch: a.watch && b.watch,
  };
}

function tooShort(which: string, session: Session, needed: number): ExomemError {
  return new ExomemError('OutOfRange', `the ${which} region has ${session.size} bytes, and ${needed} are needed`, {
    where: session.where,
  });
}
