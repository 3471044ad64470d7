import { ExomemError, isExomemError } from '../errors.js';
import type { Protocol, Step, StepResult } from '../protocol/protocol.js';
import { batch, pause, renew } from '../protocol/protocol.js';
import type { WordStep } from '../transport/step.js';
import { load } from '../transport/step.js';

/** Words that one batch reads. */
const batchWords = 1024;

/** Whether an error leaves open what became of the step, or says that there is no connection to ask over. */
export function interrupted(error: unknown): boolean {
  return (
    isExomemError(error, 'OutcomeUnknown') ||
    isExomemError(error, 'Disconnected') ||
    isExomemError(error, 'DeadlineExceeded')
  );
}

/**
 * Opens a new epoch of the lane, after which nothing of the old one can land, and reads some words, in that order.
 * Tries for a while.
 * @throws the last error if there is no way back to the region.
 */
export function* reloadWords(offsets: readonly number[]): Protocol<bigint[]> {
  for (let attempt = 0; ; attempt++) {
    try {
      yield renew;
      const words: bigint[] = [];
      for (let at = 0; at < offsets.length; at += batchWords) {
        words.push(...((yield batch(offsets.slice(at, at + batchWords).map(load))) as bigint[]));
      }
      return words;
    } catch (error) {
      if (!interrupted(error) || attempt >= 7) throw error;
      yield pause(10 * 2 ** attempt);
    }
  }
}

/** A read-only protocol step that is tried again over a new epoch when the connection broke. */
export function* retried<T>(make: () => Protocol<T>): Protocol<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return yield* make();
    } catch (error) {
      if (!interrupted(error) || attempt >= 7) throw error;
      yield pause(attempt === 0 ? 0 : 10 * 2 ** attempt);
      try {
        yield renew;
      } catch (again) {
        if (!interrupted(again)) throw again;
      }
    }
  }
}

/** A word, read again over a new epoch when the connection broke. */
export function loadSurely(step: WordStep): Protocol<bigint> {
  return retried(function* () {
    return (yield step) as bigint;
  });
}

/** A step that may be done twice as well as once: a load, a read, or a write of bytes that are ours alone. */
export function surely(step: Step): Protocol<StepResult> {
  return retried(function* (): Protocol<StepResult> {
    return yield step;
  });
}

/**
 * A compareExchange on a word that nobody else writes the value `desired` to. Answers what was found: `expected` means
 * that it is done, be it that the answer was lost on the way.
 */
export function* exchangeSurely(offset: number, expected: bigint, desired: bigint): Protocol<bigint> {
  for (;;) {
    try {
      return (yield { op: 'compareExchange', offset, expected, desired }) as bigint;
    } catch (error) {
      if (!interrupted(error)) throw error;
      const [word] = yield* reloadWords([offset]);
      if (word === desired) return expected;
      if (word !== expected) return word!;
    }
  }
}

/**
 * Gives away a word that nobody but us may change until then. Others may have gone on from the new value before we
 * learn that it is there: after a lost answer, whatever is neither old nor new says that it happened. False: the word
 * was not ours any more.
 */
export function* giveAway(offset: number, expected: bigint, desired: bigint): Protocol<boolean> {
  for (;;) {
    try {
      return ((yield { op: 'compareExchange', offset, expected, desired }) as bigint) === expected;
    } catch (error) {
      if (!interrupted(error)) throw error;
      const [word] = yield* reloadWords([offset]);
      if (word !== expected) return true;
    }
  }
}

export function fenced(what: string): ExomemError {
  return new ExomemError('Fenced', what);
}
