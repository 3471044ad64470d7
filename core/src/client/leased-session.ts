import { ForwardingSession } from '../transport/forwarding-session.js';
import type { BatchAnswer, MemoryStep } from '../transport/step.js';
import type { Awaitable, BatchOptions, CallOptions } from '../transport/transport.js';

/**
 * A session whose writes wait for a lease. Where nobody can be shut out, a write that was decided on under a lease that has
 * run out since could land in bytes that have a new owner: records, snapshots and zeros as much as data. Words need none.
 */
export class LeasedSession extends ForwardingSession {
  /** Waits for a lease; undefined: there is one. To be set when there is somebody who can take one. */
  lease: () => Promise<void> | undefined = () => undefined;

  override write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void> {
    return this.#held(() => super.write(offset, source, options));
  }
  override batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    const send = () => super.batch(steps, options);
    return steps.some(({ op }) => op === 'write') ? this.#held(send) : send();
  }

  /** Sends at the moment at which there is a lease. */
  #held<T>(send: () => Awaitable<T>): Awaitable<T> {
    const waiting = this.lease();
    return waiting === undefined ? send() : waiting.then(() => this.#held(send));
  }
}
