import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { FreeRuns, type GroupRun } from '../src/policy/free-runs.js';

const test = suite('runs of free groups');

/** All runs, found by looking at each group. */
function runsOf(free: readonly boolean[]): GroupRun[] {
  const runs: GroupRun[] = [];
  for (let at = 0; at < free.length; at++) {
    if (!free[at]) continue;
    const start = at;
    while (at < free.length && free[at]) at++;
    runs.push({ start, end: at });
  }
  return runs;
}

/** Stretches that are free in turn and in use, some longer than a summary reaches. */
const stretches = fc.array(fc.oneof(fc.nat(6), fc.nat(1500), fc.constantFrom(1023, 1024, 1025, 2048)), {
  minLength: 1,
  maxLength: 9,
});

test('the next and the previous run are those that one finds by looking at each group', () => {
  fc.assert(
    fc.property(
      stretches,
      fc.array(fc.nat()),
      fc.nat(),
      fc.integer({ min: 1, max: 2600 }),
      (parts, flips, from, length) => {
        const free = parts.flatMap((groups, at) => new Array<boolean>(groups).fill(at % 2 === 0));
        if (free.length === 0) return;
        const runs = new FreeRuns(free.length);
        for (const [group, one] of free.entries()) runs.set(group, one);
        for (const [round, flip] of [undefined, ...flips].entries()) {
          // What was summed up once is summed up anew after a change.
          if (flip !== undefined) {
            const group = flip % free.length;
            free[group] = !free[group];
            runs.set(group, free[group]!);
          }
          const start = (from + round * 977) % (free.length + 1);
          for (const wanted of [1, length]) {
            const right = runsOf(free.map((one, at) => one && at >= start)).find(
              ({ start, end }) => end - start >= wanted,
            );
            const left = runsOf(free.map((one, at) => one && at < start)).findLast(
              ({ start, end }) => end - start >= wanted,
            );
            assert.equal(runs.next(wanted, start), right);
            assert.equal(runs.previous(wanted, start), left);
          }
          assert.is(runs.has(start), free[start] === true);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('all in use, and all free', () => {
  for (const groups of [1, 1023, 1024, 1025, 5000]) {
    const runs = new FreeRuns(groups);
    assert.is(runs.next(1), undefined);
    assert.is(runs.previous(1), undefined);
    for (let group = 0; group < groups; group++) runs.set(group, true);
    assert.equal(runs.next(groups), { start: 0, end: groups });
    assert.equal(runs.previous(groups), { start: 0, end: groups });
    assert.is(runs.next(groups + 1), undefined);
    assert.is(runs.previous(groups + 1), undefined);
    assert.equal(runs.next(1, groups - 1), { start: groups - 1, end: groups });
    assert.equal(runs.previous(1, 1), { start: 0, end: 1 });
  }
});

test.run();
