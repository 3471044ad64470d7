import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { BatchAnswer, MemberBinding, MemoryStep, Wait } from '@exomem/core';
import { ExomemError, isExomemError } from '@exomem/core';
import { type Address, formatAddress } from '../address.js';
import { limits, op, opNames } from '../wire/format.js';
import { encodeHello, type Hello, type Welcome } from '../wire/hello.js';
import { Chunks, Outbox } from '../wire/outbox.js';
import { errorOf } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';
import { AnswerFeed, type AnswerListener } from './answer-feed.js';
import { encode } from './encode.js';
import { connectionFailure } from './failure.js';
import { Request, RequestQueue } from './request.js';
import { Silence } from './silence.js';

/** How long a connection waits. Milliseconds. */
export interface Patience {
  /** From the start to a whole WELCOME. */
  readonly connect: number;
  /** Without a byte from the appliance while it owes an answer. */
  readonly silence: number;
}

/** Payloads of a WRITE from this length on are handed to the kernel where they lie; shorter ones are copied. Bytes. */
const referenceBytes = 8192;

/** The frames of all connections of this thread are gathered in the same buffer. */
let chunks: Chunks | undefined;
/** And received in one: the bytes are used up before the call that brings them returns. Not so where reads complete later. */
let shared: Buffer | undefined;
const receiveBytes = 262_144;

function receiveBuffer(): Buffer {
  if (process.platform === 'win32') return Buffer.allocUnsafeSlow(65_536);
  shared ??= Buffer.allocUnsafeSlow(receiveBytes);
  return shared;
}

/** One epoch of a lane, from the client's side: a socket, what was asked over it, and who waits for which answer. */
export class ClientConnection {
  readonly where: string;
  /** Set once it is open. */
  welcome!: Welcome;
  /** Why every step but a BIND is refused, while it is: the appliance answered `Fenced`, here or in an earlier epoch. */
  fence: string | undefined;
  /** Why it is over; undefined while it is open. */
  lost: ExomemError | undefined;
  readonly #address: Address;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #queue = new RequestQueue();
  readonly #answers: AnswerFeed;
  readonly #view: DataView;
  readonly #flush = (): void => this.#send();
  #scheduled = false;
  #silence: Silence | undefined;
  #opening: { resolve: () => void; reject: (error: ExomemError) => void } | undefined;

  /**
   * Connects and says HELLO. Where the appliance refuses, the connection is over and `welcome` says why.
   * @throws `Disconnected`, `ProtocolError`, `Incompatible`, `Aborted`
   */
  static async open(
    address: Address,
    hello: Hello,
    where: string,
    patience: Patience,
    signal?: AbortSignal,
  ): Promise<ClientConnection> {
    const greeting = encodeHello(hello);
    const connection = new ClientConnection(address, where, greeting);
    const timer = setTimeout(() => {
      connection.end(
        new ExomemError('Disconnected', `no answer from ${formatAddress(address)} within ${patience.connect} ms`, {
          where,
        }),
      );
    }, patience.connect);
    const onAbort = (): void =>
      connection.end(new ExomemError('Aborted', 'aborted while connecting', { where, cause: signal?.reason }));
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await new Promise<void>((resolve, reject) => {
        connection.#opening = { resolve, reject };
        if (signal?.aborted) onAbort();
        else if (connection.lost !== undefined) reject(connection.lost);
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
    if (connection.lost === undefined) connection.#silence = connection.#watch(patience.silence);
    return connection;
  }

  private constructor(address: Address, where: string, greeting: Uint8Array) {
    this.where = where;
    this.#address = address;
    const buffer = receiveBuffer();
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    const onread = { buffer, callback: (length: number, bytes: Uint8Array): boolean => this.#receive(bytes, length) };
    this.#socket =
      'path' in address
        ? connect({ path: address.path, onread })
        : connect({
            host: address.host,
            port: address.port,
            onread,
            noDelay: true,
            keepAlive: true,
            keepAliveInitialDelay: 15_000,
          });
    chunks ??= new Chunks({ queued: 1_048_576, queuedTotal: 33_554_432, frugal: limits.batchBytes });
    this.#outbox = new Outbox(this.#socket, chunks);
    this.#answers = new AnswerFeed(this.#queue, this.#listener(), where);
    this.#socket.on('connect', () => this.#socket.write(greeting));
    this.#socket.on('drain', () => {
      this.#outbox.drained();
      this.#send();
    });
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.end(this.#failure(error)));
    this.#socket.on('end', () => this.end(this.#failure()));
    this.#socket.on('close', () => this.end(this.#failure()));
  }

  get open(): boolean {
    return this.lost === undefined;
  }

  load(offset: number): Promise<bigint> {
    return this.#ask<bigint>(op.load, offset, 0n, 0n, undefined, undefined, false, undefined, undefined);
  }

  read(offset: number, target: Uint8Array, wait: Wait): Promise<void> {
    return this.#ask<void>(op.read, offset, 0n, 0n, target, undefined, false, undefined, wait);
  }

  write(offset: number, source: Uint8Array): Promise<void> {
    return this.#ask<void>(op.write, offset, 0n, 0n, source, undefined, false, undefined, undefined);
  }

  compareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#ask<bigint>(
      op.compareExchange,
      offset,
      expected,
      desired,
      undefined,
      undefined,
      false,
      undefined,
      undefined,
    );
  }

