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
  writeHeader,
} from '../wire/format.js';
import { decodeHello, encodeWelcome, type Hello, helloBytes, helloName, type Welcome } from '../wire/hello.js';
import { type Chunks, Outbox } from '../wire/outbox.js';
import { statusOf, statusOk } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';
import { checkBatch, runBatch } from './batch.js';
import { checkRange, checkWord } from './bounds.js';
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
  #op = 0;
  #flags = 0;
  #id = 0;
  #length = 0;
  // A WRITE under way: where its next byte goes, what is wrong with it, and the start of a word that is not whole yet.
  #writeAt = 0;
  #writeWrong: ExomemError | undefined;
  readonly #word = new Uint8Array(8);
  #wordLength = 0;
  // A READ under way.
  #readAt = 0;
  #readLeft = 0;
  // What is left of the chunk that the turn or a full outbox stopped in.
  #rest = emptyBytes;
  #restView = emptyView;
  #restAt = 0;
  #done = 0;
  #waiting = false;

  constructor(host: Host, socket: Socket, peer: string) {
    super(helloBytes);
    this.#host = host;
    this.#socket = socket;
    this.peer = peer;
    this.#outbox = new Outbox(socket, host.chunks);
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
    else if (this.#readLeft === 0) {
      this.#answerText(op.goodbye, statusOf(code), 0, what);
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
    this.#done = 0;
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
    this.#done = 0;
    if (this.#readLeft > 0) this.#pump();
    this.#work(this.#rest, this.#restView, this.#restAt);
  }

  protected override piece(bytes: Uint8Array, view: DataView, at: number): void {
    if (this.#stage === stage.header) this.#header(view, at);
    else if (this.#stage === stage.operands) {
      this.#stage = stage.header;
      const need = this.need;
      this.need = headerBytes;
      this.#execute(bytes, view, at, need);
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
    this.#op = operation;
    this.#flags = view.getUint8(at + 5);
    this.#id = view.getUint32(at + 8, true);
    this.#length = length;
    if (operation === 0 || operation >= operandBytes.length) {
      throw new ExomemError('ProtocolError', `there is no operation ${operation}`);
    }
    if (view.getUint16(at + 6, true) !== 0 || this.#flags > (operation === op.batch ? stopOnFailFlag : 0)) {
      throw new ExomemError('ProtocolError', 'a header with bits set that have no meaning');
    }
    if (frameChannel.hasSubscribers) traceFrame('appliance', 'in', operation, this.#id, length, 0, this.peer);
    const fixed = headerBytes + operandBytes[operation]!;
    const sound =
      operation === op.write
        ? length >= fixed && length <= fixed + frameLimits.transfer
        : operation === op.batch
          ? length >= fixed && length <= frameLimits.batchBytes
          : length === fixed;
    if (!sound) throw new ExomemError('ProtocolError', `a ${opNames[operation]} of ${length} bytes`);
    if (operation === op.ping) this.#answerOk();
    else {
      this.#stage = stage.operands;
      this.need = operation === op.batch ? length - headerBytes : operandBytes[operation]!;
    }
  }

  // ---- the operations

  #execute(bytes: Uint8Array, view: DataView, at: number, length: number): void {
    const operation = this.#op;
    if (this.#fence !== undefined && operation !== op.write) {
      this.#answerError('Fenced', this.#fence);
      return;
    }
    switch (operation) {
      case op.batch:
        this.#batch(bytes, view, at, at + length);
        return;
      case op.load:
      case op.compareExchange:
      case op.fetchAdd: {
        const offset = readNumber(view, at);
        const wrong = checkWord(offset, this.#size);
        if (wrong !== undefined) this.#answerWrong(wrong);
        else if (operation === op.load) this.#answerWord(this.#memory.load(offset));
        else if (operation === op.fetchAdd)
          this.#answerWord(this.#memory.fetchAdd(offset, view.getBigUint64(at + 8, true)));
        else
          this.#answerWord(
            this.#memory.compareExchange(offset, view.getBigUint64(at + 8, true), view.getBigUint64(at + 16, true)),
          );
        return;
      }
      case op.read:
        this.#read(readNumber(view, at), readNumber(view, at + 8));
        return;
      case op.write:
        this.#write(readNumber(view, at), this.#length - headerBytes - 8);
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
    let answer: number;
    try {
      answer = headerBytes + 8 + checkBatch(view, at + 8, end, count, this.#size);
    } catch (error) {
      if (!isExomemError(error) || error.code === 'ProtocolError') throw error;
      this.#answerWrong(error);
      return;
    }
    if (answer > frameLimits.batchAnswer) {
      this.#answerError(
        'InvalidArgument',
        `the answer to a batch would have ${answer} bytes, over ${frameLimits.batchAnswer}`,
      );
      return;
    }
    const outbox = this.#outbox;
    const start = outbox.reserve(answer);
    const stop = (this.#flags & stopOnFailFlag) !== 0;
    const { ran, end: to } = runBatch(
      bytes,
      view,
      at + 8,
      count,
      stop,
      this.#memory,
      outbox.bytes,
      outbox.view,
      start + headerBytes + 8,
    );
    outbox.shrinkTo(to);
    const out = outbox.view;
    writeHeader(out, start, to - start, op.batch, statusOk, this.#id);
    out.setUint32(start + headerBytes, ran, true);
    out.setUint32(start + headerBytes + 4, 0, true);
    this.#answered(to - start, statusOk);
    this.#done += count;
  }

  #read(offset: number, length: number): void {
    const wrong = checkRange(offset, length, this.#size);
    if (wrong !== undefined) {
      this.#answerWrong(wrong);
      return;
    }
    if (length > frameLimits.transfer) {
      this.#answerError('InvalidArgument', `a READ of ${length} bytes, over ${frameLimits.transfer}`);
      return;
    }
    const outbox = this.#outbox;
    // A large one gets a buffer in which its bytes have the phase of the region's words: they are copied once.
    if (length >= 4096) outbox.restart(offset & 7);
    const at = outbox.reserve(headerBytes);
    writeHeader(outbox.view, at, headerBytes + length, op.read, statusOk, this.#id);
    this.#answered(headerBytes + length, statusOk);
    this.#readAt = offset;
    this.#readLeft = length;
    this.#pump();
  }

  /** Sends on of a READ what the socket takes; halts the stream if something is left. */
  #pump(): void {
    const outbox = this.#outbox;
    while (this.#readLeft > 0) {
      if (outbox.blocked) {
        outbox.flush();
        this.halted = true;
        return;
      }
      if (this.#fence !== undefined) {
        // The answer has begun as a success: there is no other way left to say it.
        this.#reason = this.#fence;
        this.#socket.destroy();
        this.halted = true;
        return;
      }
      let length = Math.min(this.#readLeft, outbox.room);
      // A word is read as a whole: a piece ends where a word does.
      if (length < this.#readLeft) length -= (this.#readAt + length) & 7;
      if (length <= 0) {
        outbox.restart(this.#readAt & 7);
        continue;
      }
      const at = outbox.reserve(length);
      this.#memory.read(this.#readAt, outbox.bytes.subarray(at, at + length));
      this.#readAt += length;
      this.#readLeft -= length;
    }
  }

  #write(offset: number, length: number): void {
    this.#writeWrong = checkRange(offset, length, this.#size);
    this.#writeAt = offset;
    this.#wordLength = 0;
    this.bulkLeft = length;
    if (length === 0) this.#wrote();
  }

  protected override bulk(bytes: Uint8Array, from: number, to: number): void {
    // Each part is judged when it is applied.
    if (this.#writeWrong === undefined && this.#fence === undefined) this.#put(bytes, from, to);
    if (this.bulkLeft === 0) this.#wrote();
  }

  /** Writes a part; a word that is cut in two by the edge of a chunk waits for its other half. */
  #put(bytes: Uint8Array, from: number, to: number): void {
    const last = this.bulkLeft === 0;
    if (this.#wordLength > 0) {
      const length = Math.min(8 - ((this.#writeAt + this.#wordLength) & 7), to - from);
      this.#word.set(bytes.subarray(from, from + length), this.#wordLength);
      this.#wordLength += length;
      from += length;
      if (((this.#writeAt + this.#wordLength) & 7) !== 0 && !(last && from === to)) return;
      this.#memory.write(this.#writeAt, this.#word.subarray(0, this.#wordLength));
      this.#writeAt += this.#wordLength;
      this.#wordLength = 0;
    }
    const tail = last ? 0 : Math.min((this.#writeAt + to - from) & 7, to - from);
    const whole = to - tail;
    if (whole > from) this.#memory.write(this.#writeAt, bytes.subarray(from, whole));
    this.#writeAt += whole - from;
    if (tail > 0) this.#word.set(bytes.subarray(whole, to));
    this.#wordLength = tail;
  }

  #wrote(): void {
    if (this.#fence !== undefined) this.#answerError('Fenced', this.#fence);
    else if (this.#writeWrong !== undefined) this.#answerWrong(this.#writeWrong);
    else this.#answerOk();
  }

  #bind(slot: number, incarnation: number, offset: number): void {
    const wrong = checkWord(offset, this.#size) ?? checkMember(slot, incarnation);
    if (wrong !== undefined) {
      this.#answerWrong(wrong);
      return;
    }
    const refusal =
      this.binding === undefined
        ? this.region!.refusal(slot, incarnation, offset)
        : 'this epoch of the lane is bound already';
    if (refusal !== undefined) {
      this.fence(refusal);
      this.#answerError('Fenced', refusal);
      return;
    }
    this.binding = { slot, incarnation };
    this.#host.bound(this);
    this.#answerOk();
  }

  #revoke(slot: number, incarnation: number): void {
    const wrong = checkMember(slot, incarnation);
    if (wrong !== undefined) {
      this.#answerWrong(wrong);
      return;
    }
    this.region!.revoke(slot, incarnation);
    this.#host.revoked(this.region!, slot, incarnation);
    this.#answerOk();
  }

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

  // ---- answers

  #answerWord(value: bigint): void {
    const outbox = this.#outbox;
    const at = outbox.reserve(headerBytes + 8);
    writeHeader(outbox.view, at, headerBytes + 8, this.#op, statusOk, this.#id);
    outbox.view.setBigUint64(at + headerBytes, value, true);
    this.#answered(headerBytes + 8, statusOk);
  }

  #answerOk(): void {
    const at = this.#outbox.reserve(headerBytes);
    writeHeader(this.#outbox.view, at, headerBytes, this.#op, statusOk, this.#id);
    this.#answered(headerBytes, statusOk);
  }

  #answerWrong(error: ExomemError): void {
    this.#answerError(error.code, error.message);
  }

  #answerError(code: ErrorCode, what: string): void {
    const status = statusOf(code);
    this.#answered(this.#answerText(this.#op, status, this.#id, what), status);
  }

  #answerText(operation: number, status: number, id: number, what: string): number {
    const text = Buffer.from(what).subarray(0, frameLimits.text);
    const length = headerBytes + text.byteLength;
    const at = this.#outbox.reserve(length);
    writeHeader(this.#outbox.view, at, length, operation, status, id);
    this.#outbox.bytes.set(text, at + headerBytes);
    return length;
  }

  #answered(length: number, status: number): void {
    if (frameChannel.hasSubscribers) traceFrame('appliance', 'out', this.#op, this.#id, length, status, this.peer);
    this.#done += 1;
    if (this.#done >= this.#host.turn || this.#outbox.blocked) this.halted = true;
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
