import type { ErrorCode, ExomemError } from '@exomem/core';
import { headerBytes, limits, op, writeHeader } from '../wire/format.js';
import type { Outbox } from '../wire/outbox.js';
import { statusOf, statusOk } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';

/** Puts the answers to the requests of one connection into its outbox. */
export class Answers {
  /** The request that is answered next. */
  op = 0;
  id = 0;
  /** Operations that were answered; whoever counts turns sets it back. */
  done = 0;
  readonly #outbox: Outbox;
  readonly #peer: string;

  constructor(outbox: Outbox, peer: string) {
    this.#outbox = outbox;
    this.#peer = peer;
  }

  ok(): void {
    this.begin(headerBytes);
  }

  word(value: bigint): void {
    const outbox = this.#outbox;
    const at = outbox.reserve(headerBytes + 8);
    writeHeader(outbox.view, at, headerBytes + 8, this.op, statusOk, this.id);
    outbox.view.setBigUint64(at + headerBytes, value, true);
    this.#answered(headerBytes + 8, statusOk);
  }

  /** The header of a success whose body, up to a length of `length` bytes in all, the caller adds. */
  begin(length: number): void {
    const at = this.#outbox.reserve(headerBytes);
    writeHeader(this.#outbox.view, at, length, this.op, statusOk, this.id);
    this.#answered(length, statusOk);
  }

  /** A batch that ran, whose results the caller has put behind the header at `start`, up to `end`. */
  batch(start: number, end: number, ran: number): void {
    const { view } = this.#outbox;
    writeHeader(view, start, end - start, op.batch, statusOk, this.id);
    view.setUint32(start + headerBytes, ran, true);
    view.setUint32(start + headerBytes + 4, 0, true);
    this.#answered(end - start, statusOk);
  }

  wrong(error: ExomemError): void {
    this.error(error.code, error.message);
  }

  error(code: ErrorCode, what: string): void {
    const status = statusOf(code);
    this.#answered(this.#text(this.op, status, this.id, what), status);
  }

  /** Answers nothing: it says why the connection ends. */
  goodbye(code: ErrorCode, what: string): void {
    this.#text(op.goodbye, statusOf(code), 0, what);
  }

  #text(operation: number, status: number, id: number, what: string): number {
    const text = Buffer.from(what).subarray(0, limits.text);
    const length = headerBytes + text.byteLength;
    const at = this.#outbox.reserve(headerBytes);
    writeHeader(this.#outbox.view, at, length, operation, status, id);
    this.#outbox.put(text);
    return length;
  }

  #answered(length: number, status: number): void {
    if (frameChannel.hasSubscribers) traceFrame('appliance', 'out', this.op, this.id, length, status, this.#peer);
    this.done += 1;
  }
}
