import type { AllocationPolicy } from '@exomem/core';
import fc from 'fast-check';
import type { Faults } from '../simulator/index.js';
import { LawBroken } from '../transport-laws/expect.js';
import { Model } from './model.js';
import { Counterexample, type Exhausted, exhaust, retrace } from './retrial.js';
import type { Deed } from './workload.js';
import { deedLimit, readDeed } from './workload.js';
import { World, type WorldOptions } from './world.js';

/** A law with a run of its own. */
export interface ScenarioLaw {
  readonly id: string;
  readonly sentence: string;
  check(policy: AllocationPolicy): void;
}

const takes = (pages: number, more: Partial<Extract<Deed, { kind: 'allocate' }>> = {}): Deed => ({
  kind: 'allocate',
  pages,
  initialise: 'none',
  named: false,
  alignment: 1,
  writes: false,
  ...more,
});
const frees: Deed = { kind: 'free', pick: 0 };

/** Two clients, a few deeds each, on as few groups as make them meet. */
interface Meeting {
  readonly what: string;
  readonly options: WorldOptions;
  readonly deeds: readonly (readonly Deed[])[];
  readonly faults: Faults;
  readonly takeover?: number;
}

const named = (pages: number): Deed => takes(pages, { named: true, initialise: 'caller' });
const does = (kind: Exclude<Deed['kind'], 'rest' | 'allocate'>, pick = 0): Deed => ({ kind, pick });
const none: Faults = { losses: 0, aborts: 0, crashes: 0 };

/** The cheapest first. */
const meetings: readonly Meeting[] = [
  {
    what: 'one dies in a long run',
    options: { groups: 3, groupPages: 2, clean: true },
    deeds: [[takes(3), frees], [takes(3)]],
    faults: { ...none, crashes: 1 },
  },
  {
    what: 'a page gets a name and loses it',
    options: { groups: 1, groupPages: 2, clean: true },
    deeds: [[takes(1), does('withhold'), does('name'), does('unname')], [takes(1)]],
    faults: { ...none, losses: 1 },
  },
  {
    what: 'room comes back to who gave it',
    options: { groups: 1, groupPages: 2, clean: true },
    deeds: [
      [named(1), does('name'), does('giveRoom', 1), does('judge')],
      [does('judge'), does('giveRoom', 0)],
    ],
    faults: { ...none, losses: 2 },
  },
  {
    what: 'one is taken over while it claims, and recovered',
    options: { groups: 1, groupPages: 2, clean: true },
    deeds: [[takes(1)], [does('recover'), takes(1)]],
    faults: { ...none, losses: 1 },
    takeover: 0,
  },
  {
    what: 'dirty pages change hands',
    options: { groups: 1, groupPages: 2 },
    deeds: [[takes(1, { initialise: 'zero' }), frees], [takes(1, { initialise: 'zero' })]],
    faults: { ...none, losses: 1, aborts: 1 },
  },
  {
    what: 'room is given to one that claims the same group',
    options: { groups: 1, groupPages: 2, clean: true },
    deeds: [
      [named(1), does('name'), does('giveRoom', 1)],
      [named(1), does('judge')],
    ],
    faults: { ...none, losses: 1, aborts: 1 },
  },
  {
    what: 'room is given to one that gives up the same group',
    options: { groups: 1, groupPages: 2, clean: true },
    deeds: [
      [named(1), does('release')],
      [named(1), does('name'), does('giveRoom', 0)],
    ],
    faults: { ...none, losses: 1, aborts: 1 },
  },
  {
    what: 'two want the last page',
    options: { groups: 1, groupPages: 1, clean: true },
    deeds: [
      [takes(1), frees],
      [takes(1), frees],
    ],
    faults: { losses: 1, aborts: 1, crashes: 1 },
  },
  {
    what: 'two long runs overlap',
    options: { groups: 3, groupPages: 2, clean: true },
    deeds: [[takes(3)], [takes(3), frees]],
    faults: { ...none, losses: 1 },
  },
];

/** Every way that a few steps of two clients can mix, with every fault at every step. */
export function meet(policy: AllocationPolicy, meeting: Meeting): Exhausted {
  const make = (chronicle: boolean) => {
    const world = new World(policy, meeting.deeds.length, { grain: 64, ...meeting.options, remember: true, chronicle });
    for (const [at, deeds] of meeting.deeds.entries()) world.plan(at, deeds);
    if (meeting.takeover !== undefined) {
      world.simulation.addClient('U', [world.takeOver(world.clients[meeting.takeover]!)]);
    }
    const { simulation } = world;
    return { simulation, state: () => world.memo(), finish: () => world.settle() };
  };
  try {
    return exhaust(() => make(false), { faults: meeting.faults });
  } catch (error) {
    if (!(error instanceof Counterexample)) throw error;
    const scenario = make(true);
    try {
      retrace(scenario, error.path, meeting.faults);
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause);
      throw new LawBroken(
        `${meeting.what}: ${what}\n${scenario.simulation.chronicle}\n  path ${error.path.join(':')}`,
        {
          cause,
        },
      );
    }
    throw error;
  }
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
    check: (policy) => {
      for (const meeting of meetings) {
        const { states, complete } = meet(policy, meeting);
        if (!complete) throw new LawBroken(`${meeting.what}: more than ${states} states`);
      }
    },
  },
];

function checkAlone(policy: AllocationPolicy): void {
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
  if (!details.failed) return;
  const [shape, deeds] = details.counterexample!;
  const cause = details.errorInstance;
  const what = cause instanceof Error ? cause.message : String(cause);
  throw new LawBroken(
    `${what}\n  world ${shape}, deeds ${deeds}, seed ${details.seed}, path ${details.counterexamplePath}`,
    { cause },
  );
}
