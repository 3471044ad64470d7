/** What a run of the kit found, as plain data. */
export interface Report {
  readonly subject: string;
  /** `unfit`: nothing can be said about it, and the one law that is reported says why. */
  readonly kind: 'transport' | 'policy' | 'mount' | 'unfit';
  /** Where chance began. */
  readonly seed: number;
  /** How often each law was held, each time by other chances. */
  readonly rounds: number;
  readonly milliseconds: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly laws: readonly Verdict[];
}

/** What became of one law. */
export interface Verdict {
  readonly id: string;
  readonly sentence: string;
  /** What the law is good for. */
  readonly purpose: string;
  readonly status: 'passed' | 'failed' | 'skipped';
  /** `skipped`: which declaration excuses the subject. */
  readonly reason?: string;
  /** `passed`: how far it came, if that was not all the way. */
  readonly note?: string;
  readonly failure?: Failure;
  readonly milliseconds: number;
}

export interface Failure {
  /** What was seen, and what should have been. */
  readonly message: string;
  /** The simplest case that was found; absent where chance played no part. */
  readonly counterexample?: string;
  readonly seed?: number;
  readonly path?: string;
  /** The line to type that shows it again. */
  readonly again: string;
}

/**
 * The report about a subject of which nothing can be said: one law that is broken.
 * @param why a sentence
 * @param again the line to type that shows it again
 */
export function unfitReport(subject: string, why: string, again: string): Report {
  const verdict: Verdict = {
    id: 'subject',
    sentence: 'it can be held to laws',
    purpose: '',
    status: 'failed',
    failure: { message: why, again },
    milliseconds: 0,
  };
  const sums = { passed: 0, failed: 1, skipped: 0 };
  return { subject, kind: 'unfit', seed: 0, rounds: 0, milliseconds: 0, ...sums, laws: [verdict] };
}
