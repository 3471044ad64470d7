import type {
  BatchAnswer,
  Capabilities,
  ConnectOptions,
  MemberBinding,
  MemoryStep,
  StepAnswer,
  Wait,
} from '@exomem/core';
import { ExomemError, isExomemError, notRun, SessionBase } from '@exomem/core';
import type { RegionAddress } from '../address.js';
import { headerBytes, offeredFeatures, protocolVersion } from '../wire/format.js';
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
  #connection: ClientConnection;
  /** The epoch that is open, or was last. */
  #epoch: number;
  /** The highest epoch that was ever asked for. */
  #asked: number;
  /** The member that this lane is bound to; each new epoch is bound to it again. */
  #binding: MemberBinding | undefined;
  #renewing: Promise<void> | undefined;

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
      revoke: true,
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
    const { maxBatchBytes, maxBatchAnswer } = this.#connection.welcome;
    let request = headerBytes + 8;
    let answer = headerBytes + 8;
    for (const step of steps) {
      request += stepRequestBytes(step);
      answer += stepAnswerBytes(step);
    }
    if (request <= maxBatchBytes && answer <= maxBatchAnswer) return this.#connection.batch(steps, stopOnFail, wait);
    return this.#inFrames(cut(steps, maxBatchBytes, maxBatchAnswer), stopOnFail, wait);
  }

  protected async doBind(member: MemberBinding): Promise<void> {
    if (this.#renewing !== undefined) await this.#renewing;
    const bound = this.#binding;
    if (bound !== undefined && !this.#connection.fenced && sameMember(bound, member)) {
      if (this.#connection.open) return;
      throw this.#connection.refusal();
    }
    // An epoch takes one binding: another one needs the next epoch.
    if (bound !== undefined) {
      this.#binding = undefined;
      await this.doRenew(true);
    }
    await this.#connection.bind(member);
    this.#binding = member;
  }

  protected doRenew(force: boolean): Promise<void> | undefined {
    if (this.#renewing !== undefined) return this.#renewing;
    if (!force && this.#connection.open && !this.#connection.fenced) return undefined;
    this.#renewing = this.#reopen().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  protected doRevoke(member: MemberBinding): Promise<void> {
    return this.#connection.revoke(member);
  }

  protected doClose(): undefined {
    this.#connection.end(new ExomemError('Closed', 'the session was closed', { where: this.where }));
  }

  async #reopen(): Promise<void> {
    this.#connection.end(new ExomemError('Disconnected', 'a new epoch of the lane begins', { where: this.where }));
    this.#asked += 1;
    const connection = await openEpoch(this.#target, this.where, this.#options, this.#patience, this.#asked);
    const { welcome } = connection;
    if (welcome.status !== 0) throw errorOf(welcome.status, welcome.text, this.where);
    const give = (error: ExomemError): never => {
      connection.end(error);
      throw error;
    };
    if (this.closed) give(new ExomemError('Closed', 'the session was closed', { where: this.where }));
    if (welcome.size !== this.size) {
      give(
        new ExomemError('Incompatible', `the region has ${welcome.size} bytes now and had ${this.size}`, {
          where: this.where,
          advice: 'it is another region: open it anew',
        }),
      );
    }
    this.#epoch = welcome.epoch;
    if (this.#binding !== undefined) await this.#rebind(connection, this.#binding);
    if (this.closed) give(new ExomemError('Closed', 'the session was closed', { where: this.where }));
    this.#connection = connection;
  }

  /** Nothing but the BIND is sent in a new epoch until it is answered. */
  async #rebind(connection: ClientConnection, member: MemberBinding): Promise<void> {
    try {
      await connection.bind(member);
    } catch (error) {
      if (isExomemError(error, 'Fenced')) {
        // The member is gone for good: what a later renew() opens is a lane without one.
        this.#binding = undefined;
        this.#connection = connection;
      } else
        connection.end(
          new ExomemError('Disconnected', 'the lane could not be bound again', { where: this.where, cause: error }),
        );
      throw error;
    }
  }

  /** A batch that is too long for one frame. Frames follow each other at once, unless one may stop those behind it. */
  async #inFrames(frames: readonly Frame[], stopOnFail: boolean, wait: Wait): Promise<BatchAnswer> {
    const run = (frame: Frame): Promise<BatchAnswer> => {
      const [first] = frame.steps;
      if (!frame.alone) return this.#connection.batch(frame.steps, stopOnFail, wait);
      const { op, offset, bytes } = first as Extract<MemoryStep, { bytes: Uint8Array }>;
      const answer = op === 'read' ? this.#connection.read(offset, bytes, wait) : this.#connection.write(offset, bytes);
      return answer.then(() => [undefined as StepAnswer]);
    };
    const answers: BatchAnswer = [];
    if (stopOnFail) {
      let stopped = false;
      for (const frame of frames) {
        const part: BatchAnswer = stopped ? frame.steps.map((): typeof notRun => notRun) : await run(frame);
        answers.push(...part);
        stopped ||= stoppedIn(frame.steps, part);
      }
      return answers;
    }
    const parts = await Promise.allSettled(frames.map(run));
    let failure: unknown;
    for (const part of parts) {
      if (part.status === 'fulfilled') answers.push(...part.value);
      else if (failure === undefined || isExomemError(part.reason, 'OutcomeUnknown')) failure = part.reason;
    }
    if (failure !== undefined) throw failure;
    return answers;
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

/** A part of a batch that fits into a frame; `alone` is a step that travels outside of a batch. */
interface Frame {
  readonly steps: MemoryStep[];
  readonly alone: boolean;
}

function cut(steps: readonly MemoryStep[], maxRequest: number, maxAnswer: number): Frame[] {
  const frames: Frame[] = [];
  let part: MemoryStep[] = [];
  let request = headerBytes + 8;
  let answer = headerBytes + 8;
  const flush = (): void => {
    if (part.length > 0) frames.push({ steps: part, alone: false });
    part = [];
    request = headerBytes + 8;
    answer = headerBytes + 8;
  };
  for (const step of steps) {
    const more = stepRequestBytes(step);
    const back = stepAnswerBytes(step);
    if (headerBytes + 8 + more > maxRequest || headerBytes + 8 + back > maxAnswer) {
      flush();
      frames.push({ steps: [step], alone: true });
      continue;
    }
    if (request + more > maxRequest || answer + back > maxAnswer) flush();
    part.push(step);
    request += more;
    answer += back;
  }
  flush();
  return frames;
}

function stoppedIn(steps: readonly MemoryStep[], answers: BatchAnswer): boolean {
  return steps.some((step, index) => step.op === 'compareExchange' && answers[index] !== step.expected);
}

function sameMember(a: MemberBinding, b: MemberBinding): boolean {
  return a.slot === b.slot && a.incarnation === b.incarnation && a.offset === b.offset;
}
