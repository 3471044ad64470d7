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
import { ForwardingSession } from '@exomem/core';

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

class CountedSession extends ForwardingSession {
  readonly #capabilities: Capabilities;
  readonly #trips: Trips;

  constructor(inner: Session, trips: Trips, less: Less) {
    super(inner);
    this.#trips = trips;
    this.#capabilities = { ...inner.capabilities, ...less };
  }

  override get capabilities(): Capabilities {
    return this.#capabilities;
  }

  override load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.#trips.count(1, () => super.load(offset, options));
  }
  override read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(this.#pieces(target.byteLength), () => super.read(offset, target, options));
  }
  override write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(this.#pieces(source.byteLength), () => super.write(offset, source, options));
  }
  override compareExchange(
    offset: number,
    expected: bigint,
    desired: bigint,
    options?: CallOptions,
  ): Awaitable<bigint> {
    return this.#trips.count(1, () => super.compareExchange(offset, expected, desired, options));
  }
  override fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.#trips.count(1, () => super.fetchAdd(offset, delta, options));
  }
  override async batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    await this.#trips.before?.(steps);
    // A session whose batches cannot stop at a failure waits for the answer to each step before it sends the next.
    const apart = options?.stopOnFail === true && !this.capabilities.stopOnFail;
    const frames = apart ? steps.length : Math.ceil(steps.length / this.capabilities.maxBatch);
    return this.#trips.count(frames, () => super.batch(steps, options));
  }
  override bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(1, () => super.bind(member, options));
  }
  override revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#trips.count(1, () => super.revoke(member, options));
  }

  #pieces(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.capabilities.maxTransfer));
  }
}
