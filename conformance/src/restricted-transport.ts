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
import { ExomemError, ForwardingSession } from '@exomem/core';

/** What a transport is to do without. */
export interface Restriction {
  readonly atomics?: 'none';
  readonly revoke?: 'none';
  readonly mapped?: false;
}

/** Declares less than the session that it wraps, and refuses what it does not declare. */
class RestrictedSession extends ForwardingSession {
  readonly #capabilities: Capabilities;
  readonly #less: Restriction;

  constructor(inner: Session, less: Restriction) {
    super(inner);
    this.#less = less;
    this.#capabilities = { ...inner.capabilities, ...less };
  }

  override get capabilities(): Capabilities {
    return this.#capabilities;
  }

  override compareExchange(
    offset: number,
    expected: bigint,
    desired: bigint,
    options?: CallOptions,
  ): Awaitable<bigint> {
    if (this.#less.atomics === 'none') throw this.#refusal('no atomics');
    return super.compareExchange(offset, expected, desired, options);
  }
  override fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    if (this.#less.atomics === 'none') throw this.#refusal('no atomics');
    return super.fetchAdd(offset, delta, options);
  }
  override batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    if (this.#less.atomics === 'none' && steps.some(({ op }) => op === 'compareExchange' || op === 'fetchAdd')) {
      throw this.#refusal('no atomics');
    }
    return super.batch(steps, options);
  }
  override revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    if (this.#less.revoke === 'none') throw this.#refusal('no way to revoke a member');
    return super.revoke(member, options);
  }
  override view(offset: number, length: number): Uint8Array {
    if (this.#less.mapped === false) throw this.#refusal('no memory to share');
    return super.view(offset, length);
  }
  override windows(offset: number, length: number): Uint8Array[] {
    if (this.#less.mapped === false) throw this.#refusal('no memory to share');
    return super.windows(offset, length);
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
