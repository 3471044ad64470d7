import type { BatchAnswer, MemoryStep } from '../transport/step.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import type { MemberBinding } from '../transport/transport.js';

/** Several steps in one round trip, in order. */
export interface BatchStep {
  readonly op: 'batch';
  readonly steps: readonly MemoryStep[];
  readonly stopOnFail: boolean;
}

/** What a protocol asks of its surroundings rather than of the region. */
export type ControlStep =
  | { readonly op: 'bind'; readonly member: MemberBinding }
  | { readonly op: 'renew' }
  | { readonly op: 'revoke'; readonly member: MemberBinding }
  /** Wait until nothing that this client sent is unanswered on any lane. */
  | { readonly op: 'drain' }
  | { readonly op: 'pause'; readonly milliseconds: number }
  /**
   * Wait until the word at `offset` is another one than `word`, or this client has seen it unchanged for so many milliseconds by
   * its own clock. Answers 1 if it has, 0 if the word is another one.
   */
  | { readonly op: 'watch'; readonly offset: number; readonly word: bigint; readonly milliseconds: number }
  /** Monotonic milliseconds; answers a number. */
  | { readonly op: 'now' }
  /** Nanoseconds since 1970 for attributes of files, never for a decision; answers a bigint. */
  | { readonly op: 'wallClock' }
  /** Answers a number from 0 to 2^32 - 1. */
  | { readonly op: 'random' };

/** Everything that a protocol may yield. */
export type Step = MemoryStep | BatchStep | ControlStep;

/** What a protocol is resumed with. */
export type StepResult = bigint | number | undefined | BatchAnswer;

/**
 * A protocol: how a client acts on the region, with no I/O of its own. It yields steps and is resumed with their
 * results; a step whose fate nobody knows is *thrown* into it as `OutcomeUnknown`, and it must resolve that itself.
 * One generator runs over memory without a promise, over a network, and in the simulator.
 */
export type Protocol<T> = Generator<Step, T, StepResult>;

/** The same protocol, with something else in place of each step of its. A protocol that is given up lets go of what it held. */
export function* interpose<T>(protocol: Protocol<T>, instead: (step: Step) => Protocol<StepResult>): Protocol<T> {
  try {
    let state = protocol.next();
    while (!state.done) {
      let result: StepResult;
      try {
        result = yield* instead(state.value);
      } catch (error) {
        state = protocol.throw(error);
        continue;
      }
      state = protocol.next(result);
    }
    return state.value;
  } finally {
    protocol.return(undefined as T);
  }
}

export const batch = (steps: readonly MemoryStep[], stopOnFail = false): BatchStep => ({
  op: 'batch',
  steps,
  stopOnFail,
});

// Typed forms for the cold paths; a hot path yields the step itself and spares the delegation.
export function* loadWord(offset: number): Protocol<bigint> {
  return (yield load(offset)) as bigint;
}
export function* exchange(offset: number, expected: bigint, desired: bigint): Protocol<bigint> {
  return (yield compareExchange(offset, expected, desired)) as bigint;
}
export function* readBytes(offset: number, length: number): Protocol<Uint8Array> {
  const bytes = new Uint8Array(length);
  yield read(offset, bytes);
  return bytes;
}
export function* writeBytes(offset: number, bytes: Uint8Array): Protocol<void> {
  yield write(offset, bytes);
}
export function* runBatch(steps: readonly MemoryStep[], stopOnFail = false): Protocol<BatchAnswer> {
  return (yield batch(steps, stopOnFail)) as BatchAnswer;
}
export const renew: ControlStep = { op: 'renew' };
export const drain: ControlStep = { op: 'drain' };
export const now: ControlStep = { op: 'now' };
export const wallClock: ControlStep = { op: 'wallClock' };
export const random: ControlStep = { op: 'random' };
export const watch = (offset: number, word: bigint, milliseconds: number): ControlStep => ({
  op: 'watch',
  offset,
  word,
  milliseconds,
});
export const pause = (milliseconds: number): ControlStep => ({ op: 'pause', milliseconds });
