import type { Capabilities, ConnectOptions, Session } from '@exomem/core';
import fc from 'fast-check';
import type { Law } from './case.js';
import type { Found } from './corpus.js';
import { describe, LawBroken } from './expect.js';
import { SubjectUnfit, setUp, tearDown } from './fitness.js';
import type { Effort } from './options.js';
import { Hanging, soon, stopwatch } from './patience.js';
import { transportPurposes } from './purpose.js';
import type { SubjectRegion, TransportSubject } from './subject.js';
import { UnderWay } from './under-way.js';

/** How a law is written down. */
export interface Draft {
  readonly id: string;
  readonly sentence: string;
  /** Size of the region; 4,096 unless it says otherwise. */
  readonly bytes?: number | ((capabilities: Capabilities) => number);
  /** A reason that follows from what the subject declares. */
  skip?(subject: TransportSubject): string | undefined;
  check(trial: Trial): Promise<void>;
}

/** One law, one subject, one fresh region. */
export interface Trial {
  readonly subject: TransportSubject;
  readonly capabilities: Capabilities;
  readonly effort: Effort;
  readonly region: SubjectRegion;
  readonly bytes: number;
  /** Opens a session that is closed when the trial ends. */
  connect(options?: Partial<ConnectOptions>): Promise<Session>;
  /** Aborted when the trial is over, also when it hangs: loops of a law look at it. */
  readonly over: AbortSignal;
  /** Something to be ended with the trial, whatever becomes of it. */
  defer(end: () => unknown): void;
  /** Holds `check` against random values: the corpus first, then as many as `effort.runs`. */
  property<T>(values: fc.Arbitrary<T>, check: (value: T) => Promise<void>, tell?: (value: T) => string): Promise<void>;
}

export function makeLaw(draft: Draft, subject: TransportSubject, effort: Effort): Law {
  const skip = draft.skip?.(subject);
  return {
    id: draft.id,
    sentence: draft.sentence,
    purpose: transportPurposes[draft.id] ?? '',
    ...(skip === undefined ? {} : { skip }),
    run: () => runLaw(draft, subject, effort),
  };
}

async function runLaw(draft: Draft, subject: TransportSubject, effort: Effort): Promise<void> {
  const { capabilities } = subject;
  const bytes = typeof draft.bytes === 'function' ? draft.bytes(capabilities) : (draft.bytes ?? 4_096);
  const ends: (() => unknown)[] = [];
  const convict = (error: unknown): Error =>
    error instanceof SubjectUnfit ? error : LawBroken.of(draft, subject.name, error);
  const over = new AbortController();
  const underWay = new UnderWay();
  let region: SubjectRegion | undefined;
  try {
    await effort.fitness();
    region = await setUp(subject, bytes, effort.patience);
    const { connect } = region;
    const trial: Trial = {
      subject,
      capabilities,
      effort,
      region,
      bytes,
      connect: async (options) => {
        const session = underWay.follow(await connect.call(region, options));
        ends.push(() => session.close());
        return session;
      },
      over: over.signal,
      defer: (end) => ends.push(end),
      property: (values, check, tell) =>
        // A case that hangs, or is made simpler, is to be told before the law counts as hanging.
        holdProperty(draft, subject, { ...effort, patience: 0.4 * effort.patience, underWay }, { values, check, tell }),
    };
    await soon(draft.check(trial), effort.patience, 'the law', underWay);
  } catch (error) {
    throw convict(error);
  } finally {
    over.abort();
    for (const end of ends.reverse()) await soon(Promise.resolve().then(end), 5_000, 'closing').catch(() => undefined);
    if (region !== undefined) await tearDown(subject, region, effort.patience);
  }
}

interface Property<T> {
  readonly values: fc.Arbitrary<T>;
  readonly check: (value: T) => Promise<void>;
  /** A value for people, who are told already what was `seen`. */
  readonly tell: ((value: T, seen: string) => string) | undefined;
}

/**
 * Holds a property of a law against random values.
 * @param effort `patience`: milliseconds for a case, and then for making simpler the one that broke the law
 * @throws `LawBroken` with the simplest case that breaks it
 */
export async function holdProperty<T>(
  draft: { readonly id: string },
  subject: { readonly name: string },
  effort: Pick<Effort, 'runs' | 'seed' | 'replay' | 'corpus' | 'command' | 'patience'> & {
    readonly underWay?: UnderWay;
  },
  { values, check, tell = fc.stringify }: Property<T>,
): Promise<void> {
  const { patience } = effort;
  /** Runs since the law was broken; a case that hangs is not made simpler. */
  let simplifying: (() => number) | undefined;
  const property = fc.asyncProperty(values, async (value) => {
    if (simplifying !== undefined && simplifying() > patience) return;
    try {
      await soon(check(value), patience, 'a case', effort.underWay);
    } catch (error) {
      simplifying = error instanceof Hanging ? () => Number.POSITIVE_INFINITY : (simplifying ?? stopwatch());
      throw error;
    }
  });
  const hold = async (parameters: fc.Parameters<[T]>): Promise<void> => {
    const details = await fc.check(property, parameters);
    if (!details.failed) return;
    const found: Found = { law: draft.id, seed: details.seed, path: details.counterexamplePath ?? '' };
    const cause = details.errorInstance;
    const seen = describe(cause);
    const counterexample = details.counterexample === null ? 'none' : tell(details.counterexample[0], seen);
    const lines = [
      seen,
      `  counterexample: ${counterexample}`,
      `  seed ${found.seed}, path ${found.path}, subject ${subject.name}`,
      `  again:  ${effort.command(found)}`,
      `  corpus: ${JSON.stringify(found)}`,
    ];
    const broken = new LawBroken(lines.join('\n'), { cause });
    broken.seen = seen;
    broken.counterexample = counterexample;
    broken.found = found;
    broken.runs = details.numRuns;
    throw broken;
  };
  const { replay } = effort;
  if (replay?.law === draft.id) {
    return hold({ seed: replay.seed, path: replay.path, numRuns: effort.runs });
  }
  for (const { law, seed, path } of effort.corpus) {
    if (law === draft.id) await hold({ seed, path, numRuns: 1, endOnFailure: true });
  }
  await hold({ numRuns: effort.runs, ...(effort.seed === undefined ? {} : { seed: effort.seed }) });
}
