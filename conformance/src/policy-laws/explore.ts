import type { AllocationPolicy } from '@exomem/core';
import fc from 'fast-check';
import type { Found } from '../transport-laws/corpus.js';
import type { FoundRun } from './found.js';
import { Breach, type PolicyLawId } from './law.js';
import { simplifyRun } from './simplify.js';
import type { WorldRun } from './world.js';
import { worldOf, worldRuns } from './worlds.js';

/** What is held to the laws. */
export interface PolicySubject {
  readonly name: string;
  readonly policy: AllocationPolicy;
  /**
   * False: who dies in the middle of something may hold others up until it was declared dead; a lock does that. Default true: a
   * client that stopped anywhere blocks nobody, and is held to that.
   */
  readonly progress?: boolean;
  /** True: in regions whose metadata lies in a region of its own. */
  readonly dataApart?: boolean;
}

export interface PolicyLawOptions {
  /** Random schedules. Default 2,000. */
  readonly schedules?: number;
  /** Where randomness begins; by the clock unless given. */
  readonly seed?: number;
  /** Runs this one run of this law, and no other. */
  readonly replay?: Found;
  /** Runs that broke a law before; they go first. Default: those that this package keeps. */
  readonly corpus?: readonly FoundRun[];
  /** The line to type that runs a failing case again. */
  readonly command?: (found: Found) => string;
  /** Milliseconds for which a broken run is made simpler. Default 10,000. */
  readonly patience?: number;
  /** Of the law `exhaustive`: states after which a meeting is left, complete or not. Default 1,000,000. */
  readonly states?: number;
  /** Of the law `exhaustive`: what all its meetings take at most, complete or not. Default 30,000. */
  readonly milliseconds?: number;
}

export type PolicyEffort = Required<Omit<PolicyLawOptions, 'replay'>> & Pick<PolicyLawOptions, 'replay'>;

/** A law that was broken, and how to see it again. */
export interface Failure {
  readonly breach: Breach;
  readonly report: string;
  /** Where the run is found again, unless it is one of the corpus. */
  readonly found?: Found;
  /** How many random runs there had been. */
  readonly runs?: number;
}

/** What many random runs of a policy showed. */
export interface Exploration {
  readonly runs: number;
  /** How a law was broken, by the simplest run that is found within `patience`; undefined if it was not. */
  failure(law: PolicyLawId): Failure | undefined;
}

/** The breach that a run ends in; undefined if all is well. */
export function judge(subject: PolicySubject, run: WorldRun): Breach | undefined {
  try {
    worldOf(run, subject).run(run);
    return undefined;
  } catch (error) {
    if (error instanceof Breach) return error;
    return new Breach('typed', `unexpected: ${error instanceof Error ? error.stack : String(error)}`);
  }
}

/** Runs a policy through the corpus and many random schedules, and keeps the first breach of each law. */
export function explore(subject: PolicySubject, effort: PolicyEffort): Exploration {
  const failures = new Map<PolicyLawId, Failure>();
  const { replay, seed, schedules } = effort;
  if (replay !== undefined) {
    const law = replay.law as PolicyLawId;
    const failure = simplify(subject, effort, law, replay.seed, replay.path);
    if (failure !== undefined) failures.set(law, failure);
    return { runs: 1, failure: (one) => failures.get(one) };
  }
  for (const { run, note } of effort.corpus) {
    const breach = judge(subject, run);
    if (breach === undefined || failures.has(breach.law)) continue;
    failures.set(breach.law, { breach, report: tell(subject, run, breach, `a run of the corpus (${note})`) });
  }
  let runs = 0;
  const first = new Map<PolicyLawId, number>();
  fc.check(
    fc.property(worldRuns, (run) => {
      const breach = judge(subject, run);
      if (breach !== undefined && !failures.has(breach.law) && !first.has(breach.law)) first.set(breach.law, runs);
      runs++;
    }),
    { seed, numRuns: schedules },
  );
  const failure = (law: PolicyLawId): Failure | undefined => {
    const index = first.get(law);
    // It takes long: only for laws that somebody asks about.
    if (index !== undefined && !failures.has(law)) {
      failures.set(law, { ...simplify(subject, effort, law, seed, String(index))!, runs: index + 1 });
    }
    return failures.get(law);
  };
  return { runs, failure };
}

/** The simplest run that breaks the law, from that seed and path on. */
function simplify(
  subject: PolicySubject,
  { patience, command }: PolicyEffort,
  law: PolicyLawId,
  seed: number,
  path: string,
): Failure | undefined {
  const property = fc.property(worldRuns, (run) => judge(subject, run)?.law !== law);
  const details = fc.check(property, { seed, path, numRuns: 1, endOnFailure: true });
  const example = details.counterexample?.[0];
  if (example === undefined) return undefined;
  const run = simplifyRun(example, (one) => judge(subject, one)?.law === law, patience);
  const breach = judge(subject, run)!;
  const found: Found = { law, seed, path: details.counterexamplePath ?? path };
  const kept: FoundRun = { law, run, note: subject.name };
  const lines = [
    `  seed ${found.seed}, path ${found.path}`,
    `  again:  ${command(found)}`,
    `  corpus: ${JSON.stringify(kept)}`,
  ];
  return { breach, found, report: tell(subject, run, breach, lines.join('\n').trimStart()) };
}

/** What happened in a run, for people. */
function tell(subject: PolicySubject, run: WorldRun, breach: Breach, where: string): string {
  const world = worldOf(run, subject, true);
  try {
    world.run(run);
  } catch {
    // That is what we are telling of.
  }
  return `${breach.message}\n${world.simulation.chronicle}\n  ${where}`;
}
