import type {
  Awaitable,
  BatchAnswer,
  CallOptions,
  Capabilities,
  ErrorCode,
  MemberBinding,
  MemoryStep,
  Session,
  Wait,
} from '@exomem/core';
import { ExomemError, isExomemError, SessionBase } from '@exomem/core';
import { type Act, batchAct, type Passage, readAct, wholeAct, writeAct } from './act.js';
import { Connection, type Parcel, turn } from './connection.js';
import type { Fates, PlannedFault } from './plan.js';
import { Silence } from './silence.js';
import type { Lanes } from './transport.js';

/** What a faulty session is made of beside the session that it wraps. */
export interface FaultySetting {
  readonly lanes: Lanes;
  readonly url: string;
  readonly clientId: Uint8Array;
  /** Milliseconds. */
  readonly silence: number;
  readonly emulatesRevoke: boolean;
  readonly fates: Fates;
  isCalm(): boolean;
  note(fault: PlannedFault): void;
  /** Opens the same lane again. */
  reconnect(): Promise<Session>;
}

/** One lane through a connection that meets the faults of a plan. */
export class FaultySession extends SessionBase {
  readonly capabilities: Capabilities;
  readonly size: number;
  readonly where: string;
  /** The member that the lane is bound to. */
  bound: MemberBinding | undefined;
  #inner: Session;
  #connection = new Connection();
  readonly #setting: FaultySetting;
  /** Epochs that were begun here, beside those of the inner session. */
  #epochs = 0;
  /** Of inner sessions that were given up. */
  #formerEpochs = 0;
  /** Answers of the inner session that are awaited. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Why every step is refused here, until the lane is bound anew in a later epoch. */
  #fence: string | undefined;
  /** It was fenced in this epoch: only the next one can be bound. */
  #spent = false;
  #killed = false;
  readonly #silence: Silence;
  readonly #duplicates: Session[] = [];

  constructor(inner: Session, setting: FaultySetting) {
    super();
    this.#inner = inner;
    this.#setting = setting;
    this.#silence = new Silence(setting.silence, () => this.#lose('nothing'));
    this.size = inner.size;
    this.where = setting.url;
    // It promises no bound on delays: plans have none.
    const { maxDelay: _, ...capabilities } = inner.capabilities;
    this.capabilities = {
      ...capabilities,
      synchronous: false,
      mapped: false,
      revoke: setting.emulatesRevoke ? 'immediate' : capabilities.revoke,
    };
    setting.lanes.sessions.add(this);
  }

  get epoch(): number {
    return this.#formerEpochs + this.#inner.epoch + this.#epochs;
  }

  /** Loses the present connection, half way through what is under way. */
  cut(): void {
    this.#lose('half');
  }

  /** From now on nothing passes on the present connection, and neither end is told. */
  silence(): void {
    this.#connection.mode = 'vanishing';
    this.#listen(false);
  }

  /** Keeps back what is sent on the present connection, until the function that it gives is called. */
  hold(): () => Promise<void> {
    const connection = this.#connection;
    connection.mode = 'held';
    return () => connection.release();
  }

