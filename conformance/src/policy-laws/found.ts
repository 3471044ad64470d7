import { readFileSync } from 'node:fs';
import type { PolicyLawId } from './law.js';
import type { WorldRun } from './world.js';

/** A run that broke a law once. It goes first, and is told to be the case by its own numbers. */
export interface FoundRun {
  readonly law: PolicyLawId;
  readonly run: WorldRun;
  /** What it convicted. */
  readonly note: string;
}

/** The runs that this package keeps. */
export function keptRuns(): FoundRun[] {
  return JSON.parse(readFileSync(new URL('../../../corpus/policy-laws.json', import.meta.url), 'utf8')) as FoundRun[];
}
