/**
 * The laws of transports as named cases that any test runner can run:
 *
 * ```ts
 * for (const { id, sentence, skip, run } of transportLaws(subject)) {
 *   if (skip === undefined) test(`${id}: ${sentence}`, run);
 * }
 * ```
 */
import { argumentLaws } from './arguments.js';
import { breakingLaws } from './breaking.js';
import type { Law } from './case.js';
import { contendingLaws } from './contending.js';
import { readCorpus, replayFromEnvironment, replayVariables } from './corpus.js';
import { declarationLaws } from './declarations.js';
import { endingLaws } from './ending.js';
import { examine } from './fitness.js';
import { type Draft, makeLaw } from './law.js';
import { membershipLaws } from './membership.js';
import type { Effort, TransportLawOptions } from './options.js';
import { readingLaws } from './reading.js';
import type { TransportSubject } from './subject.js';

export { connectOptions, type Law } from './case.js';
export { type Found, readCorpus, replayFromEnvironment, replayVariables } from './corpus.js';
export { LawBroken } from './expect.js';
export { SubjectUnfit } from './fitness.js';
export { type LinkedRegion, type PlainRegion, type TransportModule, transportSubject } from './module.js';
export type { TransportLawOptions } from './options.js';
export type { Fault, SubjectRegion, TransportSubject, WorkerEntry } from './subject.js';
export { transportWorker, type WorkerConnect } from './worker.js';

const drafts: readonly Draft[] = [
  ...declarationLaws,
  ...readingLaws,
  ...argumentLaws,
  ...endingLaws,
  ...membershipLaws,
  ...breakingLaws,
  ...contendingLaws,
];

/** The laws, as far as they are to be held against this subject; what they skip follows from what it declares. */
export function transportLaws(subject: TransportSubject, options: TransportLawOptions = {}): Law[] {
  let examined: Promise<void> | undefined;
  const replay = options.replay ?? replayFromEnvironment(process.env);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const effort: Effort = {
    runs: 50,
    workers: 2,
    increments: subject.capabilities.synchronous ? 100_000 : 2_000,
    incrementsPerBatch: 1,
    cuts: 15,
    tearing: 1_500,
    patience: 60_000,
    corpus: options.corpus ?? readCorpus('transport-laws'),
    command: (found) => `${replayVariables(found)} and the same test again`,
    ...given,
    fitness: () => (examined ??= examine(subject, Math.min(effort.patience, 30_000))),
    ...(replay === undefined ? {} : { replay }),
  };
  return drafts.map((draft) => makeLaw(draft, subject, effort));
}
