import { isDeepStrictEqual } from 'node:util';
import { type BatchAnswer, type ControlStep, type MemoryStep, notRun, type StepResult } from '@exomem/core';
import type { Execution, Grain } from './execution.js';
import type { Moments } from './moments.js';

/** What an operation of a client has asked for, as it was asked: no generator can change it any more. */
export class Order {
  readonly control: ControlStep | undefined;
  readonly steps: readonly MemoryStep[];
  readonly isBatch: boolean;
  readonly stopOnFail: boolean;
  /** Not one of its steps has happened; undefined for a control step. */
  readonly flight: Flight | undefined;
  /** Whether a step of it is more than a look. */
  readonly changes: boolean;
  readonly #strays = new Map<number, Stray>();

  constructor(
    /** The operation, for people. */
    readonly name: string,
    pending: Execution | ControlStep,
    readonly lane: number,
    readonly grain: Grain,
    readonly numbers: Numbers,
  ) {
    if ('op' in pending) {
      this.control = pending;
      this.steps = [];
      this.isBatch = this.stopOnFail = this.changes = false;
      return;
    }
    this.steps = pending.steps.map((step) => ('bytes' in step ? { ...step, bytes: step.bytes.slice() } : step));
    this.isBatch = pending.isBatch;
    this.stopOnFail = pending.stopOnFail;
    this.changes = pending.steps.some(({ op }) => op !== 'load' && op !== 'read');
    this.flight = new Flight(this, 0, 0, [], []);
  }

  /** Whether that one asks for the same. */
  asks({ control, steps, isBatch, stopOnFail, lane }: Order): boolean {
    const same = isBatch === this.isBatch && stopOnFail === this.stopOnFail && lane === this.lane;
    return (
      same && isDeepStrictEqual(control, this.control) && isDeepStrictEqual(steps.map(asked), this.steps.map(asked))
    );
  }

  /** What is left of it on its way when nobody waits for it any more; undefined if that changes nothing. */
  stray(at: number, moved: number): Stray | undefined {
    let changes = false;
    for (let step = at; step < this.steps.length; step++) {
      const { op } = this.steps[step]!;
      if (op !== 'load' && op !== 'read') changes = true;
    }
    if (!changes) return undefined;
    const key = at * 2 ** 24 + moved;
    let stray = this.#strays.get(key);
    if (stray === undefined) {
      stray = new Stray(this, at, moved);
      this.#strays.set(key, stray);
    }
    return stray;
  }
}

/** A step as it is asked for: what stands where a read will put what it finds is none of it. */
function asked(step: MemoryStep): unknown {
  return step.op === 'read' ? { ...step, bytes: step.bytes.byteLength } : step;
}

/** Numbers for what must be told apart. */
export class Numbers {
  #last = 0;
  next(): number {
    return ++this.#last;
  }
}

/** What a piece of a step has done. */
export interface Piece {
  readonly step: MemoryStep;
  readonly offset: number;
  readonly length: number;
  readonly answer: bigint | undefined;
}

/** Bytes that were read. */
interface Sight {
  readonly step: number;
  readonly from: number;
  readonly bytes: Uint8Array;
}

/** Makes the next piece of a step happen. The contents behind it are `region`, what was found is `found`. */
export class Hand {
  region = 0;
  /** The word that was found. */
  word: bigint | undefined;
  /** A number or a name for what was found: equal if it is. */
  found: number | string = 0;
  offset = 0;
  length = 8;
  /** All of the step has happened. */
  whole = true;

  constructor(readonly moments: Moments) {}

  act(step: MemoryStep, moved: number, grain: Grain, looks: boolean): void {
    const { moments, region } = this;
    this.offset = step.offset + moved;
    this.length = 8;
    this.whole = true;
    switch (step.op) {
      case 'load':
        this.word = moments.load(region, step.offset);
        this.found = moments.word(this.word);
        return;
      case 'compareExchange':
        this.word = moments.load(region, step.offset);
        this.found = moments.word(this.word);
        if (this.word === step.expected) this.region = moments.store(region, step.offset, step.desired);
        return;
      case 'fetchAdd':
        this.word = moments.load(region, step.offset);
        this.found = moments.word(this.word);
        this.region = moments.store(region, step.offset, BigInt.asUintN(64, this.word + step.desired));
        return;
      case 'read':
      case 'write': {
        const { length: all } = step.bytes;
        const end = Math.min(all, moved + grain(step.offset, all));
        this.word = undefined;
        this.length = end - moved;
        this.whole = end === all;
        this.found = 0;
        if (step.op === 'write') this.region = moments.write(region, this.offset, step.bytes.subarray(moved, end));
        else if (looks) this.found = moments.sight(region, this.offset, this.length);
      }
    }
  }
}

/** How far a step is that somebody waits for, and what was seen so far. */
export class Flight {
  readonly id: number;
  readonly #next = new Map<number | string, Flight>();

  constructor(
    readonly order: Order,
    /** The step whose turn it is. */
    readonly at: number,
    /** Bytes of it that have moved. */
    readonly moved: number,
    readonly answers: BatchAnswer,
    readonly sights: readonly Sight[],
  ) {
    this.id = order.numbers.next();
  }

  get done(): boolean {
    return this.at >= this.order.steps.length;
  }
  get begun(): boolean {
    return this.at > 0 || this.moved > 0;
  }
  get step(): MemoryStep {
    return this.order.steps[this.at]!;
  }

  /** Its next piece happens. @throws what the step throws */
  advance(hand: Hand): Flight {
    const { order, step } = this;
    hand.act(step, this.moved, order.grain, true);
    const known = this.#next.get(hand.found);
    if (known !== undefined) return known;
    const next = this.#after(hand, step);
    this.#next.set(hand.found, next);
    return next;
  }

  #after(hand: Hand, step: MemoryStep): Flight {
    const { order, at } = this;
    const { offset, length, whole } = hand;
    let { sights } = this;
    if (step.op === 'read') {
      const bytes = new Uint8Array(length);
      hand.moments.read(hand.region, offset, bytes);
      sights = [...sights, { step: at, from: this.moved, bytes }];
    }
    if (!whole) return new Flight(order, at, this.moved + length, this.answers, sights);
    const answers: BatchAnswer = [...this.answers, hand.word];
    if (order.stopOnFail && step.op === 'compareExchange' && hand.word !== step.expected) {
      while (answers.length < order.steps.length) answers.push(notRun);
    }
    return new Flight(order, answers.length, 0, answers, sights);
  }

  /** Puts what was read into the steps of one who waits for it. What it is told. */
  deliver(steps: readonly MemoryStep[]): StepResult {
    for (const { step, from, bytes } of this.sights) {
      const target = steps[step]!;
      if ('bytes' in target) target.bytes.set(bytes, from);
    }
    return this.order.isBatch ? [...this.answers] : (this.answers[0] as StepResult);
  }
}

/** What is left of a step that nobody waits for. */
export class Stray {
  readonly id: number;
  constructor(
    readonly order: Order,
    readonly at: number,
    readonly moved: number,
  ) {
    this.id = order.numbers.next();
  }

  get step(): MemoryStep {
    return this.order.steps[this.at]!;
  }

  /** Its next piece happens. What is left then. */
  advance(hand: Hand): Stray | undefined {
    const { order, step } = this;
    hand.act(step, this.moved, order.grain, false);
    if (!hand.whole) return order.stray(this.at, this.moved + hand.length);
    const failed = order.stopOnFail && step.op === 'compareExchange' && hand.word !== step.expected;
    return failed ? undefined : order.stray(this.at + 1, 0);
  }
}
