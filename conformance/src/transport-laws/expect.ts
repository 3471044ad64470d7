import type { Awaitable, ErrorCode, ExomemError } from '@exomem/core';
import { isExomemError } from '@exomem/core';
import type { Found } from './corpus.js';

/** A transport or a policy does not keep a law. */
export class LawBroken extends Error {
  override readonly name = 'LawBroken';
  /** The id of the law, once it is known. */
  law = '';
  /** What was seen, and what should have been, without the law and the case. */
  seen: string;
  /** The simplest case that was found, for people; undefined where chance played no part. */
  counterexample: string | undefined;
  /** Where that case is found again. */
  found: Found | undefined;
  /** How many random cases, or states of an exhaustive search, it took to see it; undefined where there is but one case. */
  runs: number | undefined;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.seen = message;
  }

  static of(law: { readonly id: string; readonly sentence: string }, subject: string, error: unknown): LawBroken {
    const what = error instanceof LawBroken ? error.message : `unexpected: ${describe(error)}`;
    const broken = new LawBroken(`law ${law.id}, broken by ${subject}: ${what}\n  the law: ${law.sentence}`, {
      cause: error instanceof LawBroken ? error.cause : error,
    });
    broken.law = law.id;
    broken.seen = what;
    if (error instanceof LawBroken) {
      broken.seen = error.seen;
      broken.counterexample = error.counterexample;
      broken.found = error.found;
      broken.runs = error.runs;
    }
    return broken;
  }
}

export function expect(condition: boolean, what: string | (() => string)): asserts condition {
  if (!condition) throw new LawBroken(typeof what === 'string' ? what : what());
}

export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  if (!Object.is(actual, expected)) throw new LawBroken(`${what}: ${show(actual)} instead of ${show(expected)}`);
}

export function expectBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  throw new LawBroken(`${what}: byte ${at} is ${actual[at]} instead of ${expected[at]}`);
}

/** The call as a promise, whether it returns, throws or answers later. */
export async function attempt<T>(call: () => Awaitable<T>): Promise<T> {
  return await call();
}

/** For an answer that is awaited later: a law that fails before leaves no rejection behind that nobody handles. */
export function awaitedLater<T>(answer: Awaitable<T>): Awaitable<T> {
  if (answer instanceof Promise) answer.catch(() => undefined);
  return answer;
}

/** What becomes of the call: its value, or the error with one of exomem's codes. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: ExomemError };

/** Rejects with LawBroken if the call fails with anything but an error of exomem. */
export function outcome<T>(call: () => Awaitable<T>, what: string): Promise<Outcome<T>> {
  const result = attempt(call).then(
    (value): Outcome<T> => ({ value }),
    (error): Outcome<T> => {
      if (isExomemError(error)) return { error };
      throw new LawBroken(`${what} fails with no error of exomem: ${describe(error)}`, { cause: error });
    },
  );
  return awaitedLater(result) as Promise<Outcome<T>>;
}

/** Expects the call to fail with one of these codes. */
export function expectRefused(
  call: () => Awaitable<unknown>,
  codes: readonly ErrorCode[],
  what: string,
): Promise<ExomemError> {
  const refusal = outcome(call, what).then(({ error }) => {
    if (error === undefined) throw new LawBroken(`${what} is accepted instead of refused with ${codes.join(' or ')}`);
    if (codes.includes(error.code)) return error;
    throw new LawBroken(`${what} fails with ${describe(error)} instead of ${codes.join(' or ')}`, { cause: error });
  });
  return awaitedLater(refusal) as Promise<ExomemError>;
}

export function describe(error: unknown): string {
  if (error instanceof LawBroken) return error.message;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function show(value: unknown): string {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value);
}
