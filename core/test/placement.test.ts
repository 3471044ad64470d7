import {
  aligned,
  alignedTo,
  bestFit,
  type Extent,
  firstFit,
  highHalf,
  lowFragmentation,
  ownerOf,
  type Placement,
  pageOffset,
  placements,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { refusal, type SharedClient, SharedRegion } from './fixtures/shared-region.js';

const MiB = 2 ** 20;
const small = { memberSlots: 2, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 };

const test = suite('placements');

/** Whether a run fits into what a client could have, judged by the bytes of the table alone. */
function fits(
  { region }: SharedClient,
  owner: number,
  pages: number,
  alignment: number,
): { free: number; fits: boolean } {
  const { groupPages } = region.geometry;
  const isFree: boolean[] = [];
  for (const word of region.table()) {
    const { principal } = ownerOf(highHalf(word));
    for (let index = 0; index < groupPages; index++) {
      const bits = (word >> BigInt(30 - 2 * index)) & 3n;
      isFree.push(principal === 0 || (principal === owner && bits === 0n));
    }
  }
  const long = pages > groupPages;
  const length = long ? Math.ceil(pages / groupPages) * groupPages : pages;
  for (let page = 0; page + length <= isFree.length; page++) {
    if (long ? page % groupPages !== 0 : (page % groupPages) + pages > groupPages) continue;
    if (pageOffset(region.geometry, page) % alignment !== 0) continue;
    if (isFree.slice(page, page + length).every(Boolean)) return { free: isFree.filter(Boolean).length, fits: true };
  }
  return { free: isFree.filter(Boolean).length, fits: false };
}

/** Ways to place that are unlike the shipped ones. */
const strange: readonly Placement[] = [
  { name: 'none', apiVersion: 1, place: () => -1, explain: () => 'nowhere' },
  {
    name: 'long runs alone',
    apiVersion: 1,
    place: (space, need) => (need.groups > 0 ? firstFit.place(space, need) : -1),
    explain: () => 'it is long',
  },
];

const deeds = fc.array(
  fc.record({
    client: fc.nat(1),
    pages: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 80 })),
    alignment: fc.constantFrom(4096, 4096, 4096, 8192, 65_536, 262_144),
    frees: fc.boolean(),
    pick: fc.nat(),
  }),
  { maxLength: 60, size: 'max' },
);

for (const placement of [...placements, { ...alignedTo(128 * 1024), name: 'aligned to less' }, ...strange]) {
  for (const groupPages of [16, 5]) {
    test(`${placement.name}, ${groupPages} pages a group: runs lie apart, inside and aligned; what fits is found`, () => {
      fc.assert(
        fc.property(deeds, (course) => {
          const region = new SharedRegion(MiB, { ...small, groupPages });
          const clients = [0, 1].map(() => region.client(region.identity(), placement));
          const held: { client: number; extent: Extent }[] = [];
          for (const { client: number, pages, alignment, frees, pick } of course) {
            const client = clients[number]!;
            if (frees) {
              const [one] = held.splice(pick % Math.max(1, held.length), 1);
              if (one !== undefined) clients[one.client]!.free(one.extent);
              continue;
            }
            const before = fits(client, number + 1, pages, alignment);
            let extent: Extent | undefined;
            const code = refusal(() => {
              extent = client.allocate(pages, { alignment });
            });
            const expected = before.fits ? 'nothing was refused' : before.free < pages ? 'RegionFull' : 'Fragmented';
            if (pages <= region.pages) assert.is(code, expected);
            if (extent === undefined) continue;
            const { page } = extent;
            assert.is(extent.pages, pages);
            assert.is(pageOffset(region.geometry, page) % alignment, 0);
            assert.ok(page >= 0 && page + pages <= region.pages);
            for (const { extent: other } of held) {
              assert.ok(page + pages <= other.page || other.page + other.pages <= page);
            }
            assert.match(client.allocator.explain(extent), /^\d+ page\(s\) from page \d+ in groups? \d+.*: \w.*\w/);
            held.push({ client: number, extent });
          }
          for (const client of clients) client.valid();
          for (const { client, extent } of held) clients[client]!.free(extent);
          for (const client of clients) client.run(client.allocator.surrender());
          assert.is(clients[0]!.usage().free, region.pages);
        }),
        { numRuns: 150 },
      );
    });
  }
}

