import { type AllocationPolicy, atomic, isExomemError, locked } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { deedLimit, readDeed } from '../src/policy-laws/workload.js';
import { World } from '../src/policy-laws/world.js';

const test = suite('policies that differ in coordination alone');

const shapes = [
  { groups: 5, groupPages: 4 },
  { groups: 3, groupPages: 16, clean: true },
  { groups: 9, groupPages: 1, clean: true },
];

/** What the words show after each deed, and what its client was told. */
function course(policy: AllocationPolicy, shape: (typeof shapes)[number], deeds: readonly number[]): string[] {
  const world = new World(policy, 2, shape);
  const told: string[] = [];
  for (const [at, number] of deeds.entries()) {
    const deed = readDeed(number, shape.groupPages, shape.groups * shape.groupPages);
    if (deed.kind === 'rest' || deed.kind === 'recover') continue;
    // Where aligned pages lie in a group depends on how long the tables are.
    if (deed.kind === 'allocate' && deed.alignment > 1) continue;
    let outcome = '';
    world.doAlone(at % 2, deed, ({ error }) => {
      outcome = isExomemError(error) ? error.code : String(error ?? '');
    });
    told.push(`${deed.kind} ${outcome}: ${world.ledger.words().map((word) => word.toString(16))}`);
  }
  return told;
}

test('locked leaves the words of atomic, one deed after the other', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...shapes),
      fc.array(fc.nat(deedLimit - 1), { maxLength: 60, size: 'max' }),
      (shape, deeds) => {
        assert.equal(course(locked, shape, deeds), course(atomic, shape, deeds));
      },
    ),
    { numRuns: 100 },
  );
});

test.run();
