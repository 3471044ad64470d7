import type { BatchAnswer } from '@exomem/core';
import { ExomemError, notRun } from '@exomem/core';
import { Feed } from '../wire/feed.js';
import { headerBytes, limits, offeredFeatures, op, opNames, padded } from '../wire/format.js';
import { decodeWelcome, type Welcome, welcomeBytes, welcomeText } from '../wire/hello.js';
import { errorOf, statusOk } from '../wire/status.js';
import { frameChannel, traceFrame } from '../wire/trace.js';
import type { Request, RequestQueue } from './request.js';

/** What is told of the stream beside the answers, which go to those who wait for them. */
export interface AnswerListener {
  /** The terms, or a refusal: then nothing follows. */
  welcomed(welcome: Welcome): void;
  /** A step was answered with `Fenced`. */
  fenced(why: string): void;
  /** The appliance says why it ends the connection. */
  dismissed(reason: ExomemError): void;
}

/** What the next piece of the stream is. */
const stage = { welcome: 0, text: 1, header: 2, word: 3, batch: 4, batchWord: 5, padding: 6, error: 7 } as const;
type Stage = (typeof stage)[keyof typeof stage];

const nothing = new Uint8Array(0);

/** Takes what an appliance sends apart: WELCOME first, then answers to the requests in the queue, in their order. */
export class AnswerFeed extends Feed {
  readonly #where: string;
  readonly #queue: RequestQueue;
  readonly #listener: AnswerListener;
  #stage: Stage = stage.welcome;
  #greeting = nothing;
  #maxBatchAnswer = 0;
  // The answer that is being read.
  #status = 0;
  #isGoodbye = false;
  #length = 0;
  #target: Uint8Array | undefined;
  #filled = 0;
  #answers: BatchAnswer = [];
  #ran = 0;
  #step = 0;
  #consumed = 0;

  constructor(queue: RequestQueue, listener: AnswerListener, where: string) {
    super(welcomeBytes);
    this.#queue = queue;
    this.#listener = listener;
    this.#where = where;
  }

  /** Nothing more is taken. */
  halt(): void {
    this.halted = true;
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
    if (frameChannel.hasSubscribers) traceFrame('client', 'in', operation, id, length, this.#status, this.#where);
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
        if (length < headerBytes + 8 || length > this.#maxBatchAnswer)
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
    const error = errorOf(this.#status, text, this.#where);
    this.#stage = stage.header;
    this.need = headerBytes;
    // A goodbye answers nothing.
    if (this.#isGoodbye) this.#listener.dismissed(error);
    else {
      if (error.code === 'Fenced') this.#listener.fenced(text);
      this.#queue.shift().reject(error);
    }
  }

  #welcomed(): void {
    const greeting = this.#greeting;
    this.#greeting = nothing;
    const welcome = decodeWelcome(greeting, new DataView(greeting.buffer), 0);
    if ((welcome.features & ~offeredFeatures) !== 0n) throw this.#nonsense('features that were not offered');
    this.#maxBatchAnswer = welcome.maxBatchAnswer;
    this.#stage = stage.header;
    this.need = headerBytes;
    this.#listener.welcomed(welcome);
  }

  #nonsense(what: string): ExomemError {
    return new ExomemError('ProtocolError', `the appliance sent ${what}`, { where: this.#where });
  }
}
