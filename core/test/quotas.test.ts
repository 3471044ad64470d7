import { assert, suite } from '@exomem/testing';
import { memberState, type QuotaTable, quotaLines } from '../src/index.js';

const test = suite('quotas');

const { free, joining, active, fenced } = memberState;
const line = (principal: number, member: number, memberIncarnation: number) => ({
  principal,
  incarnation: 1,
  member,
  memberIncarnation,
});
const using = (...pages: number[]) => ({
  principals: new Map(pages.map((held, at) => [at + 1, { groups: 1, held, withheld: 1, room: 0 }])),
});

test('what is in use is held against the own quota, else the default', () => {
  const members = [{ state: active, incarnation: 5, steward: false }];
  const table = { default: 4096, principals: { '2.1': 8192, '3.2': 0 } };
  const lines = quotaLines(table, members, [line(1, 0, 5), line(2, 0, 5), line(3, 0, 5)], using(1, 1, 0), 4096);
  assert.equal(
    lines.map(({ used, limit, over }) => [used, limit, over]),
    [
      [8192, 4096, true],
      [8192, 8192, false],
      // The quota of another incarnation is not its own.
      [4096, 4096, false],
    ],
  );
});

test('the default is about no principal of a steward, living or dead, and about whoever has its slot next', () => {
  const limit = (state: number, { steward = true, incarnation = 5, own = false }) => {
    const table: QuotaTable = { default: 1, principals: own ? { '1.1': 2 } : {} };
    const [found] = quotaLines(table, [{ state, incarnation, steward }], [line(1, 0, 5)], using(1), 4096);
    return found!.limit;
  };
  for (const state of [joining, active, fenced]) assert.is(limit(state, {}), undefined);
  assert.is(limit(active, { own: true }), 2);
  assert.is(limit(free, {}), 1);
  assert.is(limit(active, { incarnation: 6 }), 1);
  assert.is(limit(active, { steward: false }), 1);
  // Nobody is there by that number.
  assert.is(quotaLines({ default: 1, principals: {} }, [], [line(1, 7, 1)], using(1), 4096)[0]!.limit, 1);
});

test.run();
