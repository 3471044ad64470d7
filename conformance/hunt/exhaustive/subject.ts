import type { Mutation } from './mutation.js';
import type { Plot, PlotOptions } from './plot.js';
import { type Bound, Found, retrace, type Searched, search } from './search.js';

/** A search: a small world, and how much may go wrong in it. */
export interface Subject {
  readonly name: string;
  /** What happens, in a line. */
  readonly what: string;
  readonly bound: Bound;
  /** States after which the hunt ends, if it is not over before. */
  readonly limit?: number;
  make(options: PlotOptions): Plot;
}

export interface Result {
  readonly subject: Subject;
  readonly searched: Searched | undefined;
  readonly found: Found | undefined;
}

/** Goes through a subject. */
export function explore(subject: Subject, limit = subject.limit, mutation?: Mutation): Result {
  try {
    const searched = search(() => subject.make({ mutation }).begin(), subject.bound, limit);
    return { subject, searched, found: undefined };
  } catch (error) {
    if (error instanceof Found) return { subject, searched: undefined, found: error };
    throw error;
  }
}

/** What happened on a bad way, in words. */
export function story(subject: Subject, { path }: Found, mutation?: Mutation): string {
  const plot = subject.make({ mutation, chronicle: true }).begin();
  try {
    retrace(plot, path, subject.bound);
  } catch {
    // What it is has been said already.
  }
  return String(plot.simulation.chronicle);
}
