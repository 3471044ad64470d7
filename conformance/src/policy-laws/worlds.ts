import fc from 'fast-check';
import { scheduleLimit } from '../simulator/index.js';
import type { PolicySubject } from './explore.js';
import { deedLimit } from './workload.js';
import { World, type WorldOptions, type WorldRun } from './world.js';

/** Clients of a run, and what each is to do. */
export const runClients = 3;
export const runDeeds = 30;

const faults = { losses: 12, aborts: 3, crashes: 0 };

/** Few groups, so that everybody wants the same ones. */
const worlds: readonly WorldOptions[] = [
  { groups: 6, groupPages: 4, clean: true, faults: { losses: 12, aborts: 0, crashes: 0 } },
  { groups: 6, groupPages: 4, faults },
  { groups: 3, groupPages: 16, clean: true, faults },
  { groups: 8, groupPages: 3, clean: true, faults: { losses: 40, aborts: 6, crashes: 0 } },
  { groups: 6, groupPages: 4, clean: true, faults: { ...faults, crashes: 1 } },
  { groups: 16, groupPages: 1, faults },
  { groups: 6, groupPages: 4, clean: true, concurrency: 2, faults },
  { groups: 3, groupPages: 16, concurrency: 3, faults: { ...faults, crashes: 1 } },
];

/** The world of a run, with nothing done in it yet. */
export function worldOf({ world }: WorldRun, { policy, progress = true }: PolicySubject, chronicle = false): World {
  return new World(policy, runClients, { ...worlds[world % worlds.length], chronicle, progress });
}

/** Random runs. They shrink to fewer deeds and shorter schedules in the plainest world. */
export const worldRuns: fc.Arbitrary<WorldRun> = fc
  .record({
    world: fc.nat(worlds.length - 1),
    deeds: fc.array(fc.array(fc.nat(deedLimit - 1), { minLength: runDeeds, maxLength: runDeeds }), {
      minLength: runClients,
      maxLength: runClients,
    }),
    schedule: fc.array(fc.nat(scheduleLimit - 1), { maxLength: 700, size: 'max' }),
    // A quarter of the runs have a take-over.
    takeover: fc.nat(4 * runClients - 1).map((number) => number - 3 * runClients),
  })
  .map((run) => run);
