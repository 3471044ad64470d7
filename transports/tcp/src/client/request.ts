import type { MemberBinding, MemoryStep, Wait } from '@exomem/core';
import { op } from '../wire/format.js';

/** A step on its way: what is asked, and who waits for the answer. */
export class Request {
  readonly op: number;
  readonly offset: number;
  readonly expected: bigint;
  readonly desired: bigint;
  readonly bytes: Uint8Array | undefined;
  readonly steps: readonly MemoryStep[] | undefined;
  readonly stopOnFail: boolean;
  readonly member: MemberBinding | undefined;
  readonly wait: Wait | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;

  constructor(
    operation: number,
    offset: number,
    expected: bigint,
    desired: bigint,
    bytes: Uint8Array | undefined,
    steps: readonly MemoryStep[] | undefined,
    stopOnFail: boolean,
    member: MemberBinding | undefined,
    wait: Wait | undefined,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.op = operation;
    this.offset = offset;
    this.expected = expected;
    this.desired = desired;
    this.bytes = bytes;
    this.steps = steps;
    this.stopOnFail = stopOnFail;
    this.member = member;
    this.wait = wait;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Whether it leaves a trace in the region, or at the appliance, if it happens. */
  get changes(): boolean {
    switch (this.op) {
      case op.load:
      case op.read:
      case op.ping:
      // What a BIND ties is the epoch, and that ends with the connection.
      case op.bind:
        return false;
      case op.batch:
        return this.steps!.some((step) => step.op !== 'load' && step.op !== 'read');
      default:
        return true;
    }
  }
}

/** Requests in the order in which they were made: answered, sent, and not sent yet. */
export class RequestQueue {
  #ring: (Request | undefined)[] = new Array(64).fill(undefined);
  #mask = 63;
  /** How many were ever answered, sent, made. A request's number on the wire is its position, modulo 2^32. */
  answered = 0;
  sent = 0;
  made = 0;

  push(request: Request): void {
    if (this.made - this.answered > this.#mask) this.#grow();
    this.#ring[this.made & this.#mask] = request;
    this.made += 1;
  }

  /** The one whose answer comes next; undefined if nothing was sent that is not answered. */
  get first(): Request | undefined {
    return this.answered < this.sent ? this.#ring[this.answered & this.#mask] : undefined;
  }

  /** The one to send next. */
  get next(): Request | undefined {
    return this.sent < this.made ? this.#ring[this.sent & this.#mask] : undefined;
  }

  get inFlight(): boolean {
    return this.answered < this.sent;
  }

  shift(): Request {
    const at = this.answered & this.#mask;
    const request = this.#ring[at]!;
    this.#ring[at] = undefined;
    this.answered += 1;
    return request;
  }

  #grow(): void {
    const ring: (Request | undefined)[] = new Array(this.#ring.length * 2).fill(undefined);
    for (let at = this.answered; at < this.made; at += 1) ring[at & (ring.length - 1)] = this.#ring[at & this.#mask];
    this.#ring = ring;
    this.#mask = ring.length - 1;
  }
}
