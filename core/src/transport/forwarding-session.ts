import type { BatchAnswer, MemoryStep } from './step.js';
import type { Awaitable, BatchOptions, CallOptions, Capabilities, MemberBinding, Session } from './transport.js';

/** A session that passes every call on to another one: for those that do something else with some of them. */
export class ForwardingSession implements Session {
  protected readonly inner: Session;

  constructor(inner: Session) {
    this.inner = inner;
  }

  get capabilities(): Capabilities {
    return this.inner.capabilities;
  }
  get size(): number {
    return this.inner.size;
  }
  get epoch(): number {
    return this.inner.epoch;
  }
  get where(): string {
    return this.inner.where;
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.inner.load(offset, options);
  }
  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.inner.read(offset, target, options);
  }
  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.inner.write(offset, source, options);
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.inner.compareExchange(offset, expected, desired, options);
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    return this.inner.fetchAdd(offset, delta, options);
  }
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    return this.inner.batch(steps, options);
  }
  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.inner.bind(member, options);
  }
  renew(options?: CallOptions): Awaitable<void> {
    return this.inner.renew(options);
  }
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.inner.revoke(member, options);
  }
  view(offset: number, length: number): Uint8Array {
    return this.inner.view(offset, length);
  }
  windows(offset: number, length: number): Uint8Array[] {
    return this.inner.windows?.(offset, length) ?? [this.inner.view(offset, length)];
  }
  close(): Awaitable<void> {
    return this.inner.close();
  }
}
