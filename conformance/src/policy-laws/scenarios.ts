import type { AllocationPolicy } from '@exomem/core';
import fc from 'fast-check';
import { scheduleLimit } from '../simulator/index.js';
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

function checkAlone({ policy }: PolicySubject): undefined {
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
    { numRuns: 200 },
  );
  if (!details.failed) return undefined;
  const [shape, deeds] = details.counterexample!;
  const cause = details.errorInstance;
  const what = cause instanceof Error ? cause.message : String(cause);
  throw new LawBroken(
    `${what}\n  world ${shape}, deeds ${deeds}, seed ${details.seed}, path ${details.counterexamplePath}`,
    { cause },
  );
}

/** Every way of each meeting; of one that is replayed, that way. The number of a meeting stands in the place of a seed. */
function checkMeetings({ policy, progress = true }: PolicySubject, effort: PolicyEffort): string | undefined {
  const { replay, states, milliseconds, command } = effort;
  if (replay !== undefined) {
    const meeting = meetings[replay.seed];
    if (meeting === undefined) throw new LawBroken(`there is no meeting ${replay.seed}; there are ${meetings.length}`);
    const { told, wrong } = meetAgain(policy, meeting, replay.path);
    if (wrong === undefined) return undefined;
    throw located(new LawBroken(`${meeting.what}: ${wrong.message}\n${told}`, { cause: wrong }), replay, command);
  }
  if (new World(policy, 1).clerk !== undefined) {
    for (const meeting of meetings) meetAtRandom(policy, meeting, milliseconds / meetings.length);
    return 'each meeting in random orders: who looks for requests again and again has ways without end';
  }
  const until = performance.now() + milliseconds;
  const short: string[] = [];
  for (const [seed, meeting] of meetings.entries()) {
    // What one leaves is there for those behind.
    const share = (until - performance.now()) / (meetings.length - seed);
    try {
      const searched = meet(policy, meeting, { limit: states, milliseconds: share, mayWait: !progress });
      if (!searched.complete) short.push(`${meeting.what}: ${searched.states} states`);
    } catch (error) {
      if (!(error instanceof LawBroken) || error.found === undefined) throw error;
      throw located(error, { ...error.found, seed }, command);
    }
  }
  if (short.length === 0) return undefined;
  return `${meetings.length - short.length} of ${meetings.length} meetings to their end; of others, ${short.join(', ')}`;
}

/** The steps of a meeting in random orders. */
function meetAtRandom(policy: AllocationPolicy, meeting: Meeting, milliseconds: number): void {
  const { groups, groupPages, clean = true, faults, takeover } = meeting;
  const run = (schedule: readonly number[]): void => {
    const world = new World(policy, meeting.deeds.length, { groups, groupPages, clean, faults });
    for (const [at, deeds] of meeting.deeds.entries()) world.plan(at, deeds);
    world.run({ deeds: [], schedule, ...(takeover === undefined ? {} : { takeover }) });
  };
  const schedules = fc.array(fc.nat(scheduleLimit - 1), { maxLength: 300, size: 'max' });
  const details = fc.check(fc.property(schedules, run), { numRuns: 300, interruptAfterTimeLimit: milliseconds });
  if (!details.failed) return;
  const cause = details.errorInstance;
  const what = cause instanceof Error ? cause.message : String(cause);
  throw new LawBroken(`${meeting.what}: ${what}\n  seed ${details.seed}, path ${details.counterexamplePath}`, {
    cause,
  });
}

/** Where it is found again, with the line to type. */
function located(
  broken: LawBroken,
  found: { readonly law: string; readonly seed: number; readonly path: string },
  command: PolicyEffort['command'],
): LawBroken {
  broken.message = `${broken.message.replace(/\n {2}path [\d:]*$/, '')}\n  seed ${found.seed}, path ${found.path}\n  again:  ${command(found)}`;
  broken.seen = broken.message;
  broken.found = found;
  return broken;
}
