import type { BatchAnswer, MemoryStep } from '../transport/step.js';
import type {
  Awaitable,
  BatchOptions,
  CallOptions,
  Capabilities,
  MemberBinding,
  Session,
} from '../transport/transport.js';

/**
 * A session whose writes wait for a lease. Where nobody can be shut out, a write that was decided on under a lease that has
 * run out since could land in bytes that have a new owner: records, snapshots and zeros as much as data. Words need none.
 */
export class LeasedSession implements Session {
  readonly #inner: Session;
  /** Waits for a lease; undefined: there is one. To be set when there is somebody who can take one. */
  lease: () => Promise<void> | undefined = () => undefined;

  constructor(inner: Session) {
    this.#inner = inner;
  }

  get capabilities(): Capabilities {
    return this.#inner.capabilities;
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

  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#held(() => this.#inner.write(offset, source, options));
  }
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    const send = () => this.#inner.batch(steps, options);
    return steps.some(({ op }) => op === 'write') ? this.#held(send) : send();
  }

  /** Sends at the moment at which there is a lease. */
  #held<T>(send: () => Awaitable<T>): Awaitable<T> {
    const waiting = this.lease();
    return waiting === undefined ? send() : waiting.then(() => this.#held(send));
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.#inner.load(offset, options);
  }
  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#inner.read(offset, target, options);
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.#inner.compareExchange(offset, expected, desired, options);
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.#inner.fetchAdd(offset, delta, options);
  }
  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#inner.bind(member, options);
  }
  renew(options?: CallOptions): Awaitable<void> {
    return this.#inner.renew(options);
  }
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#inner.revoke(member, options);
  }
  view(offset: number, length: number): Uint8Array {
    return this.#inner.view(offset, length);
  }
  windows(offset: number, length: number): Uint8Array[] {
    return this.#inner.windows?.(offset, length) ?? [this.#inner.view(offset, length)];
  }
  close(): Awaitable<void> {
    return this.#inner.close();
  }
}
