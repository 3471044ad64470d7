import type { BatchAnswer, Capabilities, MemoryStep, Session, StepAnswer } from '@exomem/core';
import { compareExchange, fetchAdd, load, notRun, read, write } from '@exomem/core';
import fc from 'fast-check';
import { expect, expectBytes, expectEqual } from './expect.js';

/** What a region is meant to do, in the plainest way. */
export class RegionModel {
  readonly bytes: Uint8Array;
  readonly #words: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#words = new DataView(this.bytes.buffer);
  }

  word(offset: number): bigint {
    return this.#words.getBigUint64(offset, true);
  }

  setWord(offset: number, value: bigint): void {
    this.#words.setBigUint64(offset, value, true);
  }

  /** Bytes that a read gives are compared by {@link expectStep}; the model does not touch the buffer of the step. */
  apply(step: MemoryStep): StepAnswer {
    switch (step.op) {
      case 'read':
        return undefined;
      case 'write':
        this.bytes.set(step.bytes, step.offset);
        return undefined;
      case 'load':
        return this.word(step.offset);
      case 'fetchAdd': {
        const before = this.word(step.offset);
        this.setWord(step.offset, BigInt.asUintN(64, before + step.desired));
        return before;
      }
      case 'compareExchange': {
        const before = this.word(step.offset);
        if (before === step.expected) this.setWord(step.offset, step.desired);
        return before;
      }
    }
  }
}

/** A step of a plan, before it is known what the region holds then. */
export type PlannedStep =
  | { readonly op: 'load'; readonly word: number }
  | { readonly op: 'compareExchange'; readonly word: number; readonly right: boolean; readonly value: bigint }
  | { readonly op: 'fetchAdd'; readonly word: number; readonly value: bigint }
  | {
      readonly op: 'read' | 'write';
      readonly offset: number;
      readonly length: number;
      readonly phase: number;
      readonly seed: number;
    };

/** One call: a step by itself, or a batch. */
export type PlannedCall = { readonly by: number; readonly stop?: boolean; readonly steps: readonly PlannedStep[] };

/** What a step must answer. */
interface Expected {
  readonly step: MemoryStep;
  readonly answer: StepAnswer | typeof notRun;
  /** `read`: the bytes that must be there. */
  readonly bytes: Uint8Array | undefined;
}

export interface PlanShape {
  readonly bytes: number;
  readonly capabilities: Capabilities;
  /** How many sessions take turns. Default 1. */
  readonly sessions?: number;
  /** Which calls there are. */
  readonly calls: 'any' | 'batches' | 'stopping batches';
}

/**
 * Random calls, the same for every transport, so that a seed means the same everywhere: where there are no atomics, a
 * load stands for each. Few words and many collisions: a plan that touches each byte once proves little.
 */
export function plans({ bytes, capabilities, sessions = 1, calls }: PlanShape): fc.Arbitrary<PlannedCall[]> {
  const word = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: bytes / 8 - 1 }));
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: 3n }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(2n ** 63n, 2n ** 64n - 1n, 2n ** 32n, 2n ** 53n + 1n),
  );
  const span = fc
    .record({
      offset: fc.oneof(fc.nat(48), fc.nat(bytes)),
      length: fc.oneof(fc.nat(40), fc.nat(bytes)),
      phase: fc.nat(7),
      seed: fc.nat(255),
    })
    .map(({ offset, length, ...rest }) => ({ offset, length: Math.min(length, bytes - offset), ...rest }));
  const any: fc.Arbitrary<PlannedStep> = fc.oneof(
    fc.record({ op: fc.constant('load' as const), word }),
    span.map((range) => ({ op: 'read' as const, ...range })),
    span.map((range) => ({ op: 'write' as const, ...range })),
    fc.record({ op: fc.constant('compareExchange' as const), word, right: fc.boolean(), value }),
    fc.record({ op: fc.constant('fetchAdd' as const), word, value }),
  );
  const step = any.map(
    (one): PlannedStep => (capabilities.atomics === 'none' && 'value' in one ? { op: 'load', word: one.word } : one),
  );
  const by = fc.nat(sessions - 1);
  const batch = fc.record({
    by,
    stop: calls === 'stopping batches' ? fc.constant(true) : calls === 'batches' ? fc.constant(false) : fc.boolean(),
    steps: fc.array(step, { maxLength: 12 }),
  });
  const single = fc.record({ by, steps: fc.tuple(step) });
  return fc.array(calls === 'any' ? fc.oneof({ weight: 3, arbitrary: single }, batch) : batch, {
    minLength: 1,
    maxLength: 40,
    size: 'max',
  });
}

/** Turns a planned step into one that can be run, now that the model shows what is there. */
function realise(planned: PlannedStep, model: RegionModel): MemoryStep {
  switch (planned.op) {
    case 'load':
      return load(planned.word * 8);
    case 'fetchAdd':
      return fetchAdd(planned.word * 8, planned.value);
    case 'compareExchange': {
      const there = model.word(planned.word * 8);
      return compareExchange(planned.word * 8, planned.right ? there : there ^ (1n << 40n), planned.value);
    }
    case 'read':
    case 'write': {
      const { offset, length, phase, seed } = planned;
      const bytes = new Uint8Array(length + 8).subarray(phase, phase + length);
      if (planned.op === 'read') return read(offset, bytes.fill(0xee));
      return write(offset, pattern(bytes, seed));
    }
  }
}

