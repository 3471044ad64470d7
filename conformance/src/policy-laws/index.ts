/**
 * The laws of allocation policies as named cases that any test runner can run:
 *
 * ```ts
 * for (const { id, sentence, run } of policyLaws({ name: 'mine', policy })) test(`${id}: ${sentence}`, run);
 * ```
 */
import { replayFromEnvironment, replayVariables } from '../transport-laws/corpus.js';
import { LawBroken } from '../transport-laws/expect.js';
import { type Exploration, explore, type PolicyEffort, type PolicyLawOptions, type PolicySubject } from './explore.js';
import { examinePolicy } from './fitness.js';
import { keptRuns } from './found.js';
import { type PolicyLawId, policyLawTable } from './law.js';
import { policyPurposes } from './purpose.js';
import { type ScenarioLaw, scenarioLaws } from './scenarios.js';
import { withDataApart } from './small-region.js';

export type { PolicyLawOptions, PolicySubject } from './explore.js';
export { type FoundRun, keptRuns } from './found.js';
export type { PolicyLawId } from './law.js';
export { type MeetOptions, meet, meetAgain } from './meet.js';
export { does, meetings } from './meetings.js';
export { type Meeting, meetingScene } from './scene.js';
export type { Deed } from './workload.js';

/** A law of policies as a case that any test runner can run. */
export interface PolicyLaw {
  /** Stable, in kebab case. */
  readonly id: string;
  readonly sentence: string;
  /** What it is good for: what goes wrong where it is not kept. */
  readonly purpose: string;
  /** How far it came when it was held last, if that was not all the way. */
  readonly note?: string | undefined;
  /** @throws `LawBroken` with the run that broke it, step by step; `SubjectUnfit` if it is no policy. */
  run(): Promise<void>;
}

/**
 * The laws that a policy keeps. Most are judged from the same random runs, made once for all of them: three clients
 * with thirty operations each on a region of a few groups, switching at every step, with lost replies, aborts, crashes
 * and take-overs. The others have runs of their own.
 */
export function policyLaws(given: PolicySubject, options: PolicyLawOptions = {}): PolicyLaw[] {
  const subject = given.dataApart ? { ...given, policy: withDataApart(given.policy) } : given;
  const replay = options.replay ?? replayFromEnvironment(process.env);
  const effort: PolicyEffort = {
    schedules: 2_000,
    seed: Date.now() % 2 ** 31,
    corpus: options.corpus ?? keptRuns(),
    command: (found) => `${replayVariables(found)} and the same test again`,
    patience: 10_000,
    states: 1_000_000,
    milliseconds: 30_000,
    ...options,
    ...(replay === undefined ? {} : { replay }),
  };
  let exploration: Exploration | undefined;
  const { name, policy } = subject;
  const fromRuns = Object.entries(policyLawTable).map(([id, sentence]) => ({
    id,
    sentence,
    purpose: policyPurposes[id] ?? '',
    async run() {
      if (exploration === undefined) examinePolicy(name, policy);
      exploration ??= explore(subject, effort);
      const failure = exploration.failure(id as PolicyLawId);
      if (failure === undefined) return;
      const broken = LawBroken.of({ id, sentence }, subject.name, new LawBroken(failure.report));
      broken.found = failure.found;
      broken.runs = failure.runs;
      throw broken;
    },
  }));
  const fromScenarios = scenarioLaws.map(({ id, sentence, check }: ScenarioLaw) => {
    let note: string | undefined;
    return {
      id,
      sentence,
      purpose: policyPurposes[id] ?? '',
      get note() {
        return note;
      },
      async run() {
        examinePolicy(name, policy);
        try {
          note = check(subject, effort);
        } catch (error) {
          throw LawBroken.of({ id, sentence }, subject.name, error);
        }
      },
    };
  });
  return [...fromRuns, ...fromScenarios];
}
