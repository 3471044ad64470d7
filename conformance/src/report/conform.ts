import { mountLaws, mountName } from '../mount-laws/index.js';
import { policyLaws } from '../policy-laws/index.js';
import type { Law } from '../transport-laws/case.js';
import type { Found } from '../transport-laws/corpus.js';
import { describe, LawBroken } from '../transport-laws/expect.js';
import { SubjectUnfit } from '../transport-laws/fitness.js';
import { transportLaws } from '../transport-laws/index.js';
import type { Failure, Report, Verdict } from './report.js';
import type { Subject } from './subject.js';

export interface ConformOptions {
  /** Only these laws, by id. */
  readonly laws?: readonly string[];
  /** Where chance begins; by the clock unless given. */
  readonly seed?: number;
  /** With one law and a seed: the case to run again, as a report names it. */
  readonly path?: string;
  /**
   * Milliseconds. All laws are held at least once, with less effort where that is short; then again and again with other
   * chances, for as long as it lasts. Default: once, with the usual effort.
   */
  readonly budget?: number;
  /** Milliseconds after which a law that has not ended counts as hanging. Default 60,000. */
  readonly patience?: number;
  /** The line to type that shows a failing case again. */
  readonly command?: (found: Found | { readonly law: string }) => string;
  /** Ends it between two laws: rejects with the reason. */
  readonly signal?: AbortSignal;
  readonly onLaw?: (law: Law, at: number, of: number, round: number) => void;
  readonly onVerdict?: (verdict: Verdict) => void;
}

/** What one round with the usual effort takes at most. Milliseconds. */
const usual = 60_000;

/**
 * Holds a subject to the laws, and reports. Chance aside, a law that was broken once is not held again.
 * @throws `SubjectUnfit` if nothing can be said about the subject
 */
export async function conform(subject: Subject, options: ConformOptions = {}): Promise<Report> {
  const { budget, signal } = options;
  const began = performance.now();
  const seed = options.seed ?? Date.now() % 2 ** 31;
  const verdicts = new Map<string, Verdict>();
  let rounds = 0;
  do {
    const laws = lawsOf(subject, options, (seed + rounds) | 0).filter(({ id }) => options.laws?.includes(id) ?? true);
    checkNames(laws, options.laws);
    for (const [at, law] of laws.entries()) {
      signal?.throwIfAborted();
      const before = verdicts.get(law.id);
      if (before !== undefined && before.status !== 'passed') continue;
      if (rounds > 0 && performance.now() - began >= budget!) break;
      options.onLaw?.(law, at, laws.length, rounds);
      const verdict = await hold(law, options);
      if (before === undefined || verdict.status === 'failed') options.onVerdict?.(verdict);
      const milliseconds = verdict.milliseconds + (before?.milliseconds ?? 0);
      verdicts.set(law.id, { ...verdict, milliseconds });
    }
    rounds += 1;
  } while (budget !== undefined && performance.now() - began < budget && chancesLeft(verdicts));
  const all = [...verdicts.values()];
  const count = (status: Verdict['status']): number => all.filter((verdict) => verdict.status === status).length;
  return {
    subject: subjectName(subject),
    kind: subject.kind,
    seed,
    rounds,
    milliseconds: performance.now() - began,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    laws: all,
  };
}

function subjectName(subject: Subject): string {
  if (subject.kind === 'mount') return mountName(subject.mount);
  return subject.kind === 'transport' ? subject.transport.name : subject.policy.name;
}

function lawsOf(subject: Subject, options: ConformOptions, seed: number): Law[] {
  const { budget, path, command = plainCommand } = options;
  const share = budget === undefined ? 1 : Math.min(1, budget / usual);
  const [law] = options.laws ?? [];
  const common = { seed, command, ...(path === undefined ? {} : { replay: { law: law ?? '', seed, path } }) };
  if (subject.kind === 'policy') {
    return policyLaws(subject.policy, {
      ...common,
      schedules: Math.ceil(2_000 * share),
      patience: Math.ceil(10_000 * share),
      ...(budget === undefined ? {} : { milliseconds: Math.ceil(budget / 2) }),
    });
  }
  if (subject.kind === 'mount') {
    const { dir, dir2, ...declared } = subject.mount;
    return mountLaws(dir, dir2, {
      ...declared,
      ...common,
      ...(options.patience === undefined ? {} : { patience: options.patience }),
      runs: Math.ceil(50 * share),
      rounds: Math.ceil(200 * share),
    });
  }
  const { synchronous } = subject.transport.capabilities;
  return transportLaws(subject.transport, {
    ...common,
    ...(options.patience === undefined ? {} : { patience: options.patience }),
    runs: Math.ceil(50 * share),
    increments: Math.ceil((synchronous ? 100_000 : 2_000) * share),
    cuts: Math.ceil(15 * share),
    tearing: Math.ceil(1_500 * share),
  });
}

function checkNames(laws: readonly Law[], wanted: readonly string[] | undefined): void {
  const missing = wanted?.filter((id) => laws.every((law) => law.id !== id)) ?? [];
  if (missing.length > 0) throw new SubjectUnfit(`there is no law ${missing.join(', no law ')} for it`);
}

async function hold(law: Law, options: ConformOptions): Promise<Verdict> {
  const { id, sentence, purpose = '', skip } = law;
  if (skip !== undefined) return { id, sentence, purpose, status: 'skipped', reason: skip, milliseconds: 0 };
  const began = performance.now();
  // What a subject throws into the void is its own, and no end of the kit.
  const strays: string[] = [];
  const stray = (error: unknown): number => strays.push(describe(error));
  process.on('uncaughtException', stray);
  process.on('unhandledRejection', stray);
  let broken: LawBroken | undefined;
  try {
    await law.run();
    // A rejection is told as unhandled when the microtasks are through.
    await new Promise(setImmediate);
  } catch (error) {
    if (error instanceof SubjectUnfit) throw error;
    broken = error instanceof LawBroken ? error : LawBroken.of(law, 'it', error);
  } finally {
    process.off('uncaughtException', stray);
    process.off('unhandledRejection', stray);
  }
  if (broken === undefined && strays.length > 0) {
    broken = LawBroken.of(law, 'it', new LawBroken(`an error that nobody can catch came up: ${strays[0]}`));
  }
  const milliseconds = performance.now() - began;
  if (broken === undefined) {
    const { note } = law;
    return { id, sentence, purpose, status: 'passed', ...(note === undefined ? {} : { note }), milliseconds };
  }
  return { id, sentence, purpose, status: 'failed', failure: failureOf(broken, law, options), milliseconds };
}

function failureOf(broken: LawBroken, { id }: Law, { command = plainCommand }: ConformOptions): Failure {
  const { counterexample, found } = broken;
  // The report has the case and the line in places of their own; a policy's run is part of what is seen.
  const message = broken.seen.replace(/\n {2}(seed|again:|corpus:) .*/g, '');
  return {
    message,
    ...(counterexample === undefined ? {} : { counterexample }),
    ...(found === undefined ? {} : { seed: found.seed, path: found.path }),
    again: command(found ?? { law: id }),
  };
}

const chancesLeft = (verdicts: ReadonlyMap<string, Verdict>): boolean =>
  [...verdicts.values()].some(({ status }) => status === 'passed');

const plainCommand = (found: Found | { readonly law: string }): string =>
  'seed' in found ? `--law ${found.law} --seed ${found.seed} --path ${found.path}` : `--law ${found.law}`;
