import type {
  BatchAnswer,
  BatchOptions,
  Capabilities,
  ConnectOptions,
  MemberBinding,
  MemoryStep,
  Session,
  Transport,
} from '../src/index.js';
import { ExomemError } from '../src/index.js';

/** A network as bad as the contract allows: answers are lost, connections break, batches stop half way. */
export class FaultySession implements Session {
  readonly capabilities: Capabilities;
  epoch = 1;
  #tail: Promise<unknown> = Promise.resolve();
  #broken = false;

  /** Whose lane this is, once it is bound. */
  bound: MemberBinding | undefined;
  revoked = false;
  /** The client is dead: whatever it does, nothing comes of it. */
  killed = false;

  constructor(
    readonly inner: Session,
    /** A number from 0 up to, not including, 1. */
    readonly chance: () => number,
    readonly rate: () => number,
    /** All lanes to that region, so that one can shut out others. */
    readonly lanes: Set<FaultySession>,
  ) {
    this.capabilities = { ...inner.capabilities, synchronous: false, mapped: false, revoke: 'immediate' };
    lanes.add(this);
  }
  get size(): number {
    return this.inner.size;
  }
  get where(): string {
    return this.inner.where;
  }

  /** In the order of the calls, each after a while. */
  #queue<T>(work: () => T, half: () => void = work): Promise<T> {
    const epoch = this.epoch;
    const answer = this.#tail.then(async () => {
      for (let wait = Math.floor(this.chance() * 3); wait > 0; wait--)
        await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.revoked) throw new ExomemError('Fenced', 'revoked');
      if (this.killed) throw new ExomemError('Disconnected', 'killed');
      if (this.#broken || this.epoch !== epoch) throw new ExomemError('OutcomeUnknown', 'cut');
      if (this.chance() < this.rate()) {
        this.#broken = true;
        if (this.chance() < 0.5) half();
        throw new ExomemError('OutcomeUnknown', 'the answer was lost');
      }
      return work();
    });
    this.#tail = answer.catch(() => undefined);
    return answer;
  }

  load(offset: number): Promise<bigint> {
    return this.#queue(() => this.inner.load(offset) as bigint);
  }
  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#queue(() => void this.inner.read(offset, target));
  }
  write(offset: number, source: Uint8Array): Promise<void> {
    return this.#queue(() => void this.inner.write(offset, source));
  }
  compareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#queue(() => this.inner.compareExchange(offset, expected, desired) as bigint);
  }
  fetchAdd(offset: number, delta: bigint): Promise<bigint> {
    return this.#queue(() => this.inner.fetchAdd(offset, delta) as bigint);
  }
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    return this.#queue(
      () => this.inner.batch(steps, options) as BatchAnswer,
      () => void this.inner.batch(steps.slice(0, Math.floor(this.chance() * (steps.length + 1))), options),
    );
  }
  bind(member: MemberBinding): Promise<void> {
    return this.#queue(() => {
      this.inner.bind(member);
      this.bound = member;
    });
  }
  async renew(): Promise<void> {
    if (this.killed) throw new ExomemError('Disconnected', 'killed');
    if (!this.#broken) return;
    await this.#tail;
    this.#broken = false;
    this.epoch++;
  }
  revoke({ slot, incarnation }: MemberBinding): void {
    for (const lane of this.lanes)
      if (lane.bound?.slot === slot && lane.bound.incarnation <= incarnation) lane.revoked = true;
  }
  view(): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'no memory is shared');
  }
  close(): void {
    this.#broken = true;
    this.lanes.delete(this);
    void this.inner.close();
  }
}

/** A transport whose sessions are faulty, and whose clients can be killed. */
export class FaultyTransport implements Transport {
  readonly name = 'faulty';
  readonly apiVersion = 1;
  readonly schemes: readonly string[];

  constructor(
    readonly inner: Transport,
    readonly chance: () => number,
    readonly rate: () => number,
    readonly lanes = new Set<FaultySession>(),
  ) {
    this.schemes = inner.schemes;
  }

  async connect(url: string, options: ConnectOptions): Promise<Session> {
    return new FaultySession(await this.inner.connect(url, options), this.chance, this.rate, this.lanes);
  }

  /** Ends a client as SIGKILL does: between two steps, or in the middle of one. */
  kill(session: Session): void {
    for (const lane of this.lanes) if (lane === session || same(lane, session)) lane.killed = true;
  }
}

/** Whether both are lanes of one member. */
function same(lane: FaultySession, session: Session): boolean {
  const { bound } = session as FaultySession;
  return bound !== undefined && lane.bound?.slot === bound.slot && lane.bound.incarnation === bound.incarnation;
}
