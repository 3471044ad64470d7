import type { BatchAnswer, Capabilities, ConnectOptions, MemberBinding, MemoryStep, Wait } from '@exomem/core';
import { ExomemError, isExomemError, SessionBase } from '@exomem/core';
import type { RegionAddress } from '../address.js';
import { headerBytes, offeredFeatures, protocolVersion } from '../wire/format.js';
import type { Welcome } from '../wire/hello.js';
import { errorOf } from '../wire/status.js';
import { ClientConnection, type Patience } from './connection.js';
import { stepAnswerBytes, stepRequestBytes } from './encode.js';

/**
 * A lane to a region behind TCP. Each epoch is a connection of its own; nothing reconnects by itself: after a loss
 * every step fails with `Disconnected` until `renew()` has opened the next epoch.
 */
export class TcpSession extends SessionBase {
  readonly capabilities: Capabilities;
  readonly size: number;
  readonly where: string;
  readonly #target: RegionAddress;
  readonly #options: ConnectOptions;
  readonly #patience: Patience;
  /** The terms of the first epoch; a later one with others is another region's. */
  readonly #terms: Welcome;
  #connection: ClientConnection;
  /** The epoch that is open, or was last. */
  #epoch: number;
  /** The highest epoch that was ever asked for. */
  #asked: number;
  /** The member that this lane is bound to; each new epoch is bound to it again. */
  #binding: MemberBinding | undefined;
  #renewing: Promise<void> | undefined;
  /** The connection of an epoch that is welcome and not bound yet. */
  #beginning: ClientConnection | undefined;
  /** Ends an epoch that is being opened when the session is closed. */
  readonly #closing = new AbortController();

  /** @throws as `Transport.connect` */
  static async open(
    target: RegionAddress,
    where: string,
    options: ConnectOptions,
    patience: Patience,
    signal?: AbortSignal,
  ): Promise<TcpSession> {
    // A lane that is open already, of an earlier session of the same client, is taken over.
    for (let epoch = 1, attempt = 0; ; attempt += 1) {
      const connection = await openEpoch(target, where, options, patience, epoch, signal);
      const { status, text } = connection.welcome;
      if (status === 0) return new TcpSession(target, where, options, patience, connection);
      const error = errorOf(status, text, where);
      if (error.code !== 'Fenced' || connection.welcome.epoch < epoch || attempt === 3) throw error;
      epoch = connection.welcome.epoch + 1;
    }
  }

  private constructor(
    target: RegionAddress,
    where: string,
    options: ConnectOptions,
    patience: Patience,
    connection: ClientConnection,
  ) {
    super();
    const { welcome } = connection;
    this.#target = target;
    this.where = where;
    this.#options = options;
    this.#patience = patience;
    this.#connection = connection;
    this.#terms = welcome;
    this.#epoch = welcome.epoch;
    this.#asked = welcome.epoch;
    this.size = welcome.size;
    this.capabilities = {
      synchronous: false,
      mapped: false,
      atomics: 'host',
      maxTransfer: welcome.maxTransfer,
      maxBatch: welcome.maxBatch,
      stopOnFail: true,
      sessionFence: true,
      revoke: 'immediate',
      watch: false,
    };
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** 16 bytes that the appliance drew when it started: where they differ, it forgot epochs and revocations. */
  get instance(): Uint8Array {
    return this.#connection.welcome.instance;
  }

  protected doLoad(offset: number): Promise<bigint> {
    return this.#connection.load(offset);
  }

  protected doRead(offset: number, target: Uint8Array, wait: Wait): Promise<void> {
    return this.#connection.read(offset, target, wait);
  }

  protected doWrite(offset: number, source: Uint8Array): Promise<void> {
    return this.#connection.write(offset, source);
  }

  protected doCompareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#connection.compareExchange(offset, expected, desired);
  }

  protected doFetchAdd(offset: number, delta: bigint): Promise<bigint> {
    return this.#connection.fetchAdd(offset, delta);
  }

  protected doBatch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Promise<BatchAnswer> {
    return this.#connection.batch(steps, stopOnFail, wait);
  }

  /** A batch and its answer are a frame each, which have bounds of their own. */
  protected override batchLength(steps: readonly MemoryStep[], at: number): number {
    const { maxBatch, maxBatchBytes, maxBatchAnswer } = this.#terms;
    let request = headerBytes + 8;
    let answer = headerBytes + 8;
    let end = at;
    while (end < steps.length && end - at < maxBatch) {
      const step = steps[end]!;
      request += stepRequestBytes(step);
      answer += stepAnswerBytes(step);
      if (request > maxBatchBytes || answer > maxBatchAnswer) break;
      end += 1;
    }
    return end - at;
  }

