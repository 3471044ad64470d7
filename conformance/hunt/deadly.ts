import {
  type BatchAnswer,
  type BatchOptions,
  type CallOptions,
  type ConnectOptions,
  ForwardingSession,
  type MemberBinding,
  type MemoryStep,
  type Session,
  type Transport,
} from '@exomem/core';

/** Where at a step a process stops: before it is sent, when it is under way, or when its answer has come. */
export const sides = ['before', 'under way', 'after'] as const;
export type Side = (typeof sides)[number];

/** Counts what a process sends, and ends or stops it at one of these steps. */
export class Trap {
  /** Steps since it was set. */
  steps = 0;
  #at = 0;
  #side: Side = 'before';
  #signal: NodeJS.Signals = 'SIGKILL';
  #set = false;

  /** From here on steps count, and the process gets the signal at the step of that number, if it comes to it. */
  set(at: number | undefined, side: Side, signal: NodeJS.Signals): void {
    this.#at = at ?? 0;
    this.#side = side;
    this.#signal = signal;
    this.#set = true;
  }

  /** From here on nothing happens any more. */
  disarm(): void {
    this.#set = false;
  }

  async step<T>(send: () => T | Promise<T>): Promise<T> {
    const here = this.#set && ++this.steps === this.#at;
    if (!here) return send();
    if (this.#side === 'before') this.#spring();
    const answer = Promise.resolve(send());
    answer.catch(() => undefined);
    if (this.#side === 'under way') {
      // What was sent leaves this process when the events of this turn have been dealt with.
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#spring();
    }
    const value = await answer;
    if (this.#side === 'after') this.#spring();
    return value;
  }

  #spring(): void {
    process.kill(process.pid, this.#signal);
  }
}

/** A transport whose user dies of a {@link Trap}: each call of a session, and each connection, is a step. */
export class DeadlyTransport implements Transport {
  readonly name = 'deadly';
  readonly apiVersion = 1;
  readonly schemes: readonly string[];
  readonly #inner: Transport;
  readonly #trap: Trap;

  constructor(inner: Transport, trap: Trap) {
    this.#inner = inner;
    this.#trap = trap;
    this.schemes = inner.schemes;
  }

  async connect(url: string, options: ConnectOptions): Promise<Session> {
    return new DeadlySession(await this.#trap.step(() => this.#inner.connect(url, options)), this.#trap);
  }
}

class DeadlySession extends ForwardingSession {
  readonly #trap: Trap;

  constructor(inner: Session, trap: Trap) {
    super(inner);
    this.#trap = trap;
  }

  override load(offset: number, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => super.load(offset, options));
  }
  override read(offset: number, target: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => super.read(offset, target, options));
  }
  override write(offset: number, source: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => super.write(offset, source, options));
  }
  override compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => super.compareExchange(offset, expected, desired, options));
  }
  override fetchAdd(offset: number, delta: bigint, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => super.fetchAdd(offset, delta, options));
  }
  override batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    return this.#trap.step(() => super.batch(steps, options));
  }
  override bind(member: MemberBinding, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => super.bind(member, options));
  }
  override renew(options?: CallOptions): Promise<void> {
    return this.#trap.step(() => super.renew(options));
  }
  override revoke(member: MemberBinding, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => super.revoke(member, options));
  }
}
