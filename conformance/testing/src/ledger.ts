import { appendFileSync } from 'node:fs';

/**
 * What a test file says of itself, one JSON object a line, in the file that EXOMEM_TEST_LEDGER names. The runner
 * believes these lines, and no exit code: a test counts as passed only if it was declared and its line is there.
 */
export type Entry =
  | { readonly event: 'suite'; readonly suite: number; readonly name: string }
  /** The suite was asked to run, with so many tests. */
  | { readonly event: 'declared'; readonly suite: number; readonly tests: number }
  | { readonly event: 'begin'; readonly suite: number; readonly name: string }
  | {
      readonly event: 'passed' | 'failed' | 'skipped';
      readonly suite: number;
      readonly name: string;
      readonly reason?: string;
    }
  /** A hook failed, beyond what its tests say. */
  | { readonly event: 'hook'; readonly suite: number; readonly name: string; readonly reason: string }
  | { readonly event: 'ended'; readonly suite: number }
  /** Every suite that was declared so far has ended. */
  | { readonly event: 'settled' }
  /** The process stays although its suites have ended; what keeps it. */
  | { readonly event: 'leaked'; readonly resources: readonly string[] };

const path = process.env.EXOMEM_TEST_LEDGER;
// A program that a test starts does not report for the test.
delete process.env.EXOMEM_TEST_LEDGER;

/** Nobody collects the entries: the file was started by hand. */
export const alone = path === undefined;

/** Synchronous, so that an entry is there whatever happens next. */
export function enter(entry: Entry): void {
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(entry)}\n`);
}
