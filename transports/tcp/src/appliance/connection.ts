import type { Socket } from 'node:net';
import type { ErrorCode, RegionMemory } from '@exomem/core';
import { ExomemError, isExomemError } from '@exomem/core';
import { Feed } from '../wire/feed.js';
import {
  limits as frameLimits,
  headerBytes,
  offeredFeatures,
  op,
  opNames,
  protocolVersion,
  readNumber,
  stopOnFailFlag,
} from '../wire/format.js';
import { decodeHello, encodeWelcome, type Hello, helloBytes, helloName, type Welcome } from '../wire/hello.js';
import { type Chunks, Outbox } from '../wire/outbox.js';
import { statusOf, statusOk } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';
import { Answers } from './answers.js';
import { checkBatch, runBatch } from './batch.js';
import { checkRange, checkWord } from './bounds.js';
import { IncomingWrite } from './incoming-write.js';
import { OutgoingRead } from './outgoing-read.js';
import { checkMember, type ExposedRegion, type Lane } from './region.js';

/** What a connection needs of the appliance that it belongs to. */
export interface Host {
  readonly chunks: Chunks;
  readonly instance: Uint8Array;
  readonly idle: number;
  readonly turn: number;
  region(name: string): ExposedRegion | undefined;
  regionNames(): string;
  /** A part of a frame of `length` bytes is held for a connection. */
  hold(connection: ApplianceConnection, length: number): void;
  release(connection: ApplianceConnection, length: number): void;
  admitted(connection: ApplianceConnection): void;
  bound(connection: ApplianceConnection): void;
  revoked(region: ExposedRegion, slot: number, incarnation: number): void;
  ended(connection: ApplianceConnection, reason: string): void;
}

/** What the next piece of the stream is. */
const stage = { hello: 0, name: 1, header: 2, operands: 3 } as const;
type Stage = (typeof stage)[keyof typeof stage];

/** Bytes of operands behind the header, of operations that have a fixed number. */
const operandBytes: readonly number[] = [0, 8, 16, 8, 24, 16, 8, 16, 16, 0];
const emptyBytes: Uint8Array = new Uint8Array(0);
const emptyView: DataView = new DataView(new ArrayBuffer(0));

/**
 * One connection as the appliance sees it: an epoch of a lane. A step takes effect when it is taken out of the stream,
 * in order; nothing is applied ahead, so whatever fences the connection fences all that was received but not reached.
 */
export class ApplianceConnection extends Feed implements Lane {
  readonly peer: string;
  readonly since = performance.now();
  /** A byte came since the appliance last looked. */
  heard = true;
  /** Looks of the appliance without a byte. */
  quiet = 0;
  binding: { readonly slot: number; readonly incarnation: number } | undefined;
  region: ExposedRegion | undefined;
  readonly #host: Host;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #answers: Answers;
  #memory!: RegionMemory;
  #size = 0;
  #lane = '';
  #epoch = 0;
  #stage: Stage = stage.hello;
  #greeting = emptyBytes;
  /** Why every step is refused, while it is. */
  #fence: string | undefined;
  /** It was told why it ends, or lost its socket: nothing is read or applied any more. */
  #over = false;
  #reason = 'the peer left';
  // The request that is being read.
  #flags = 0;
  #length = 0;
  readonly #write = new IncomingWrite();
  readonly #read = new OutgoingRead();
  // What is left of the chunk that the turn or a full outbox stopped in.
  #rest = emptyBytes;
  #restView = emptyView;
  #restAt = 0;
  #waiting = false;

