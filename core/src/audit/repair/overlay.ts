import type { Protocol, Step, StepResult } from '../../protocol/protocol.js';
import type { BatchAnswer, MemoryStep, StepAnswer } from '../../transport/step.js';

/** Words are found by the stretch of so many bytes that they lie in. */
const stretch = 4096;

/** Words as they would be: what is to be changed in a region, and is not yet. */
export class Overlay {
  readonly #words = new Map<number, bigint>();
  /** Number of a stretch -> offsets of words in it. */
  readonly #stretches = new Map<number, Set<number>>();

  set(offset: number, word: bigint): void {
    this.#words.set(offset, word);
    const number = Math.floor(offset / stretch);
    const others = this.#stretches.get(number);
    if (others === undefined) this.#stretches.set(number, new Set([offset]));
    else others.add(offset);
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
    const last = Math.floor((offset + bytes.length - 1) / stretch);
    for (let number = Math.floor(offset / stretch); number <= last; number++) {
      for (const at of this.#stretches.get(number) ?? []) {
        word.setBigUint64(0, this.#words.get(at)!, true);
        for (let byte = 0; byte < 8; byte++) {
          const place = at + byte - offset;
          if (place >= 0 && place < bytes.length) bytes[place] = word.getUint8(byte);
        }
      }
    }
  }
}