test('each puts a long run where it says', () => {
  /** Free are groups 0 to 3, 5 to 6, 8 to 10, 12 to 17 and 19 to 20. */
  const withGaps = (placement: Placement) => {
    const made = new SharedRegion(4 * MiB, small);
    const setter = made.client(made.identity(), firstFit);
    const { groupPages } = made.geometry;
    const open = [4, 2, 3, 6, 2].map((length) => {
      const extent = setter.allocate(length * groupPages);
      setter.allocate(groupPages);
      return extent;
    });
    setter.allocate((made.groups - 22) * groupPages);
    for (const extent of open) setter.free(extent);
    return { client: made.client(made.identity(), placement), groupPages };
  };
  const where = (placement: Placement, groups: number): [number, string] => {
    const { client, groupPages } = withGaps(placement);
    const extent = client.allocate(groups * groupPages);
    return [extent.page / groupPages, client.allocator.explain(extent)];
  };
  assert.equal(where(firstFit, 2)[0], 0);
  assert.equal(where(firstFit, 5)[0], 12);
  assert.match(where(firstFit, 2)[1], /groups 0 to 1: the lowest run/);
  assert.equal(where(bestFit, 2)[0], 5);
  assert.equal(where(bestFit, 3)[0], 8);
  assert.match(where(bestFit, 3)[1], /the shortest run/);
  assert.equal(where(lowFragmentation, 2)[0], 19);
  assert.equal(where(lowFragmentation, 3)[0], 8);
  assert.equal(where(lowFragmentation, 5)[0], 13);
  assert.match(where(lowFragmentation, 5)[1], /towards the far end/);
});

test('each puts a short run where it says', () => {
  const course = (placement: Placement): number[] => {
    const region = new SharedRegion(MiB, small);
    const client = region.client(region.identity(), placement);
    const { groupPages } = region.geometry;
    // Two groups: the first is left with a hole of six pages, the second with one of two.
    const first = [10, 6].map((pages) => client.allocate(pages));
    const second = [14, 2].map((pages) => client.allocate(pages));
    client.free(first[1]!);
    client.free(second[1]!);
    const extents = [1, 1, 6].map((pages) => client.allocate(pages));
    assert.ok(extents.every(({ page, pages }) => (page % groupPages) + pages <= groupPages));
    return extents.map(({ page }) => page);
  };
  assert.equal(course(firstFit), [10, 11, 32]);
  assert.equal(course(bestFit), [30, 31, 10]);
  assert.equal(course(lowFragmentation), [30, 31, 10]);
});

test('long runs begin at multiples of 2 MiB as long as there are any; then elsewhere, and it is said', () => {
  const region = new SharedRegion(20 * MiB, small);
  const client = region.client(region.identity(), aligned);
  const pages = (2 * MiB) / 4096;
  const seen = { at: 0, elsewhere: 0 };
  const starts: number[] = [];
  for (;;) {
    let extent: Extent | undefined;
    const code = refusal(() => {
      extent = client.allocate(pages + 16);
    });
    if (extent === undefined) {
      // Nothing was refused that any placement could have given.
      assert.ok(['RegionFull', 'Fragmented'].includes(code));
      assert.not(fits(client, 1, pages + 16, 4096).fits);
      break;
    }
    const begins = pageOffset(region.geometry, extent.page) % (2 * MiB) === 0;
    seen[begins ? 'at' : 'elsewhere']++;
    starts.push(extent.page);
    const says = client.allocator.explain(extent);
    assert.match(says, begins ? /begins at a multiple of 2 MiB/ : /no place at a multiple of 2 MiB was free/);
    if (seen.elsewhere === 0) assert.ok(begins);
  }
  assert.ok(seen.at >= 4, `${seen.at} at multiples, ${seen.elsewhere} elsewhere: ${starts}`);
  assert.ok(seen.elsewhere >= 1);
  const short = client.allocate(1);
  assert.not.match(client.allocator.explain(short), /2 MiB/);
  client.valid();
  // Who asks for the alignment itself is never given less.
  assert.is(
    refusal(() => client.allocate(pages, { alignment: 2 * MiB })),
    'Fragmented',
  );
});

test('a placement that chooses what is not free is told so, and nothing is held', () => {
  const places: readonly unknown[] = [0, 1e9, Number.NaN, undefined, 0.5, '0', 3];
  const region = new SharedRegion(MiB, small);
  const rival = region.client();
  for (let at = 0; at < 3; at++) rival.allocate(16);
  for (const place of places) {
    const placement: Placement = { name: 'mine', apiVersion: 1, place: () => place as number, explain: () => 'so' };
    const client = region.client(region.identity(), placement);
    client.run(client.allocator.discover());
    for (const pages of [1, 40]) {
      assert.is(
        refusal(() => client.allocate(pages)),
        'InvalidArgument',
      );
    }
    assert.ok(client.allocator.empty);
    client.valid();
  }
});

test('a placement that finds no place cannot refuse: the lowest is taken, and it is said', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client(region.identity(), strange[0]);
  const extent = client.allocate(3);
  assert.is(extent.page, 0);
  assert.match(client.allocator.explain(extent), /the lowest place: the placement "none" found none for it/);
});

test.run();
