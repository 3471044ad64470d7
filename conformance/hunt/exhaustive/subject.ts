import { Chronicle, Counterexample, type Exhausted, exhaust, retrace } from '@exomem/conformance/simulator';
import type { Auditor } from './auditor.js';
import type { Mutation } from './mutation.js';
import type { Plot, PlotOptions } from './plot.js';

export interface Bound {
  readonly crashes: number;
  /** Replies that are lost; what was on its way happens at once, later, by half, or never. */
  readonly losses: number;
  /** Operations that their caller gives up. */
  readonly aborts?: number;
  /** How often the appliance ends and begins anew. */
  readonly restarts?: number;
  /** How far the clock goes. */
  readonly ticks?: number;
  /** How often who waits for the lock takes its holder for one that has stopped, wrongly. */
  readonly expiries?: number;
}

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
  readonly searched: Exhausted | undefined;
  readonly found: Counterexample | undefined;
}

export interface ExploreOptions {
  /** States after which it ends. */
  readonly limit?: number;
  readonly mutation?: Mutation;
  readonly auditor?: Auditor;
  readonly order?: 'breadth' | 'scattered';
  readonly seed?: number;
  readonly progress?: (so: Exhausted) => void;
}

/** Goes through a subject. */
export function explore(subject: Subject, options: ExploreOptions = {}): Result {
  const { limit = subject.limit, order, seed, progress, mutation, auditor } = options;
  try {
    const searched = exhaust(beginning(subject, mutation, auditor), {
      faults: { aborts: 0, ...subject.bound },
      ...(limit === undefined ? {} : { limit }),
      ...(order === undefined ? {} : { order }),
      ...(seed === undefined ? {} : { seed }),
      ...(progress === undefined ? {} : { progress }),
    });
    return { subject, searched, found: undefined };
  } catch (error) {
    if (error instanceof Counterexample) return { subject, searched: undefined, found: error };
    throw error;
  }
}

/** What happened on a way, in words; and what is wrong at its end. */
export function story(subject: Subject, path: readonly number[], mutation?: Mutation): { told: string; wrong?: Error } {
  const chronicle = new Chronicle((offset) => named.name(offset));
  const named = subject.make({ mutation });
  try {
    retrace(beginning(subject, mutation), path, chronicle, { aborts: 0, ...subject.bound });
  } catch (error) {
    return { told: String(chronicle), wrong: error as Error };
  }
  return { told: String(chronicle) };
}

function beginning(subject: Subject, mutation?: Mutation, auditor?: Auditor): () => Plot {
  return () => subject.make({ mutation, auditor, again: () => subject.make({ mutation, auditor }) });
}
