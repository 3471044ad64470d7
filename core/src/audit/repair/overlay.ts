import type { Protocol, Step, StepResult } from '../../protocol/protocol.js';
import type { BatchAnswer, MemoryStep, StepAnswer } from '../../transport/step.js';

/** Words as they would be: what is to be changed in a region, and is not yet. */
export class Overlay {
  readonly #words = new Map<number, bigint>();

  set(offset: number, word: bigint): void {
    this.#words.set(offset, word);
  }
  get(offset: number): bigint | undefined {
    return this.#words.get(offset);
  }
  get size(): number {
    return this.#words.size;
  }

  /** Runs a protocol that only reads as if the changes had been made. */
  *through<T>(protocol: Protocol<T>): Protocol<T> {
    let state = protocol.next();
    while (!state.done) {
      const step: Step = state.value;
      let answer: StepResult;
      try {
        answer = yield step;
      } catch (error) {
        state = protocol.throw(error);
        continue;
      }
      state = protocol.next(this.#answer(step, answer));
    }
    return state.value;
  }

  #answer(step: Step, answer: StepResult): StepResult {
    if (this.#words.size === 0) return answer;
    if (step.op === 'load') return this.#words.get(step.offset) ?? answer;
    if (step.op === 'read') this.#patch(step.offset, step.bytes);
    if (step.op === 'batch') {
      return step.steps.map((one, at) => this.#one(one, (answer as BatchAnswer)[at]));
    }
    return answer;
  }
  #one(step: MemoryStep, answer: BatchAnswer[number]): BatchAnswer[number] {
    return this.#answer(step, answer as StepAnswer) as StepAnswer;
  }

  #patch(offset: number, bytes: Uint8Array): void {
    const word = new DataView(new ArrayBuffer(8));
    for (const [at, value] of this.#words) {
      if (at + 8 <= offset || at >= offset + bytes.length) continue;
      word.setBigUint64(0, value, true);
      for (let byte = 0; byte < 8; byte++) {
        const place = at + byte - offset;
        if (place >= 0 && place < bytes.length) bytes[place] = word.getUint8(byte);
      }
    }
  }
}
