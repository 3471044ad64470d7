import { randomBytes } from 'node:crypto';
import type { Capabilities, ConnectOptions, Session } from '@exomem/core';
import fc from 'fast-check';
import type { Found } from './corpus.js';
import { LawBroken } from './expect.js';
import type { Effort } from './options.js';
import type { SubjectRegion, TransportSubject } from './subject.js';

/** A law of transports as a case that any test runner can run. */
export interface Law {
  /** Stable, in kebab case. */
  readonly id: string;
  readonly sentence: string;
  /** Why it says nothing about this subject; it is not to be run then. */
  readonly skip?: string;
  /** Sets up a fresh region and holds the subject to the law. @throws {@link LawBroken} */
  run(): Promise<void>;
}

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
  property<T>(values: fc.Arbitrary<T>, check: (value: T) => Promise<void>): Promise<void>;
}

export function makeLaw(draft: Draft, subject: TransportSubject, effort: Effort): Law {
  const skip = draft.skip?.(subject);
  return {
    id: draft.id,
    sentence: draft.sentence,
    ...(skip === undefined ? {} : { skip }),
    run: () => runLaw(draft, subject, effort),
  };
}

async function runLaw(draft: Draft, subject: TransportSubject, effort: Effort): Promise<void> {
  const { capabilities } = subject;
  const bytes = typeof draft.bytes === 'function' ? draft.bytes(capabilities) : (draft.bytes ?? 4_096);
  const ends: (() => unknown)[] = [];
  const convict = (error: unknown): LawBroken => LawBroken.of(draft, subject.name, error);
  const over = new AbortController();
  let region: SubjectRegion | undefined;
  try {
    region = await soon(subject.setup({ bytes }), effort.patience, 'the setup of the region');
    const { connect } = region;
    const trial: Trial = {
      subject,
      capabilities,
      effort,
      region,
      bytes,
      connect: async (options) => {
        const session = await connect.call(region, options);
        ends.push(() => session.close());
        return session;
      },
      over: over.signal,
      defer: (end) => ends.push(end),
      property: (values, check) => holdProperty(draft, subject, effort, values, check),
    };
    await soon(draft.check(trial), effort.patience, 'the law');
  } catch (error) {
    throw convict(error);
  } finally {
    over.abort();
    for (const end of ends.reverse()) await soon(Promise.resolve().then(end), 5_000, 'closing').catch(() => undefined);
    if (region !== undefined) await soon(Promise.resolve(region.teardown()), effort.patience, 'the teardown');
  }
}

/** Nothing may hang: whatever takes longer than `patience` milliseconds is taken for hanging. */
async function soon<T>(work: Promise<T>, patience: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LawBroken(`${what} hangs: nothing for ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function holdProperty<T>(
  draft: Draft,
  subject: TransportSubject,
  effort: Effort,
  values: fc.Arbitrary<T>,
  check: (value: T) => Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(values, check);
  const limits = { interruptAfterTimeLimit: effort.patience, markInterruptAsFailure: true };
  const hold = async (parameters: fc.Parameters<[T]>): Promise<void> => {
    const details = await fc.check(property, { ...limits, ...parameters });
    if (!details.failed) return;
    const found: Found = { law: draft.id, seed: details.seed, path: details.counterexamplePath ?? '' };
    const cause = details.errorInstance;
    const lines = [
      cause instanceof Error ? cause.message : `no counterexample, interrupted: ${details.interrupted}`,
      `  counterexample: ${fc.stringify(details.counterexample?.[0])}`,
      `  seed ${found.seed}, path ${found.path}, subject ${subject.name}`,
      `  again:  ${effort.command(found)}`,
      `  corpus: ${JSON.stringify(found)}`,
    ];
    throw new LawBroken(lines.join('\n'), { cause });
  };
  const { replay } = effort;
  if (replay?.law === draft.id) {
    return hold({ seed: replay.seed, path: replay.path, numRuns: effort.runs });
  }
  for (const { law, seed, path } of effort.corpus) {
    if (law === draft.id) await hold({ seed, path, numRuns: 1, endOnFailure: true });
  }
  await hold({ numRuns: effort.runs });
}

/** Who connects where a subject is not told. */
export function connectOptions(options: Partial<ConnectOptions> = {}): ConnectOptions {
  return { clientId: randomBytes(16), lane: 0, ...options };
}
