/**
 * Laws as tests of whichever runner there is. None of them is imported: each binding takes what the runner gives.
 *
 * ```ts
 * import { test } from 'node:test';
 * withNodeTest(test, transportLaws(subject));
 * ```
 */
import type { Law } from './transport-laws/case.js';

type Body = () => Promise<void>;
type Declare = (name: string, body: Body) => unknown;

const title = ({ id, sentence }: Law): string => `${id}: ${sentence}`;

/** For a suite of uvu, or of anything with `test(name, body)` and `test.skip(name, body)`. `suite.run()` is the caller's. */
export function withUvu(suite: Declare & { skip: Declare }, laws: readonly Law[]): void {
  for (const law of laws) (law.skip === undefined ? suite : suite.skip)(title(law), law.run);
}

/** For `test` or `it` of `node:test`, which tell why something is skipped. */
export function withNodeTest(
  test: (name: string, options: { skip?: string | boolean }, body: Body) => unknown,
  laws: readonly Law[],
): void {
  for (const law of laws) test(title(law), { skip: law.skip ?? false }, law.run);
}

/** For `test` or `it` of vitest, whose tests end after five seconds unless they are given longer. Milliseconds. */
export function withVitest(
  test: ((name: string, options: { timeout: number }, body: Body) => unknown) & { skip: Declare },
  laws: readonly Law[],
  timeout = 120_000,
): void {
  for (const law of laws) {
    if (law.skip === undefined) test(title(law), { timeout }, law.run);
    else test.skip(`${title(law)} (${law.skip})`, law.run);
  }
}
