import type { Awaitable, ErrorCode, ExomemError } from '@exomem/core';
import { isExomemError } from '@exomem/core';

/** A transport does not keep a law. */
export class LawBroken extends Error {
  override readonly name = 'LawBroken';
  /** The id of the law, once it is known. */
  law = '';

  static of(law: { readonly id: string; readonly sentence: string }, subject: string, error: unknown): LawBroken {
    const what = error instanceof LawBroken ? error.message : `unexpected: ${describe(error)}`;
    const broken = new LawBroken(`law ${law.id}, broken by ${subject}: ${what}\n  the law: ${law.sentence}`, {
      cause: error instanceof LawBroken ? error.cause : error,
    });
    broken.law = law.id;
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

/** What becomes of the call: its value, or the error with one of exomem's codes. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: ExomemError };

/** @throws LawBroken if it fails with anything but an error of exomem. */
export async function outcome<T>(call: () => Awaitable<T>, what: string): Promise<Outcome<T>> {
  try {
    return { value: await call() };
  } catch (error) {
    if (isExomemError(error)) return { error };
    throw new LawBroken(`${what} fails with no error of exomem: ${describe(error)}`, { cause: error });
  }
}

/** Expects the call to fail with one of these codes. */
export async function expectRefused(
  call: () => Awaitable<unknown>,
  codes: readonly ErrorCode[],
  what: string,
): Promise<ExomemError> {
  const result = await outcome(call, what);
  if (result.error === undefined)
    throw new LawBroken(`${what} is accepted instead of refused with ${codes.join(' or ')}`);
  if (!codes.includes(result.error.code)) {
    throw new LawBroken(`${what} fails with ${describe(result.error)} instead of ${codes.join(' or ')}`, {
      cause: result.error,
    });
  }
  return result.error;
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function show(value: unknown): string {
  return typeof value === 'bigint' ? `0x${value.toString(16)}` : String(value);
}
