import type { AllocationPolicy } from '@exomem/core';
import fc from 'fast-check';
import type { Found } from '../transport-laws/corpus.js';
import { LawBroken } from '../transport-laws/expect.js';
import type { PolicyEffort, PolicySubject } from './explore.js';
import { meet, meetAgain } from './meet.js';
import { meetings } from './meetings.js';
import { Model } from './model.js';
import type { Meeting } from './scene.js';
import { deedLimit, readDeed } from './workload.js';
import { World, type WorldOptions } from './world.js';

/** A law with a run of its own. */
export interface ScenarioLaw {
  readonly id: string;
  readonly sentence: string;
  /** @returns how far it came, if that is not all the way */
  check(subject: PolicySubject, effort: PolicyEffort): string | undefined;
}

export const scenarioLaws: readonly ScenarioLaw[] = [
  {
    id: 'alone',
    sentence: 'one client alone is given what a trivial model says that it can be given, and refused the rest',
    check: checkAlone,
  },
  {
    id: 'exhaustive',
    sentence: 'in every way that few steps of two clients can mix, and with every fault at every step, all laws hold',
    check: checkMeetings,
  },
];

function checkAlone({ policy }: PolicySubject, effort: PolicyEffort): undefined {
  const shapes: readonly WorldOptions[] = [
    { groups: 5, groupPages: 4 },
    { groups: 3, groupPages: 16, clean: true },
    { groups: 9, groupPages: 1 },
    { groups: 4, groupPages: 7, clean: true },
  ];
  const details = fc.check(
    fc.property(
      fc.nat(shapes.length - 1),
      fc.array(fc.nat(deedLimit - 1), { maxLength: 60, size: 'max' }),
      (shape, deeds) => {
        const { groups = 1, groupPages = 1 } = shapes[shape]!;
        const world = new World(policy, 1, shapes[shape]);
        const model = new Model(groups, groupPages);
        for (const number of deeds) {
          const deed = readDeed(number, groupPages, groups * groupPages);
          if (deed.kind === 'rest' || deed.kind === 'freeForeign' || deed.kind === 'recover') continue;
          model.expect(world, deed);
        }
        world.settle();
      },
    ),
    chances(effort, 200),
  );
  if (!details.failed) return undefined;
  const [shape, deeds] = details.counterexample!;
  const cause = details.errorInstance;
  const what = cause instanceof Error ? cause.message : String(cause);
  const broken = new LawBroken(`${what}\n  world ${shape}, deeds ${deeds}`, { cause });
  broken.runs = details.numRuns;
  throw located(broken, { law: 'alone', seed: details.seed, path: details.counterexamplePath! }, effort.command);
}

/** Where chance begins, or the one case that is replayed. */
function chances(
  { seed, schedules, replay }: PolicyEffort,
  numRuns: number,
): Pick<fc.Parameters, 'seed' | 'path' | 'numRuns' | 'endOnFailure'> {
  if (replay !== undefined) return { seed: replay.seed, path: replay.path, numRuns: 1, endOnFailure: true };
  return { seed, numRuns: Math.min(numRuns, schedules) };
}

/** Every way of each meeting; of one that is replayed, that way. The number of a meeting stands in the place of a seed. */
function checkMeetings(subject: PolicySubject, effort: PolicyEffort): string | undefined {
  const { replay } = effort;
  if (replay === undefined) return searchMeetings(subject, effort);
  const meeting = meetings[replay.seed];
  if (meeting === undefined) throw new LawBroken(`there is no meeting ${replay.seed}; there are ${meetings.length}`);
  return replayMeeting(subject.policy, meeting, replay, effort);
}

function replayMeeting(policy: AllocationPolicy, meeting: Meeting, replay: Found, effort: PolicyEffort): undefined {
  const { told, wrong } = meetAgain(policy, meeting, replay.path);
  if (wrong === undefined) return undefined;
  throw located(new LawBroken(`${meeting.what}: ${wrong.message}\n${told}`, { cause: wrong }), replay, effort.command);
}

/** Every way of each meeting, as far as the time allows. */
function searchMeetings({ policy, progress = true }: PolicySubject, effort: PolicyEffort): string | undefined {
  const { states, milliseconds, command } = effort;
  const until = performance.now() + milliseconds;
  const short: { readonly what: string; readonly states: number }[] = [];
  for (const [seed, meeting] of meetings.entries()) {
    // What one leaves is there for those behind.
    const share = (until - performance.now()) / (meetings.length - seed);
    try {
      const searched = meet(policy, meeting, { limit: states, milliseconds: share, mayWait: !progress });
      if (!searched.complete) short.push({ what: meeting.what, states: searched.states });
    } catch (error) {
      if (!(error instanceof LawBroken) || error.found === undefined) throw error;
      throw located(error, { ...error.found, seed }, command);
    }
  }
  if (short.length === 0) return undefined;
  const whole = `${meetings.length - short.length} of ${meetings.length} meetings to their end`;
  if (short.length === 1) return `${whole}; of "${short[0]!.what}" ${short[0]!.states} states`;
  return `${whole}; of the others ${Math.min(...short.map(({ states }) => states))} states and more`;
}

/** Where it is found again, with the line to type. */
function located(broken: LawBroken, found: Found, command: PolicyEffort['command']): LawBroken {
  broken.message = `${broken.message.replace(/\n {2}path [\d:]*$/, '')}\n  seed ${found.seed}, path ${found.path}\n  again:  ${command(found)}`;
  broken.seen = broken.message;
  broken.found = found;
  return broken;
}
