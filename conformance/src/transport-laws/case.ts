import { randomBytes } from 'node:crypto';
import type { ConnectOptions } from '@exomem/core';

/** A law as a case that any test runner can run. */
export interface Law {
  /** Stable, in kebab case. */
  readonly id: string;
  readonly sentence: string;
  /** What it is good for: what goes wrong where it is not kept. */
  readonly purpose?: string;
  /** Why it says nothing about this subject; it is not to be run then. */
  readonly skip?: string;
  /** How far it came when it was held last, if that was not all the way. */
  readonly note?: string | undefined;
  /**
   * Holds the subject to the law.
   * @throws `LawBroken` if the subject breaks it, `SubjectUnfit` if the subject cannot be held to laws at all.
   */
  run(): Promise<void>;
}

/** Who connects where a subject is not told. */
export function connectOptions(options: Partial<ConnectOptions> = {}): ConnectOptions {
  return { clientId: randomBytes(16), lane: 0, ...options };
}
