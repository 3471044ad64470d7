import {
  type BatchAnswer,
  type BatchStep,
  type MemoryStep,
  notRun,
  type StepAnswer,
  type StepResult,
} from '@exomem/core';
import type { SimulatedMemory } from './memory.js';

/** What one piece of a step did, for the chronicle. */
export interface Effect {
  readonly step: MemoryStep;
  /** What this piece touched. */
  readonly offset: number;
  readonly length: number;
  readonly answer: StepAnswer;
}

/** Longer transfers are of pages, and move page by page. */
const longest = 4096;

/** Bytes that a read or write of `length` bytes at `offset` moves at a time. */
export type Grain = (offset: number, length: number) => number;

/** Short transfers move `bytes` at a time. */
export function uniform(bytes: number): Grain {
  return (_offset, length) => (length <= 512 ? bytes : longest);
}

/**
 * A memory step, or a batch of them, under way. It happens piece by piece, and others may do something between two
 * pieces: a batch is no transaction, and a read of several words is none either.
 */
export class Execution {
  readonly steps: readonly MemoryStep[];
  readonly #batch: BatchStep | undefined;
  readonly #answers: BatchAnswer = [];
  readonly #grain: Grain;
  readonly lane: number;
  #moved = 0;
  #abandoned = false;

  constructor(step: MemoryStep | BatchStep, grain: Grain, lane = 0) {
    this.lane = lane;
    this.#batch = step.op === 'batch' ? step : undefined;
    this.steps = step.op === 'batch' ? step.steps : [step];
    this.#grain = grain;
  }

  get isBatch(): boolean {
    return this.#batch !== undefined;
  }
  get stopOnFail(): boolean {
    return this.#batch?.stopOnFail === true;
  }

  get done(): boolean {
    return this.#answers.length >= this.steps.length;
  }

  /** Whether any of it has happened. */
  get begun(): boolean {
    return this.#moved > 0 || this.#answers.length > 0;
  }

  /** Whether something that is still to come would leave a trace. */
  get changes(): boolean {
    for (let at = this.#answers.length; at < this.steps.length; at++) {
      const { op } = this.steps[at]!;
      if (op !== 'load' && op !== 'read') return true;
    }
    return false;
  }

  /** What its next piece does if nothing stands against it. */
  get next(): Effect {
    const step = this.steps[this.#answers.length]!;
    const answer = 'bytes' in step ? undefined : step.expected;
    return { step, offset: step.offset + this.#moved, length: 8, answer };
  }

  /** Nobody waits for it any more: what it would have read goes nowhere. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Makes the next piece happen. */
  advance(memory: SimulatedMemory): Effect {
    const step = this.steps[this.#answers.length]!;
    switch (step.op) {
      case 'load':
        return this.#answer(step, memory.load(step.offset));
      case 'fetchAdd':
        return this.#answer(step, memory.fetchAdd(step.offset, step.desired));
      case 'compareExchange': {
        const effect = this.#answer(step, memory.compareExchange(step.offset, step.expected, step.desired));
        if (this.#batch?.stopOnFail && effect.answer !== step.expected) {
          while (this.#answers.length < this.steps.length) this.#answers.push(notRun);
        }
        return effect;
      }
      case 'read':
      case 'write': {
        const from = this.#moved;
        const { length: whole } = step.bytes;
        const grain = this.#grain(step.offset, whole);
        const piece = step.bytes.subarray(from, Math.min(whole, from + grain));
        if (step.op === 'write') memory.write(step.offset + from, piece);
        else if (!this.#abandoned) memory.read(step.offset + from, piece);
        this.#moved += piece.length;
        if (this.#moved < whole) return { step, offset: step.offset + from, length: piece.length, answer: undefined };
        this.#moved = 0;
        return { ...this.#answer(step, undefined), offset: step.offset + from, length: piece.length };
      }
    }
  }

  /** What the protocol is resumed with. */
  get result(): StepResult {
    return this.#batch === undefined ? (this.#answers[0] as StepResult) : this.#answers;
  }

  #answer(step: MemoryStep, answer: StepAnswer): Effect {
    this.#answers.push(answer);
    return { step, offset: step.offset, length: 8, answer };
  }
}