/** A plan for people, a line for each call. */
export function tellPlan(plan: readonly PlannedCall[]): string {
  const sessions = new Set(plan.map(({ by }) => by)).size;
  const lines = plan.map(({ by, stop, steps }, at) => {
    const who = sessions > 1 ? ` by session ${by}` : '';
    const how = stop === undefined ? '' : ` batch${stop ? ' that stops on fail' : ''} of`;
    return `call ${at}${who}:${how} ${steps.map(tellStep).join('; ') || 'nothing'}`;
  });
  return lines.join('\n    ');
}

function tellStep(step: PlannedStep): string {
  switch (step.op) {
    case 'load':
      return `load ${step.word * 8}`;
    case 'fetchAdd':
      return `fetchAdd ${step.word * 8} + 0x${step.value.toString(16)}`;
    case 'compareExchange': {
      const from = step.right ? 'what is there' : 'something else than what is there';
      return `compareExchange ${step.word * 8}, from ${from} to 0x${step.value.toString(16)}`;
    }
    case 'read':
    case 'write': {
      const phase = step.phase === 0 ? '' : `, in a buffer of phase ${step.phase}`;
      return `${step.op} ${step.length} bytes at ${step.offset}${phase}`;
    }
  }
}

function pattern(bytes: Uint8Array, seed: number): Uint8Array {
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (seed + at * 37) & 0xff;
  return bytes;
}

/** The steps of a call, and what the model says to each. The model moves on. */
function foresee(call: PlannedCall, model: RegionModel): Expected[] {
  let stopped = false;
  return call.steps.map((planned) => {
    const step = realise(planned, model);
    if (stopped) return { step, answer: notRun, bytes: undefined };
    const bytes = step.op === 'read' ? model.bytes.slice(step.offset, step.offset + step.bytes.byteLength) : undefined;
    const answer = model.apply(step);
    stopped = call.stop === true && step.op === 'compareExchange' && answer !== step.expected;
    return { step, answer, bytes };
  });
}

/** Sends one call and gives what it answers, step by step. */
function send(session: Session, call: PlannedCall, steps: readonly MemoryStep[]): BatchAnswer | Promise<BatchAnswer> {
  if (call.stop !== undefined) return session.batch(steps, call.stop ? { stopOnFail: true } : undefined);
  const step = steps[0]!;
  const answer = sendOne(session, step);
  return answer instanceof Promise ? answer.then((value) => [value as StepAnswer]) : [answer as StepAnswer];
}

function sendOne(session: Session, step: MemoryStep) {
  switch (step.op) {
    case 'load':
      return session.load(step.offset);
    case 'compareExchange':
      return session.compareExchange(step.offset, step.expected, step.desired);
    case 'fetchAdd':
      return session.fetchAdd(step.offset, step.desired);
    case 'read':
      return session.read(step.offset, step.bytes);
    case 'write':
      return session.write(step.offset, step.bytes);
  }
}

function expectAnswers(expected: readonly Expected[], answers: BatchAnswer, which: number): void {
  expectEqual(answers.length, expected.length, `call ${which}: the number of answers`);
  expected.forEach(({ step, answer, bytes }, at) => {
    const what = `call ${which}, step ${at}: ${step.op} at ${step.offset}`;
    expectEqual(answers[at], answer, `${what} answers`);
    if (bytes !== undefined && step.op === 'read') expectBytes(step.bytes, bytes, what);
    if (answer === notRun && step.op === 'read') {
      expect(
        step.bytes.every((byte) => byte === 0xee),
        `${what} was not run, and touched its buffer`,
      );
    }
  });
}

/**
 * Runs a plan on sessions and on the model, and compares every answer and, at the end, every byte.
 * @param sending `in turn`: each call waits for the answer to the one before. `at once`: all are sent, then awaited.
 */
export async function holdPlan(
  sessions: readonly Session[],
  plan: readonly PlannedCall[],
  size: number,
  sending: 'in turn' | 'at once',
): Promise<void> {
  const session = sessions[0]!;
  await session.write(0, new Uint8Array(size));
  const model = new RegionModel(size);
  const waits: Promise<void>[] = [];
  try {
    for (const [which, call] of plan.entries()) {
      const expected = foresee(call, model);
      const answers = send(
        sessions[call.by]!,
        call,
        expected.map(({ step }) => step),
      );
      if (answers instanceof Promise && sending === 'at once') {
        waits.push(answers.then((given) => expectAnswers(expected, given, which)));
      } else expectAnswers(expected, await answers, which);
    }
  } finally {
    await Promise.allSettled(waits);
  }
  await Promise.all(waits);
  const whole = new Uint8Array(size);
  await session.read(0, whole);
  expectBytes(whole, model.bytes, 'the region after all calls');
}
