/**
 * The laws of file systems as named cases that any test runner can run:
 *
 * ```ts
 * for (const { id, sentence, skip, run } of mountLaws('/mnt/a', '/mnt/b')) {
 *   if (skip === undefined) test(`${id}: ${sentence}`, run);
 * }
 * ```
 */
import { resolve } from 'node:path';
import type { Law } from '../transport-laws/case.js';
import { readCorpus, replayFromEnvironment, replayVariables } from '../transport-laws/corpus.js';
import { concurrentLaws } from './concurrent-laws.js';
import { declarationLaw } from './declaration-law.js';
import { fileLaws } from './file-laws.js';
import { examine } from './fitness.js';
import { type MountDraft, makeMountLaw } from './law.js';
import { openLaws } from './open-laws.js';
import type { MountEffort, MountLawOptions, MountSubject } from './options.js';
import { treeLaws } from './tree-laws.js';

export { mountAgent } from './agent-program.js';
export type { Attributes, Operations } from './operations.js';
export {
  type AgentProgram,
  type Lack,
  lacks as mountLacks,
  type MountLawOptions,
  type MountSubject,
  mountName,
} from './options.js';

const drafts: readonly MountDraft[] = [declarationLaw, ...fileLaws, ...treeLaws, ...openLaws, ...concurrentLaws].sort(
  // Those of one directory first, in the order of their files.
  (one, other) => Number(one.across ?? false) - Number(other.across ?? false),
);

/**
 * The laws of a directory, and of the same directory by a second mount; without `dir2` those of two mounts are skipped.
 * Everything is done by processes of its own: whoever serves the mount may run them.
 */
export function mountLaws(dir: string, dir2?: string, options: MountLawOptions = {}): Law[] {
  const { name, live, lacks, agent, ...given } = options;
  const declared = { name, live, lacks, agent };
  const subject = {
    dir: resolve(dir),
    ...(dir2 === undefined ? {} : { dir2: resolve(dir2) }),
    ...present(declared),
  } as MountSubject;
  const replay = options.replay ?? replayFromEnvironment(process.env);
  let examined: Promise<void> | undefined;
  const effort: MountEffort = {
    runs: 30,
    rounds: 100,
    patience: 60_000,
    corpus: options.corpus ?? readCorpus('mount-laws'),
    command: (found) => `${replayVariables(found)} and the same test again`,
    ...present(given),
    fitness: () => (examined ??= examine(subject)),
    ...(replay === undefined ? {} : { replay }),
  };
  return drafts.map((draft) => makeMountLaw(draft, subject, effort));
}

function present<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