  /** Whether both belong to one client. */
  isLaneOf(other: FaultySession): boolean {
    return Buffer.compare(this.#setting.clientId, other.#setting.clientId) === 0;
  }

  /** The client is dead: whatever it does, nothing comes of it. */
  kill(): void {
    this.#killed = true;
    this.#lose('half');
  }

  protected doLoad(offset: number): Promise<bigint> {
    return this.#send(wholeAct(8, () => this.#inner.load(offset, this.#options)));
  }
  protected doRead(offset: number, target: Uint8Array, wait: Wait): Promise<void> {
    return this.#send(readAct(this.#passage, offset, target.length)).then((bytes) => {
      if (!wait.abandoned) target.set(bytes);
    });
  }
  protected doWrite(offset: number, source: Uint8Array): Promise<void> {
    return this.#send(writeAct(this.#passage, offset, source.slice()));
  }
  protected doCompareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#send(wholeAct(16, () => this.#inner.compareExchange(offset, expected, desired, this.#options)));
  }
  protected doFetchAdd(offset: number, delta: bigint): Promise<bigint> {
    return this.#send(wholeAct(8, () => this.#inner.fetchAdd(offset, delta, this.#options)));
  }
  protected async doBatch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Promise<BatchAnswer> {
    // The caller's buffers are its own again when it gives up, and a call may arrive later than that.
    const own = steps.map((step) => ('bytes' in step ? { ...step, bytes: step.bytes.slice() } : step));
    const answers = await this.#send(batchAct(this.#passage, own, stopOnFail));
    for (const [at, step] of steps.entries()) {
      if (step.op !== 'read' || answers[at] !== undefined || wait.abandoned) continue;
      step.bytes.set((own[at] as typeof step).bytes);
    }
    return answers;
  }

  protected override batchLength(steps: readonly MemoryStep[], at: number): number {
    // What the inner session cannot carry as one it cuts into parts itself.
    return steps.length - at;
  }

  protected doBind(member: MemberBinding): Promise<void> {
    return this.#send(
      wholeAct(8, () => {
        const { lanes, url } = this.#setting;
        if (this.#spent) throw this.#refusal();
        if (lanes.isRevoked(url, member)) {
          this.#shutOut(`member ${member.slot} was revoked`);
          throw this.#refusal();
        }
        const bound = (): void => {
          this.bound = member;
          this.#fence = undefined;
        };
        const answer = this.#inner.bind(member, this.#options);
        return answer instanceof Promise ? answer.then(bound) : bound();
      }),
      'bind',
    );
  }

  protected doRevoke(member: MemberBinding): Promise<void> {
    const { lanes, url, emulatesRevoke } = this.#setting;
    return this.#send(
      wholeAct(8, () => {
        if (!emulatesRevoke) return this.#inner.revoke(member, this.#options);
        const victims = lanes.revoke(url, member);
        return Promise.all(victims.map((victim) => victim.#settled())).then(() => undefined);
      }),
    );
  }

  protected async doRenew(force: boolean): Promise<void> {
    if (this.#killed) throw this.#deadEnd();
    const due = force || this.#connection.lost || this.#spent;
    if (due) {
      const former = this.#connection;
      former.over = true;
      former.lose('nothing');
      // What the caller gave up is given up further down, where an answer may never come.
      if (force) former.abandoned.abort();
      await this.#settled();
      if (this.#spent && this.bound !== undefined) await this.#beginAnew();
    }
    await this.#inner.renew();
    if (!due) return;
    this.#spent = false;
    this.#epochs += 1;
    this.#connection = new Connection();
  }

  protected async doClose(): Promise<void> {
    this.#silence.end();
    this.#connection.over = true;
    this.#lose('nothing');
    this.#setting.lanes.sessions.delete(this);
    await Promise.all([this.#inner, ...this.#duplicates].map((session) => session.close()));
  }

  /** The inner session is bound to somebody it has no quarrel with: an epoch that is bound to nobody takes another one. */
  async #beginAnew(): Promise<void> {
    const former = this.#inner;
    const session = await this.#setting.reconnect();
    this.#formerEpochs += former.epoch;
    this.#inner = session;
    this.bound = undefined;
    await former.close();
  }

  async #settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  // ---- the way of a call

  /** Of calls to the inner session. One that is synchronous keeps nobody waiting. */
  get #options(): CallOptions | undefined {
    return this.#inner.capabilities.synchronous ? undefined : { signal: this.#connection.abandoned.signal };
  }

  readonly #passage = (): Passage => ({ session: this.#inner, options: this.#options });

  #send<T>(act: Act<T>, op?: 'bind'): Promise<T> {
    if (this.#killed) return Promise.reject(this.#deadEnd());
    const connection = this.#connection;
    if (connection.lost) return Promise.reject(this.#error('Disconnected', 'there is no connection'));
    const fates = this.#setting.fates.next(this.#setting.isCalm());
    return new Promise<T>((resolve, reject) => {
      const parcel: Parcel = {
        turns: this.#turns(connection, act, fates),
        deliver: () => this.#deliver(connection, parcel, act, fates, op, resolve, reject),
        lose: () => reject(this.#error('OutcomeUnknown', 'the connection was lost with this in flight')),
      };
      connection.send(parcel);
      this.#listen(false);
    });
  }

  #turns(connection: Connection, act: Act<unknown>, fates: readonly PlannedFault[]): number {
    let turns = 0;
    for (const fault of fates) {
      if (fault.kind === 'slow') connection.bytesPerTurn = fault.amount ?? 1;
      else if (fault.kind === 'delay') turns += fault.amount ?? 1;
      else continue;
      this.#setting.note(fault);
    }
    return turns + Math.floor(act.bytes / connection.bytesPerTurn);
  }

  #deliver<T>(
    connection: Connection,
    parcel: Parcel,
    act: Act<T>,
    fates: readonly PlannedFault[],
    op: 'bind' | undefined,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
  ): void | Promise<void> {
    const fail = (error: unknown): void => {
      if (isExomemError(error, 'OutcomeUnknown') || isExomemError(error, 'Disconnected')) this.#innerLost();
      connection.answer(parcel, () => {
        this.#listen(true);
        reject(error);
      });
    };
    const succeed = (value: T): void =>
      connection.answer(parcel, () => {
        this.#listen(true);
        resolve(value);
      });
    const perform = (pieces: number): Awaitable<T> => {
      if (op !== 'bind') this.#checkFence();
      return this.#watched(pieces > 1 ? act.torn(pieces, () => !connection.over) : act.whole());
    };
    const answer = (work: () => Awaitable<T>): void | Promise<void> => {
      try {
        const given = work();
        if (!(given instanceof Promise)) return succeed(given);
        given.then(succeed, fail);
      } catch (error) {
        fail(error);
      }
    };
    let pieces = 1;
    for (const fault of fates) {
      const { kind, amount = 1 } = fault;
      if (kind === 'delay' || kind === 'slow') continue;
      this.#setting.note(fault);
      switch (kind) {
        case 'tear':
          pieces = amount + 1;
          break;
        case 'cut':
          this.#lose('nothing');
          return;
        case 'silence':
          this.silence();
          return;
        case 'fence':
          this.#fenceNow();
          break;
        case 'duplicate':
          return this.#duplicate().then(() => answer(() => perform(1)));
        case 'loseReply':
          answer(() => perform(1));
          this.#lose('nothing');
          return;
        case 'part':
          if (act.part !== undefined) {
            const { part } = act;
            ignore(() => {
              this.#checkFence();
              return this.#watched(part(amount));
            });
          }
          this.#lose('nothing');
          return;
        case 'late':
          this.#lose('nothing');
          return this.#arriveLate(connection, amount, () => perform(1));
      }
    }
    if (pieces === 1) return answer(() => perform(1));
    // Those behind it wait: it takes effect in pieces, and steps of a session keep their order.
    let work: Awaitable<T> | undefined;
    answer(() => (work = perform(pieces)));
    return work instanceof Promise
      ? work.then(
          () => undefined,
          () => undefined,
        )
      : undefined;
  }

  async #arriveLate(connection: Connection, turns: number, perform: () => Awaitable<unknown>): Promise<void> {
    for (let left = turns; left > 0 && !connection.over; left -= 1) await turn();
    if (!connection.over) ignore(perform);
  }

  #watched<T>(answer: Awaitable<T>): Awaitable<T> {
    if (!(answer instanceof Promise)) return answer;
    this.#underWay.add(answer);
    const done = (): boolean => this.#underWay.delete(answer);
    answer.then(done, done);
    return answer;
  }

  /** The connection of the inner session is lost: so is this one, for those who come later. */
  #innerLost(): void {
    const connection = this.#connection;
    setImmediate(() => connection === this.#connection && this.#lose('nothing'));
  }

  #lose(keep: 'nothing' | 'half'): void {
    this.#silence.end();
    this.#connection.lose(keep);
  }

  /** Something is in flight: silence means that the connection is lost. What is sent breaks no silence, an answer does. */
  #listen(answered: boolean): void {
    if (answered) this.#silence.end();
    if (this.#connection.inFlight > 0) this.#silence.begin();
  }

  // ---- fences

  #fenceNow(): void {
    const { lanes, url, emulatesRevoke } = this.#setting;
    if (this.bound !== undefined && emulatesRevoke) lanes.revoke(url, this.bound);
    else this.#shutOut('a fault shut it out');
  }

  #shutOut(why: string): void {
    this.#fence = why;
    this.#spent = true;
  }

  #checkFence(): void {
    const { lanes, url } = this.#setting;
    if (this.#fence === undefined && this.bound !== undefined && lanes.isRevoked(url, this.bound)) {
      this.#shutOut(`member ${this.bound.slot} was revoked`);
    }
    if (this.#fence !== undefined) throw this.#refusal();
  }

  #refusal(): ExomemError {
    return this.#error('Fenced', `this lane is fenced: ${this.#fence ?? 'it was bound before'}`);
  }

  /** What remains of a killed client in this process hears that it is fenced when it is, so that it can end. */
  #deadEnd(): ExomemError {
    const { lanes, url } = this.#setting;
    if (this.bound !== undefined && lanes.isRevoked(url, this.bound))
      return this.#error('Fenced', 'the client is dead');
    return this.#error('Disconnected', 'the client was killed');
  }

  async #duplicate(): Promise<void> {
    try {
      this.#duplicates.push(await this.#setting.reconnect());
    } catch {
      // Nobody got in.
    }
  }

  #error(code: ErrorCode, what: string): ExomemError {
    return new ExomemError(code, what, { where: this.where });
  }
}

/** For a call whose answer nobody waits for. */
function ignore(call: () => unknown): void {
  try {
    const answer = call();
    if (answer instanceof Promise) answer.catch(() => undefined);
  } catch {
    // As above.
  }
}
