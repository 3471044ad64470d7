import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { BatchAnswer, MemberBinding, MemoryStep, Wait } from '@exomem/core';
import { ExomemError, isExomemError, notRun } from '@exomem/core';
import { type Address, formatAddress } from '../address.js';
import { Feed } from '../wire/feed.js';
import { headerBytes, limits, offeredFeatures, op, opNames, padded } from '../wire/format.js';
import { decodeWelcome, encodeHello, type Hello, type Welcome, welcomeBytes, welcomeText } from '../wire/hello.js';
import { Chunks, Outbox } from '../wire/outbox.js';
import { errorOf, statusOk } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';
import { encode } from './encode.js';
import { Request, RequestQueue } from './request.js';

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

/** What the next piece of the stream is. */
const stage = { welcome: 0, text: 1, header: 2, word: 3, batch: 4, batchWord: 5, padding: 6, error: 7 } as const;
type Stage = (typeof stage)[keyof typeof stage];

const nothing = new Uint8Array(0);

/** One epoch of a lane, from the client's side: a socket, what was asked over it, and who waits for which answer. */
export class ClientConnection extends Feed {
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
  readonly #view: DataView;
  readonly #flush = (): void => this.#send();
  #scheduled = false;
  #heard = true;
  #quiet = 0;
  #timer: NodeJS.Timeout | undefined;
  #opening: { resolve: () => void; reject: (error: ExomemError) => void } | undefined;
  // The answer that is being read.
  #stage: Stage = stage.welcome;
  #greeting = nothing;
  #status = 0;
  #isGoodbye = false;
  #length = 0;
  #target: Uint8Array | undefined;
  #filled = 0;
  #answers: BatchAnswer = [];
  #ran = 0;
  #step = 0;
  #consumed = 0;

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
    if (connection.lost === undefined) connection.#watch(patience.silence);
    return connection;
  }

  private constructor(address: Address, where: string, greeting: Uint8Array) {
    super(welcomeBytes);
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
    this.halted = true;
    clearInterval(this.#timer);
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
    if (!queue.inFlight) {
      this.#heard = true;
      this.#quiet = 0;
    }
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
    this.#heard = true;
    try {
      this.consume(bytes, this.#view, 0, length);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      this.end(new ExomemError(error.code, error.message, { where: this.where, advice: error.advice }));
    }
    return true;
  }

  protected override piece(bytes: Uint8Array, view: DataView, at: number): void {
    switch (this.#stage) {
      case stage.header:
        this.#header(view, at);
        return;
      case stage.word:
        this.#answered(view.getBigUint64(at, true));
        return;
      case stage.batch:
        this.#ran = view.getUint32(at, true);
        if (this.#ran > this.#queue.first!.steps!.length) throw this.#nonsense('more steps were run than asked for');
        this.#step = 0;
        this.#consumed = headerBytes + 8;
        this.#answers = [];
        this.#nextResult();
        return;
      case stage.batchWord:
        this.#answers.push(view.getBigUint64(at, true));
        this.#step += 1;
        this.#consumed += 8;
        this.#nextResult();
        return;
      case stage.padding:
        this.#nextResult();
        return;
      case stage.error:
        this.#failed(new TextDecoder().decode(bytes.slice(at, at + this.need)));
        return;
      case stage.welcome: {
        const text = welcomeText(bytes, view, at);
        this.#greeting = new Uint8Array(welcomeBytes + text);
        this.#greeting.set(bytes.subarray(at, at + welcomeBytes));
        this.#stage = stage.text;
        this.need = text;
        if (text === 0) this.#welcomed();
        return;
      }
      case stage.text:
        this.#greeting.set(bytes.subarray(at, at + this.need), welcomeBytes);
        this.#welcomed();
        return;
    }
  }

  #header(view: DataView, at: number): void {
    const length = view.getUint32(at, true);
    const operation = view.getUint8(at + 4);
    const id = view.getUint32(at + 8, true);
    this.#status = view.getUint8(at + 5);
    this.#length = length;
    if (frameChannel.hasSubscribers) traceFrame('client', 'in', operation, id, length, this.#status, this.where);
    const request = this.#queue.first;
    this.#isGoodbye = operation === op.goodbye;
    if (!this.#isGoodbye) {
      if (request === undefined || id !== this.#queue.answered >>> 0 || operation !== request.op) {
        throw this.#nonsense(`an answer to ${opNames[operation] ?? operation} ${id}, which is not what comes next`);
      }
      if (this.#status === statusOk) {
        this.#body(request, length);
        return;
      }
    }
    const text = length - headerBytes;
    if (text < 0 || text > limits.text) throw this.#nonsense(`an error with a text of ${text} bytes`);
    this.#stage = stage.error;
    this.need = text;
    if (text === 0) this.#failed('no reason was given');
  }

  #body(request: Request, length: number): void {
    switch (request.op) {
      case op.load:
      case op.compareExchange:
      case op.fetchAdd:
        if (length !== headerBytes + 8) throw this.#nonsense(`a word of ${length - headerBytes} bytes`);
        this.#stage = stage.word;
        this.need = 8;
        return;
      case op.read:
        if (length !== headerBytes + request.bytes!.byteLength)
          throw this.#nonsense(`${length - headerBytes} bytes for a READ of another length`);
        this.#fill(request.bytes!);
        return;
      case op.batch:
        if (length < headerBytes + 8 || length > this.welcome.maxBatchAnswer)
          throw this.#nonsense(`an answer of ${length} bytes to a batch`);
        this.#stage = stage.batch;
        this.need = 8;
        return;
      default:
        if (length !== headerBytes) throw this.#nonsense(`${length - headerBytes} bytes where none were asked for`);
        this.#answered(undefined);
    }
  }

  #fill(target: Uint8Array): void {
    this.#target = target;
    this.#filled = 0;
    this.bulkLeft = target.byteLength;
  }

  protected override bulk(bytes: Uint8Array, from: number, to: number): void {
    // Nobody waits any more: the target is the caller's again.
    if (this.#queue.first!.wait?.abandoned !== true) this.#target!.set(bytes.subarray(from, to), this.#filled);
    this.#filled += to - from;
    if (this.bulkLeft > 0) return;
    const length = this.#target!.byteLength;
    this.#target = undefined;
    if (this.#queue.first!.op === op.read) this.#answered(undefined);
    else this.#took(length);
  }

  /** Goes to the next result of a batch that takes bytes. */
  #nextResult(): void {
    const { steps } = this.#queue.first!;
    while (this.#step < this.#ran) {
      const step = steps![this.#step]!;
      if (!('bytes' in step)) {
        this.#stage = stage.batchWord;
        this.need = 8;
        return;
      }
      if (step.op === 'read' && step.bytes.byteLength > 0) {
        this.#fill(step.bytes);
        return;
      }
      this.#answers.push(undefined);
      this.#step += 1;
    }
    if (this.#consumed !== this.#length)
      throw this.#nonsense('an answer to a batch of another length than its results');
    while (this.#answers.length < steps!.length) this.#answers.push(notRun);
    const answers = this.#answers;
    this.#answers = [];
    this.#answered(answers);
  }

  /** A READ inside a batch is filled. */
  #took(length: number): void {
    this.#answers.push(undefined);
    this.#step += 1;
    this.#consumed += padded(length);
    const padding = padded(length) - length;
    if (padding === 0) this.#nextResult();
    else {
      this.#stage = stage.padding;
      this.need = padding;
    }
  }

  #answered(value: unknown): void {
    this.#stage = stage.header;
    this.need = headerBytes;
    this.#queue.shift().resolve(value);
  }

  #failed(text: string): void {
    const error = errorOf(this.#status, text, this.where);
    this.#stage = stage.header;
    this.need = headerBytes;
    if (error.code === 'Fenced') this.fence = text;
    // A goodbye answers nothing: it says why the connection ends.
    if (this.#isGoodbye)
      this.end(
        error.code === 'Fenced'
          ? error
          : new ExomemError('Disconnected', `the appliance closed the connection: ${text}`, {
              where: this.where,
              cause: error,
            }),
      );
    else this.#queue.shift().reject(error);
  }

  #welcomed(): void {
    const greeting = this.#greeting;
    this.#greeting = nothing;
    this.welcome = decodeWelcome(greeting, new DataView(greeting.buffer), 0);
    if ((this.welcome.features & ~offeredFeatures) !== 0n) throw this.#nonsense('features that were not offered');
    this.#stage = stage.header;
    this.need = headerBytes;
    const opening = this.#opening;
    this.#opening = undefined;
    opening?.resolve();
    if (this.welcome.status !== 0) this.end(errorOf(this.welcome.status, this.welcome.text, this.where));
  }

  // ---- life

  /** One coarse timer: answers owed and not a byte for `silence` is a lost connection; idle for that long is a PING. */
  #watch(silence: number): void {
    const idle = this.welcome.idle || Number.POSITIVE_INFINITY;
    const period = Math.max(1, Math.min(silence / 8, idle / 8));
    // The first look that finds nothing may come right after the last byte.
    const silentLooks = Math.max(1, Math.floor(silence / period) - 1);
    const idleLooks = Math.max(1, Math.floor(Math.min(silence, idle / 2) / period));
    let idleFor = 0;
    this.#timer = setInterval(() => {
      const heard = this.#heard;
      this.#heard = false;
      if (heard) this.#quiet = 0;
      if (this.#queue.inFlight) {
        idleFor = 0;
        if (heard) return;
        // Looks are counted and not time: a stall of this process is no silence of the other.
        this.#quiet += 1;
        if (this.#quiet >= silentLooks) {
          const what = `not a byte from ${formatAddress(this.#address)} for ${silence} ms`;
          this.end(new ExomemError('Disconnected', what, { where: this.where }));
        }
      } else if (++idleFor >= idleLooks) {
        idleFor = 0;
        this.#ask<void>(op.ping, 0, 0n, 0n, undefined, undefined, false, undefined, undefined).catch(() => undefined);
      }
    }, period);
    this.#timer.unref();
  }

  #nonsense(what: string): ExomemError {
    return new ExomemError('ProtocolError', `the appliance sent ${what}`, { where: this.where });
  }

  #failure(error?: NodeJS.ErrnoException): ExomemError {
    const place = formatAddress(this.#address);
    const opening = this.welcome === undefined;
    const known: Record<string, readonly [string, string]> = {
      ECONNREFUSED: [`nobody listens at ${place}`, 'start an appliance there, or check host and port'],
      ENOENT: [`there is no socket ${place}`, 'start an appliance there, or check the path'],
      ENOTFOUND: [`the host in ${place} is not known`, 'check its name'],
      EAI_AGAIN: [`the host in ${place} could not be looked up`, 'check its name and the name service'],
      EACCES: [`${place} may not be used`, 'check the rights of the socket'],
      EHOSTUNREACH: [`${place} cannot be reached`, 'check the network'],
      ENETUNREACH: [`${place} cannot be reached`, 'check the network'],
    };
    const [what, advice] = known[error?.code ?? ''] ?? [
      `${opening ? 'no connection to' : 'lost the connection to'} ${place}${error === undefined ? '' : `: ${error.code ?? error.message}`}`,
      undefined,
    ];
    return new ExomemError('Disconnected', what, { where: this.where, advice, cause: error });
  }
}
