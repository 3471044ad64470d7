/** What a run of the kit found, as plain data. */
export interface Report {
  readonly subject: string;
  readonly kind: 'transport' | 'policy' | 'mount';
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