  protected async doBind(member: MemberBinding): Promise<void> {
    if (this.#renewing !== undefined) await this.#renewing;
    const connection = this.#connection;
    if (this.#binding !== undefined && sameMember(this.#binding, member) && connection.fence === undefined) {
      if (connection.open) return;
      throw connection.refusal();
    }
    await connection.bind(member);
    this.#binding = member;
    // A member that lives lifts the fence that one before it left.
    connection.fence = undefined;
  }

  protected doRenew(force: boolean): Promise<void> | undefined {
    if (this.#renewing !== undefined) return this.#renewing;
    if (!force && this.#connection.open && this.#connection.fence === undefined) return undefined;
    this.#renewing = this.#reopen().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  protected doRevoke(member: MemberBinding): Promise<void> {
    return this.#connection.revoke(member);
  }

  protected doClose(): undefined {
    this.#closing.abort();
    this.#beginning?.end(this.#wasClosed());
    this.#connection.end(this.#wasClosed());
  }

  #wasClosed(): ExomemError {
    return new ExomemError('Closed', 'the session was closed', { where: this.where });
  }

  async #reopen(): Promise<void> {
    // Another session has the lane: it is not taken back.
    if (this.#connection.lost?.code === 'Fenced') throw this.#connection.refusal();
    this.#connection.end(new ExomemError('Disconnected', 'a new epoch of the lane begins', { where: this.where }));
    this.#asked += 1;
    const { signal } = this.#closing;
    const connection = await openEpoch(
      this.#target,
      this.where,
      this.#options,
      this.#patience,
      this.#asked,
      signal,
    ).catch((error) => {
      throw this.closed ? this.#wasClosed() : error;
    });
    this.#beginning = connection;
    try {
      await this.#begin(connection);
    } catch (error) {
      // A lane without its member stays open, and fenced, until it is bound to another one.
      if (connection.fence === undefined) {
        connection.end(
          new ExomemError('Disconnected', 'the new epoch did not begin', { where: this.where, cause: error }),
        );
      }
      throw error;
    }
  }

  async #begin(connection: ClientConnection): Promise<void> {
    const { welcome } = connection;
    if (this.closed) throw this.#wasClosed();
    if (welcome.status !== 0) {
      const error = errorOf(welcome.status, welcome.text, this.where);
      if (error.code === 'Fenced') this.#connection = connection;
      throw error;
    }
    if (!sameTerms(welcome, this.#terms)) {
      const what = `the region has ${welcome.size} bytes now and had ${this.size}, or its appliance other limits`;
      throw new ExomemError('Incompatible', what, { where: this.where, advice: 'it is another region: open it anew' });
    }
    const member = this.#binding;
    const { fence } = this.#connection;
    if (fence !== undefined) {
      this.#binding = undefined;
      connection.fence = fence;
    } else if (member !== undefined) {
      try {
        // Nothing else is sent in a new epoch until this is answered.
        await connection.bind(member);
      } catch (error) {
        if (isExomemError(error, 'Fenced')) {
          this.#binding = undefined;
          this.#install(connection);
        }
        throw error;
      }
    }
    this.#install(connection);
  }

  #install(connection: ClientConnection): void {
    if (this.closed) {
      connection.end(this.#wasClosed());
      throw this.#wasClosed();
    }
    this.#epoch = connection.welcome.epoch;
    this.#connection = connection;
  }
}

function openEpoch(
  target: RegionAddress,
  where: string,
  options: ConnectOptions,
  patience: Patience,
  epoch: number,
  signal?: AbortSignal,
): Promise<ClientConnection> {
  const hello = {
    versions: [protocolVersion, protocolVersion] as const,
    features: offeredFeatures,
    clientId: options.clientId,
    lane: options.lane,
    epoch,
    region: target.region,
  };
  return ClientConnection.open(target.address, hello, where, patience, signal);
}

function sameTerms(a: Welcome, b: Welcome): boolean {
  return (
    a.size === b.size &&
    a.maxTransfer === b.maxTransfer &&
    a.maxBatch === b.maxBatch &&
    a.maxBatchBytes === b.maxBatchBytes &&
    a.maxBatchAnswer === b.maxBatchAnswer
  );
}

function sameMember(a: MemberBinding, b: MemberBinding): boolean {
  return a.slot === b.slot && a.incarnation === b.incarnation && a.offset === b.offset;
}
