import { assert, suite } from '@exomem/testing';
import { countUsage, type Holding, Occupancy, type PageRun, planGeometry, userGroups } from '../src/index.js';
import { livedIn } from './fixtures/lived-in-region.js';

const test = suite('occupancy');

const geometry = planGeometry(2 ** 20, { memberSlots: 2, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 });

/** Group words, by number. */
function occupancy(words: Record<number, bigint>): Occupancy {
  const table = new BigUint64Array(geometry.groupCount);
  for (const [group, word] of Object.entries(words)) table[Number(group)] = word;
  return new Occupancy(geometry, new Uint32Array(table.buffer));
}
const owned = (principal: number, low: number): bigint => (BigInt(principal) << 48n) | (1n << 32n) | BigInt(low);

test('runs are told apart by use, owner, and the heads of allocations', () => {
  const last = geometry.groupCount - 1;
  const found = occupancy({
    0: 0x5555_5555n,
    1: owned(1, 0b01_10_01_00_11_11_01_10_10_10_10_10_10_10_10_10),
    2: owned(1, 0b10_10_00_00_00_00_00_00_00_00_00_00_00_00_00_00),
    3: owned(2, 0b11_00_00_00_00_00_00_00_00_00_00_00_00_00_00_00),
    [last]: owned(2, 0xffff_ffff),
  });
  const runs = [...found.runs()].map(({ page, pages, holding, principal }) => [page, pages, holding, principal]);
  const middle = (last - 4) * 16;
  assert.equal(runs, [
    [0, 16, 'free', 0],
    [16, 2, 'held', 1],
    [18, 1, 'held', 1],
    [19, 1, 'room', 1],
    [20, 2, 'withheld', 1],
    [22, 12, 'held', 1],
    [34, 14, 'room', 1],
    [48, 1, 'withheld', 2],
    [49, 15, 'room', 2],
    [64, middle, 'free', 0],
    [last * 16, 16, 'snapshot', 2],
  ]);
  assert.is(found.usage.held, 15);
  assert.is(found.utilisation, 18 / (last * 16));
  assert.is(found.fragmentation, 1 - middle / (middle + 16));
});

test('nothing held, and everything', () => {
  const empty = occupancy({});
  assert.equal([empty.utilisation, empty.fragmentation], [0, 0]);
  assert.is([...empty.runs()].length, 2);
  const words = Object.fromEntries(
    Array.from({ length: userGroups(geometry) }, (_, group) => [group, owned(1, 0x6aaa_aaaa)]),
  );
  const full = occupancy(words);
  assert.equal([full.utilisation, full.fragmentation], [1, 0]);
});

test('of a region that was lived in, runs are all pages once, and add up to what is counted', async () => {
  const { bytes, geometry, long } = await livedIn();
  const words = new Uint32Array(
    bytes.slice(geometry.groupOffset, geometry.groupOffset + geometry.groupCount * 8).buffer,
  );
  const found = new Occupancy(geometry, words);
  const sums = new Map<Holding, number>();
  let next = 0;
  let first: PageRun | undefined;
  for (const run of found.runs()) {
    assert.is(run.page, next);
    next += run.pages;
    sums.set(run.holding, (sums.get(run.holding) ?? 0) + run.pages);
    if (run.page === long.page) first = run;
  }
  assert.is(next, geometry.groupCount * geometry.groupPages);
  assert.equal([first?.pages, first?.holding], [long.pages, 'held']);
  const { free, room, held, withheld } = countUsage(words.subarray(0, 2 * userGroups(geometry)), geometry.groupPages);
  assert.equal(
    [free, room, held, withheld],
    (['free', 'room', 'held', 'withheld'] as const).map((holding) => sums.get(holding) ?? 0),
  );
  assert.ok((sums.get('snapshot') ?? 0) > 0);
});

test.run();
