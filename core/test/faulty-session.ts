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

  constructor(
    readonly inner: Session,
    /** A number from 0 up to, not including, 1. */
    readonly chance: () => number,
    readonly rate: () => number,
  ) {
    this.capabilities = { ...inner.capabilities, synchronous: false, mapped: false };
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
    return Promise.resolve(this.inner.bind(member));
  }
  async renew(): Promise<void> {
    if (!this.#broken) return;
    await this.#tail;
    this.#broken = false;
    this.epoch++;
  }
  revoke(): void {}
  view(): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'no memory is shared');
  }
  close(): void {
    this.#broken = true;
    void this.inner.close();
  }
}

/** Wraps every session of a transport. */
export function faulty(transport: Transport, chance: () => number, rate: () => number): Transport {
  return {
    name: 'faulty',
    schemes: transport.schemes,
    apiVersion: 1,
    connect: async (url: string, options: ConnectOptions) =>
      new FaultySession(await transport.connect(url, options), chance, rate),
  };
}
