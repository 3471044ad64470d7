import type {
  BatchAnswer,
  BatchOptions,
  CallOptions,
  Capabilities,
  ConnectOptions,
  MemberBinding,
  MemoryStep,
  Session,
  Transport,
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

class DeadlySession implements Session {
  readonly capabilities: Capabilities;
  readonly #inner: Session;
  readonly #trap: Trap;

  constructor(inner: Session, trap: Trap) {
    this.#inner = inner;
    this.#trap = trap;
    this.capabilities = inner.capabilities;
  }
  get size(): number {
    return this.#inner.size;
  }
  get where(): string {
    return this.#inner.where;
  }
  get epoch(): number {
    return this.#inner.epoch;
  }

  load(offset: number, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => this.#inner.load(offset, options));
  }
  read(offset: number, target: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => this.#inner.read(offset, target, options));
  }
  write(offset: number, source: Uint8Array, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => this.#inner.write(offset, source, options));
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => this.#inner.compareExchange(offset, expected, desired, options));
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Promise<bigint> {
    return this.#trap.step(() => this.#inner.fetchAdd(offset, delta, options));
  }
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    return this.#trap.step(() => this.#inner.batch(steps, options));
  }
  bind(member: MemberBinding, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => this.#inner.bind(member, options));
  }
  renew(options?: CallOptions): Promise<void> {
    return this.#trap.step(() => this.#inner.renew(options));
  }
  revoke(member: MemberBinding, options?: CallOptions): Promise<void> {
    return this.#trap.step(() => this.#inner.revoke(member, options));
  }
  view(offset: number, length: number): Uint8Array {
    return this.#inner.view(offset, length);
  }
  close(): void | Promise<void> {
    return this.#inner.close();
  }
}
