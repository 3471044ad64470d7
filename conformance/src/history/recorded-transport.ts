import {
  type Awaitable,
  type BatchAnswer,
  type BatchOptions,
  type CallOptions,
  type Capabilities,
  ExomemError,
  ForwardingSession,
  type MemoryStep,
  notRun,
  type Session,
  type Transport,
} from '@exomem/core';
import type { HistoryEvent } from './event.js';
import { type HistoryCall, HistoryRecorder } from './recorder.js';

/** Takes down what it does to whole words. */
class RecordedSession extends ForwardingSession {
  readonly #capabilities: Capabilities;
  readonly #recorder: HistoryRecorder;
  readonly #client: string;
  readonly #take: (event: HistoryEvent) => void;

  constructor(inner: Session, client: string, take: (event: HistoryEvent) => void) {
    super(inner);
    this.#client = client;
    this.#take = take;
    this.#recorder = new HistoryRecorder(client, take);
    // What is called without a call cannot be taken down, and a call that is takes a promise.
    this.#capabilities = { ...inner.capabilities, synchronous: false, mapped: false };
  }

  override get capabilities(): Capabilities {
    return this.#capabilities;
  }

  override load(offset: number, options?: CallOptions): Awaitable<bigint> {
    return this.#recorder.record({ op: 'read', offset }, () => super.load(offset, options), String);
  }
  override async read(offset: number, target: Uint8Array, options?: CallOptions): Promise<void> {
    if (!whole(offset, target)) return super.read(offset, target, options);
    const call: HistoryCall = { op: 'read', offset, length: target.byteLength };
    await this.#recorder.record(
      call,
      () => super.read(offset, target, options),
      () => wordsOf(target),
    );
  }
  override async write(offset: number, source: Uint8Array, options?: CallOptions): Promise<void> {
    if (!whole(offset, source)) return super.write(offset, source, options);
    const call: HistoryCall = { op: 'write', offset, length: source.byteLength, value: wordsOf(source) };
    await this.#recorder.record(
      call,
      () => super.write(offset, source, options),
      () => null,
    );
  }
  override compareExchange(
    offset: number,
    expected: bigint,
    desired: bigint,
    options?: CallOptions,
  ): Awaitable<bigint> {
    const call: HistoryCall = { op: 'compareExchange', offset, expected: text(expected), desired: text(desired) };
    return this.#recorder.record(call, () => super.compareExchange(offset, expected, desired, options), String);
  }
  override fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint> {
    const call: HistoryCall = { op: 'fetchAdd', offset, delta: text(delta) };
    return this.#recorder.record(call, () => super.fetchAdd(offset, delta, options), String);
  }

  /** Each step of a batch is an event of its own, somewhere between the beginning and the end of the whole. */
  override async batch(steps: readonly MemoryStep[], options?: BatchOptions): Promise<BatchAnswer> {
    const start = String(process.hrtime.bigint());
    const calls = steps.map(callOf);
    let answers: BatchAnswer | undefined;
    try {
      answers = await super.batch(steps, options);
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

  override view(): Uint8Array {
    throw new ExomemError('UnsupportedCapability', 'what is done by a view cannot be taken down', {
      where: this.where,
    });
  }
  override windows(): Uint8Array[] {
    return [this.view()];
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
