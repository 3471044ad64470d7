import {
  type Awaitable,
  type BatchAnswer,
  type BatchOptions,
  type CallOptions,
  type Capabilities,
  ExomemError,
  type MemberBinding,
  type MemoryStep,
  notRun,
  type Session,
  type Transport,
} from '@exomem/core';
import type { HistoryEvent } from './event.js';
import { type HistoryCall, HistoryRecorder } from './recorder.js';

/** Takes down what it does to whole words. */
class RecordedSession implements Session {
  readonly capabilities: Capabilities;
  readonly #inner: Session;
  readonly #recorder: HistoryRecorder;
  readonly #client: string;
  readonly #take: (event: HistoryEvent) => void;

  constructor(inner: Session, client: string, take: (event: HistoryEvent) => void) {
    this.#inner = inner;
    this.#client = client;
    this.#take = take;
    this.#recorder = new HistoryRecorder(client, take);
    // What is called without a call cannot be taken down, and a call that is takes a promise.
    this.capabilities = { ...inner.capabilities, synchronous: false, mapped: false };
  }

  get size(): number {
    return this.#inner.size;
  }
  get epoch(): number {
    return this.#inner.epoch;
  }
  get where(): string {
    return this.#inner.where;
  }

  load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.#recorder.record({ op: 'read', offset }, () => this.#inner.load(offset, options), String);
  }
  async read(offset: number, target: Uint8Array, options?: CallOptions): Promise<void> {
    if (!whole(offset, target)) return this.#inner.read(offset, target, options);
    const call: HistoryCall = { op: 'read', offset, length: target.byteLength };
    await this.#recorder.record(
      call,
      () => this.#inner.read(offset, target, options),
      () => wordsOf(target),
    );
  }
  async write(offset: number, source: Uint8Array, options?: CallOptions): Promise<void> {
    if (!whole(offset, source)) return this.#inner.write(offset, source, options);
    const call: HistoryCall = { op: 'write', offset, length: source.byteLength, value: wordsOf(source) };
    await this.#recorder.record(
      call,
      () => this.#inner.write(offset, source, options),
      () => null,
    );
  }
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint> {
    const call: HistoryCall = { op: 'compareExchange', offset, expected: text(expected), desired: text(desired) };
    return this.#recorder.record(call, () => this.#inner.compareExchange(offset, expected, desired, options), String);
  }
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    const call: HistoryCall = { op: 'fetchAdd', offset, delta: text(delta) };
    return this.#recorder.record(call, () => this.#inner.fetchAdd(offset, delta, options), String);
  }

  /** Each step of a batch is an event of its own, somewhere between the beginning and the end of the whole. */
  async batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    const start = String(process.hrtime.bigint());
    const calls = steps.map(callOf);
    let answers: BatchAnswer | undefined;
    try {
      answers = await this.#inner.batch(steps, options);
      return answers;
    } finally {
      const end = answers === undefined ? null : String(process.hrtime.bigint());
      for (const [at, call] of calls.entries()) {
        if (call === undefined || answers?.[at] === notRun) continue;
        const step = steps[at]!;
        const answer = answers?.[at];
        let result: HistoryEvent['result'] = typeof answer === 'bigint' ? String(answer) : null;
        if (answers !== undefined && step.op === 'read') result = wordsOf(step.bytes);
        const outcome = answers === undefined ? 'unknown' : 'ok';
        this.#take({ client: this.#client, ...call, result, start, end, outcome });
      }
    }
  }

  bind(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#inner.bind(member, options);
  }
  renew(options?: CallOptions): Awaitable<void> {
    return this.#inner.renew(options);
  }
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void> {
    return this.#inner.revoke(member, options);
  }
  view(): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'what is done by a view cannot be taken down', {
      where: this.where,
    });
  }
  close(): Awaitable<void> {
    return this.#inner.close();
  }
}

/**
 * A transport whose sessions take down what they do to words, for {@link checkHistory}. Reads and writes of anything but whole aligned
 * words go through and are not taken down: a history in which those change words says nothing.
 * @param take is given each event when it has ended; clients are numbered as they connect
 */
export function recorded(transport: Transport, take: (event: HistoryEvent) => void): Transport {
  let clients = 0;
  return {
    name: `recorded ${transport.name}`,
    schemes: transport.schemes,
    apiVersion: 1,
    connect: async (url, options) => {
      const inner = await transport.connect(url, options);
      return new RecordedSession(inner, `client ${++clients}`, take);
    },
  };
}

const whole = (offset: number, bytes: Uint8Array): boolean =>
  offset % 8 === 0 && bytes.byteLength % 8 === 0 && bytes.byteLength > 0;
// What is no word is refused by the session itself.
const text = (word: bigint): string => String(typeof word === 'bigint' ? BigInt.asUintN(64, word) : word);

function wordsOf(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 8 }, (_, at) => String(view.getBigUint64(at * 8, true)));
}

function callOf(step: MemoryStep): HistoryCall | undefined {
  const { op, offset } = step;
  switch (op) {
    case 'load':
      return { op: 'read', offset };
    case 'compareExchange':
      return { op, offset, expected: text(step.expected), desired: text(step.desired) };
    case 'fetchAdd':
      return { op, offset, delta: text(step.desired) };
    case 'read':
    case 'write': {
      if (!whole(offset, step.bytes)) return undefined;
      const call = { op, offset, length: step.bytes.byteLength };
      return op === 'write' ? { ...call, value: wordsOf(step.bytes) } : call;
    }
  }
}
