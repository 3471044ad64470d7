import type { Found } from './corpus.js';

/** How hard the laws try. All have defaults that fit a test run. */
export interface TransportLawOptions {
  /** Random cases of each property. Default 50. */
  readonly runs?: number;
  /** Workers that contend. Default 2. */
  readonly workers?: number;
  /** Increments of each worker. Default 2,000, and 100,000 where the transport is synchronous. */
  readonly increments?: number;
  /** How many increments, each a step of its own, go into one batch. Default 1: none is batched. */
  readonly incrementsPerBatch?: number;
  /** How often connections are cut while increments go on. Default 15. */
  readonly cuts?: number;
  /** Milliseconds that the search for torn words goes on. Default 1,500. */
  readonly tearing?: number;
  /** Milliseconds after which a law that has not ended counts as hanging. Default 60,000. */
  readonly patience?: number;
  /** Where the chance of properties begins; by the clock unless given. */
  readonly seed?: number;
  /** Runs this one property from this seed and path; see {@link replayFromEnvironment}. */
  readonly replay?: Found;
  /** Seeds that convicted something before; they go first. Default: those that this package keeps. */
  readonly corpus?: readonly Found[];
  /** The line to type that runs a failing case again. */
  readonly command?: (found: Found) => string;
}

/** Options with their defaults, and what all laws of one subject share. */
export interface Effort
  extends Required<Omit<TransportLawOptions, 'replay' | 'seed'>>,
    Pick<TransportLawOptions, 'replay' | 'seed'> {
  /** Looks at the subject once, before the first law. @throws `SubjectUnfit` */
  fitness(): Promise<void>;
}