  constructor(host: Host, socket: Socket, peer: string) {
    super(helloBytes);
    this.#host = host;
    this.#socket = socket;
    this.peer = peer;
    this.#outbox = new Outbox(socket, host.chunks);
    this.#answers = new Answers(this.#outbox, peer);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#drained());
    // The close that follows says it.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#over) this.#reason = error.code ?? error.message;
    });
    socket.on('close', () => this.#closed());
  }

  get epoch(): number {
    return this.#epoch;
  }

  get admitted(): boolean {
    return this.region !== undefined;
  }

  /** Tells the peer why, and ends. */
  refuse(code: ErrorCode, what: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = what;
    this.halted = true;
    this.#rest = emptyBytes;
    this.drop();
    if (this.region !== undefined) this.region.leave(this.#lane, this);
    if (this.#socket.destroyed) return;
    if (this.#stage === stage.hello || this.#stage === stage.name)
      this.#socket.write(encodeWelcome(this.#welcome(statusOf(code), what)));
    else if (this.#read.left === 0) {
      this.#answers.goodbye(code, what);
      this.#outbox.flush();
    }
    // Whoever does not take the reason within a second does without it.
    this.#socket.end();
    this.#socket.resume();
    const socket = this.#socket;
    setTimeout(() => socket.destroy(), 1000).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  supersede(epoch: number): void {
    this.fence(`epoch ${epoch} of this lane has begun`);
    this.refuse('Fenced', `epoch ${epoch} of this lane has begun`);
  }

  fence(why: string): void {
    this.#fence ??= why;
  }

  protected override hold(length: number): void {
    this.#host.hold(this, length);
  }

  protected override release(length: number): void {
    this.#host.release(this, length);
  }

  // ---- the stream

  #receive(chunk: Buffer): void {
    if (this.#over) return;
    this.heard = true;
    this.#answers.done = 0;
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#restAt < this.#rest.byteLength || this.#waiting) {
      // A socket may hand over one more chunk after it was paused.
      const both = Buffer.concat([this.#rest.subarray(this.#restAt), chunk]);
      this.#keep(both, new DataView(both.buffer, both.byteOffset, both.byteLength), 0);
      return;
    }
    this.#work(chunk, view, 0);
  }

  /** Takes requests out of the chunk until it is used up, or this connection has to wait. */
  #work(chunk: Uint8Array, view: DataView, at: number): void {
    try {
      at = this.consume(chunk, view, at, chunk.byteLength);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      this.refuse(error.code, error.message);
    }
    if (this.#over) return;
    this.#outbox.flush();
    if (this.halted) this.#keep(chunk, view, at);
    else this.#keep(emptyBytes, emptyView, 0);
  }

  #keep(chunk: Uint8Array, view: DataView, at: number): void {
    this.#rest = chunk;
    this.#restView = view;
    this.#restAt = at;
    if (this.halted) {
      this.#socket.pause();
      if (this.#waiting) return;
      this.#waiting = true;
      // A blocked outbox waits for the socket to drain, a connection whose turn is over only for the others.
      if (!this.#blocked) setImmediate(() => this.#resume());
    } else if (this.#socket.isPaused()) this.#socket.resume();
  }

  get #blocked(): boolean {
    return this.#outbox.blocked && this.#socket.writableNeedDrain;
  }

  #drained(): void {
    this.#outbox.drained();
    if (this.#waiting) this.#resume();
  }

  #resume(): void {
    if (this.#over || !this.#waiting) return;
    this.#waiting = false;
    this.halted = false;
    this.#answers.done = 0;
    if (this.#read.left > 0) this.#pump();
    this.#work(this.#rest, this.#restView, this.#restAt);
  }

  protected override piece(bytes: Uint8Array, view: DataView, at: number): void {
    if (this.#stage === stage.header) this.#header(view, at);
    else if (this.#stage === stage.operands) {
      this.#stage = stage.header;
      const need = this.need;
      this.need = headerBytes;
      this.#execute(bytes, view, at, need);
      this.#answered();
    } else if (this.#stage === stage.hello) {
      const name = helloName(bytes, view, at);
      this.#greeting = new Uint8Array(helloBytes + name);
      this.#greeting.set(bytes.subarray(at, at + helloBytes));
      this.#stage = stage.name;
      this.need = name;
    } else {
      this.#greeting.set(bytes.subarray(at, at + this.need), helloBytes);
      this.#hello(decodeHello(this.#greeting, new DataView(this.#greeting.buffer), 0));
    }
  }

  #header(view: DataView, at: number): void {
    const length = view.getUint32(at, true);
    const operation = view.getUint8(at + 4);
    const id = view.getUint32(at + 8, true);
    this.#answers.op = operation;
    this.#answers.id = id;
    this.#flags = view.getUint8(at + 5);
    this.#length = length;
    if (operation === 0 || operation >= operandBytes.length) {
      throw new ExomemError('ProtocolError', `there is no operation ${operation}`);
    }
    if (view.getUint16(at + 6, true) !== 0 || this.#flags > (operation === op.batch ? stopOnFailFlag : 0)) {
      throw new ExomemError('ProtocolError', 'a header with bits set that have no meaning');
    }
    if (frameChannel.hasSubscribers) traceFrame('appliance', 'in', operation, id, length, 0, this.peer);
    const fixed = headerBytes + operandBytes[operation]!;
    const sound =
      operation === op.write
        ? length >= fixed && length <= fixed + frameLimits.transfer
        : operation === op.batch
          ? length >= fixed && length <= frameLimits.batchBytes
          : length === fixed;
    if (!sound) throw new ExomemError('ProtocolError', `a ${opNames[operation]} of ${length} bytes`);
    if (operation === op.ping) {
      this.#answers.ok();
      this.#answered();
    } else {
      this.#stage = stage.operands;
      this.need = operation === op.batch ? length - headerBytes : operandBytes[operation]!;
    }
  }

  /** After each answer: this connection may have had its turn, or more to send than the peer takes. */
  #answered(): void {
    if (this.#answers.done >= this.#host.turn || this.#outbox.blocked) this.halted = true;
  }

  // ---- the operations

  #execute(bytes: Uint8Array, view: DataView, at: number, length: number): void {
    const answers = this.#answers;
    const operation = answers.op;
    if (this.#fence !== undefined && operation !== op.write) {
      answers.error('Fenced', this.#fence);
      return;
    }
    switch (operation) {
      case op.batch:
        this.#batch(bytes, view, at, at + length);
        return;
      case op.load:
      case op.compareExchange:
      case op.fetchAdd: {
        const memory = this.#memory;
        const offset = readNumber(view, at);
        const wrong = checkWord(offset, this.#size);
        if (wrong !== undefined) answers.wrong(wrong);
        else if (operation === op.load) answers.word(memory.load(offset));
        else {
          const first = view.getBigUint64(at + 8, true);
          if (operation === op.fetchAdd) answers.word(memory.fetchAdd(offset, first));
          else answers.word(memory.compareExchange(offset, first, view.getBigUint64(at + 16, true)));
        }
        return;
      }
      case op.read:
        this.#beginRead(readNumber(view, at), readNumber(view, at + 8));
        return;
      case op.write:
        this.bulkLeft = this.#length - headerBytes - 8;
        this.#write.begin(readNumber(view, at), this.bulkLeft, this.#size);
        if (this.bulkLeft === 0) this.#wrote();
        return;
      case op.bind:
        this.#bind(view.getUint32(at, true), view.getUint32(at + 4, true), readNumber(view, at + 8));
        return;
      case op.revoke:
        this.#revoke(view.getUint32(at, true), view.getUint32(at + 4, true));
        return;
    }
  }

  #batch(bytes: Uint8Array, view: DataView, at: number, end: number): void {
    const count = view.getUint32(at, true);
    if (count > frameLimits.batch) throw new ExomemError('ProtocolError', `a batch of ${count} steps`);
    let length: number;
    try {
      length = headerBytes + 8 + checkBatch(view, at + 8, end, count, this.#size);
    } catch (error) {
      if (!isExomemError(error) || error.code === 'ProtocolError') throw error;
      this.#answers.wrong(error);
      return;
    }
    if (length > frameLimits.batchAnswer) {
      const what = `the answer to a batch would have ${length} bytes, over ${frameLimits.batchAnswer}`;
      this.#answers.error('InvalidArgument', what);
      return;
    }
    const outbox = this.#outbox;
    const start = outbox.reserve(length);
    const to = start + headerBytes + 8;
    const stop = (this.#flags & stopOnFailFlag) !== 0;
    const ended = runBatch(bytes, view, at + 8, count, stop, this.#memory, outbox.bytes, outbox.view, to);
    outbox.shrinkTo(ended.end);
    this.#answers.batch(start, ended.end, ended.ran);
    this.#answers.done += count;
  }

  #beginRead(offset: number, length: number): void {
    const wrong = checkRange(offset, length, this.#size);
    if (wrong !== undefined) {
      this.#answers.wrong(wrong);
      return;
    }
    if (length > frameLimits.transfer) {
      this.#answers.error('InvalidArgument', `a READ of ${length} bytes, over ${frameLimits.transfer}`);
      return;
    }
    // A large one gets a buffer in which its bytes have the phase of the region's words: they are copied once.
    if (length >= 4096) this.#outbox.restart(offset & 7);
    this.#answers.begin(headerBytes + length);
    this.#read.begin(offset, length);
    this.#pump();
  }

  /** Sends on of a READ what the socket takes; halts the stream if something is left. */
  #pump(): void {
    if (this.#fence !== undefined) {
      // The answer has begun as a success: there is no other way left to say it.
      this.#reason = this.#fence;
      this.#socket.destroy();
      this.halted = true;
    } else if (!this.#read.pump(this.#memory, this.#outbox)) this.halted = true;
  }

  protected override bulk(bytes: Uint8Array, from: number, to: number): void {
    const last = this.bulkLeft === 0;
    // Each part is judged when it is applied.
    if (this.#write.wrong === undefined && this.#fence === undefined)
      this.#write.put(this.#memory, bytes, from, to, last);
    if (!last) return;
    this.#wrote();
    this.#answered();
  }

  #wrote(): void {
    if (this.#fence !== undefined) this.#answers.error('Fenced', this.#fence);
    else if (this.#write.wrong !== undefined) this.#answers.wrong(this.#write.wrong);
    else this.#answers.ok();
  }

  #bind(slot: number, incarnation: number, offset: number): void {
    const wrong = checkWord(offset, this.#size) ?? checkMember(slot, incarnation);
    if (wrong !== undefined) {
      this.#answers.wrong(wrong);
      return;
    }
    const refusal =
      this.binding === undefined
        ? this.region!.refusal(slot, incarnation, offset)
        : 'this epoch of the lane is bound already';
    if (refusal !== undefined) {
      this.fence(refusal);
      this.#answers.error('Fenced', refusal);
      return;
    }
    this.binding = { slot, incarnation };
    this.#host.bound(this);
    this.#answers.ok();
  }

  #revoke(slot: number, incarnation: number): void {
    const wrong = checkMember(slot, incarnation);
    if (wrong !== undefined) {
      this.#answers.wrong(wrong);
      return;
    }
    this.region!.revoke(slot, incarnation);
    this.#host.revoked(this.region!, slot, incarnation);
    this.#answers.ok();
  }

  // ---- beginning and end

  #hello(hello: Hello): void {
    const region = this.#host.region(hello.region);
    if (region === undefined) {
      this.refuse('NotFound', `there is no region "${hello.region}" here; there is ${this.#host.regionNames()}`);
      return;
    }
    const lane = `${Buffer.from(hello.clientId).toString('hex')}/${hello.lane}`;
    const open = region.epochOf(lane);
    if (hello.epoch <= open) {
      this.#epoch = open;
      this.refuse('Fenced', `epoch ${hello.epoch} of the lane is over: epoch ${open} has begun`);
      return;
    }
    this.#epoch = hello.epoch;
    this.#lane = lane;
    this.region = region;
    this.#memory = region.memory;
    this.#size = region.memory.size;
    region.enter(lane, this);
    this.#host.admitted(this);
    this.#stage = stage.header;
    this.need = headerBytes;
    this.#greeting = emptyBytes;
    this.#socket.write(encodeWelcome({ ...this.#welcome(statusOk, ''), features: hello.features & offeredFeatures }));
  }

  #welcome(status: number, text: string): Welcome {
    return {
      version: protocolVersion,
      status,
      features: 0n,
      instance: this.#host.instance,
      epoch: this.#epoch,
      size: this.#size,
      maxTransfer: frameLimits.transfer,
      maxBatch: frameLimits.batch,
      maxBatchBytes: frameLimits.batchBytes,
      maxBatchAnswer: frameLimits.batchAnswer,
      idle: this.#host.idle,
      text,
    };
  }

  #closed(): void {
    this.#over = true;
    this.halted = true;
    this.#rest = emptyBytes;
    this.drop();
    this.#outbox.drained();
    this.region?.leave(this.#lane, this);
    this.#host.ended(this, this.#reason);
  }
}
