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
import { ExomemError } from '@exomem/core';

/** What a transport is to do without. */
export interface Restriction {
  readonly atomics?: 'none';
  readonly revoke?: 'none';
  readonly mapped?: false;
}

/** Declares less than the session that it wraps, and refuses what it does not declare. */
class RestrictedSession implements Session {
  readonly capabilities: Capabilities;
  readonly #inner: Session;
  readonly #less: Restriction;

  constructor(inner: Session, less: Restriction) {
    this.#inner = inner;
    this.#less = less;
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
    return this.#inner.load(offset, options);
  }
  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#inner.read(offset, target, options);
  }
  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#inner.write(offset, source, options);
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    if (this.#less.atomics === 'none') throw this.#refusal('no atomics');
    return this.#inner.compareExchange(offset, expected, desired, options);
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    if (this.#less.atomics === 'none') throw this.#refusal('no atomics');
    return this.#inner.fetchAdd(offset, delta, options);
  }
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    if (this.#less.atomics === 'none' && steps.some(({ op }) => op === 'compareExchange' || op === 'fetchAdd')) {
      throw this.#refusal('no atomics');
    }
    return this.#inner.batch(steps, options);
  }
  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#inner.bind(member, options);
  }
  renew(options?: CallOptions): Awaitable<void> {
    return this.#inner.renew(options);
  }
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    if (this.#less.revoke === 'none') throw this.#refusal('no way to revoke a member');
    return this.#inner.revoke(member, options);
  }
  view(offset: number, length: number): Uint8Array {
    if (this.#less.mapped === false) throw this.#refusal('no memory to share');
    return this.#inner.view(offset, length);
  }
  close(): Awaitable<void> {
    return this.#inner.close();
  }

  #refusal(what: string): ExomemError {
    return new ExomemError('UnsupportedCapability', `this transport has ${what}`, { where: this.where });
  }
}

/** A transport without some of what it can do: for programs that are to run over lesser ones, too. */
export function restricted(transport: Transport, less: Restriction): Transport {
  return {
    name: `restricted ${transport.name}`,
    schemes: transport.schemes,
    apiVersion: 1,
    connect: async (url, options) => new RestrictedSession(await transport.connect(url, options), less),
  };
}