  fetchAdd(offset: number, delta: bigint): Promise<bigint> {
    return this.#ask<bigint>(op.fetchAdd, offset, 0n, delta, undefined, undefined, false, undefined, undefined);
  }

  /** The steps must fit the terms of the WELCOME. */
  batch(steps: readonly MemoryStep[], stopOnFail: boolean, wait: Wait): Promise<BatchAnswer> {
    return this.#ask<BatchAnswer>(op.batch, 0, 0n, 0n, undefined, steps, stopOnFail, undefined, wait);
  }

  bind(member: MemberBinding): Promise<void> {
    return this.#ask<void>(op.bind, 0, 0n, 0n, undefined, undefined, false, member, undefined);
  }

  revoke(member: MemberBinding): Promise<void> {
    return this.#ask<void>(op.revoke, 0, 0n, 0n, undefined, undefined, false, member, undefined);
  }

  /** Ends it: what was sent and may have happened is `OutcomeUnknown`, everything else fails with `reason`. Idempotent. */
  end(reason: ExomemError): void {
    if (this.lost !== undefined) return;
    this.lost = reason;
    this.#answers.halt();
    this.#silence?.end();
    this.#socket.destroy();
    this.#outbox.drained();
    this.#opening?.reject(reason);
    const queue = this.#queue;
    while (queue.answered < queue.made) {
      const sent = queue.inFlight;
      const request = queue.shift();
      if (sent && request.changes) {
        const what = `${opNames[request.op]} was under way when the connection ended: ${reason.message}`;
        request.reject(new ExomemError('OutcomeUnknown', what, { where: this.where, cause: reason }));
      } else request.reject(this.refusal());
    }
  }

  /** What a step that was not even tried fails with. */
  refusal(): ExomemError {
    const { code, message, advice } = this.lost!;
    return new ExomemError(code, message, { where: this.where, advice, cause: this.lost });
  }

  #ask<T>(
    operation: number,
    offset: number,
    expected: bigint,
    desired: bigint,
    bytes: Uint8Array | undefined,
    steps: readonly MemoryStep[] | undefined,
    stopOnFail: boolean,
    member: MemberBinding | undefined,
    wait: Wait | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.lost !== undefined) {
        reject(this.refusal());
        return;
      }
      if (this.fence !== undefined && operation !== op.bind && operation !== op.ping) {
        reject(new ExomemError('Fenced', this.fence, { where: this.where }));
        return;
      }
      this.#queue.push(
        new Request(
          operation,
          offset,
          expected,
          desired,
          bytes,
          steps,
          stopOnFail,
          member,
          wait,
          resolve as (value: unknown) => void,
          reject,
        ),
      );
      if (this.#scheduled) return;
      // What else is asked for in this tick travels in the same write.
      this.#scheduled = true;
      process.nextTick(this.#flush);
    });
  }

  // ---- sending

  /** Sends what was asked for, as far as the socket's queue is within its bounds; `drain` goes on. */
  #send(): void {
    this.#scheduled = false;
    const queue = this.#queue;
    if (this.lost !== undefined || queue.next === undefined) return;
    if (!queue.inFlight) this.#silence?.begin();
    const outbox = this.#outbox;
    const socket = this.#socket;
    let request = queue.next;
    while (request !== undefined && !outbox.blocked) {
      const length = encode(request, queue.sent >>> 0, outbox);
      if (frameChannel.hasSubscribers) traceFrame('client', 'out', request.op, queue.sent >>> 0, length, 0, this.where);
      queue.sent += 1;
      if (request.op === op.write) {
        const { bytes } = request;
        if (bytes!.byteLength < referenceBytes) outbox.put(bytes!);
        else {
          socket.cork();
          outbox.flush();
          socket.write(bytes!);
          socket.uncork();
        }
      }
      request = queue.next;
    }
    outbox.flush();
  }

  // ---- receiving

  #receive(bytes: Uint8Array, length: number): boolean {
    if (this.#silence !== undefined) this.#silence.heard = true;
    try {
      this.#answers.consume(bytes, this.#view, 0, length);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      this.end(new ExomemError(error.code, error.message, { where: this.where, advice: error.advice }));
    }
    return true;
  }

  #listener(): AnswerListener {
    return {
      welcomed: (welcome) => {
        this.welcome = welcome;
        const opening = this.#opening;
        this.#opening = undefined;
        opening?.resolve();
        if (welcome.status !== 0) this.end(errorOf(welcome.status, welcome.text, this.where));
      },
      fenced: (why) => {
        this.fence = why;
      },
      dismissed: (reason) => {
        if (reason.code === 'Fenced') this.end(reason);
        else {
          const what = `the appliance closed the connection: ${reason.message}`;
          this.end(new ExomemError('Disconnected', what, { where: this.where, cause: reason }));
        }
      },
    };
  }

  #watch(silence: number): Silence {
    const queue = this.#queue;
    return new Silence(silence, this.welcome.idle, {
      get inFlight() {
        return queue.inFlight;
      },
      lost: () => {
        const what = `not a byte from ${formatAddress(this.#address)} for ${silence} ms`;
        this.end(new ExomemError('Disconnected', what, { where: this.where }));
      },
      ping: () => {
        this.#ask<void>(op.ping, 0, 0n, 0n, undefined, undefined, false, undefined, undefined).catch(() => undefined);
      },
    });
  }

  #failure(error?: NodeJS.ErrnoException): ExomemError {
    return connectionFailure(this.#address, this.welcome === undefined, this.where, error);
  }
}
