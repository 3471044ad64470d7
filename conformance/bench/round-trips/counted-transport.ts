import type {
  Awaitable,
  BatchAnswer,
  BatchOptions,
  CallOptions,
  Capabilities,
  MemberBinding,
  MemoryStep,
  Session,
  Transport,
} from '@exomem/core';

/**
 * Counts round trips on the critical path: a call goes out behind the replies that came before it, so it is one trip later than the
 * latest of them; calls that are under way together are one. What takes several frames counts as several.
 */
export class Trips {
  /** Trips behind each other so far. */
  path = 0;
  /** Calls so far, on all lanes. */
  calls = 0;
  /** Waits before a batch goes out: for others to be faster. */
  before: ((steps: readonly MemoryStep[]) => Promise<void>) | undefined;

  begin(): void {
    this.path = 0;
    this.calls = 0;
  }

  async count<T>(frames: number, send: () => Awaitable<T>): Promise<T> {
    const behind = this.path;
    this.calls += frames;
    try {
      return await send();
    } finally {
      this.path = Math.max(this.path, behind + frames);
    }
  }
}

/** What a transport declares less than it can. */
export interface Less {
  readonly stopOnFail?: false;
}

/** Sessions whose calls are counted. */
export function counted(transport: Transport, trips: Trips, less: Less = {}): Transport {
  return {
    name: transport.name,
    schemes: transport.schemes,
    apiVersion: 1,
    connect: async (url, options) => new CountedSession(await transport.connect(url, options), trips, less),
  };
}

class CountedSession implements Session {
  readonly capabilities: Capabilities;
  readonly #inner: Session;
  readonly #trips: Trips;

  constructor(inner: Session, trips: Trips, less: Less) {
    this.#inner = inner;
    this.#trips = trips;
    this.capabilities = { ...inner.capabilities, ...less };
  }

  get size(): number {
    return this.#inner.size;
  }
  get epoch(): number {
    return this.#inner.epoch;
  }
  get where(): string {
    return this.#inner.where;
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.#trips.count(1, () => this.#inner.load(offset, options));
  }
  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(this.#pieces(target.byteLength), () => this.#inner.read(offset, target, options));
  }
  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(this.#pieces(source.byteLength), () => this.#inner.write(offset, source, options));
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.#trips.count(1, () => this.#inner.compareExchange(offset, expected, desired, options));
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.#trips.count(1, () => this.#inner.fetchAdd(offset, delta, options));
  }
  async batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    await this.#trips.before?.(steps);
    // A session whose batches cannot stop at a failure waits for the answer to each step before it sends the next.
    const apart = options?.stopOnFail === true && !this.capabilities.stopOnFail;
    const frames = apart ? steps.length : Math.ceil(steps.length / this.capabilities.maxBatch);
    return this.#trips.count(frames, () => this.#inner.batch(steps, options));
  }
  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(1, () => this.#inner.bind(member, options));
  }
  renew(options?: CallOptions): Awaitable<void> {
    return this.#inner.renew(options);
  }
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(1, () => this.#inner.revoke(member, options));
  }
  view(offset: number, length: number): Uint8Array {
    return this.#inner.view(offset, length);
  }
  close(): Awaitable<void> {
    return this.#inner.close();
  }

  #pieces(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.capabilities.maxTransfer));
  }
}
