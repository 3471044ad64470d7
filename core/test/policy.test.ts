import { type Extent, encodePrincipal, groupWordOffset, ownerOf, pageOffset, principalWordOffset } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { refusal, SharedRegion } from './fixtures/shared-region.js';

const MiB = 2 ** 20;
const small = { memberSlots: 2, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 };
const page = 4096;

const test = suite('policy atomic');

test('gives out a page of a group that it claims by one word, and takes it back', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const extent = client.allocate(1);
  assert.is(extent.pages, 1);
  assert.is(extent.page, 0);
  assert.ok(extent.live);
  assert.is(region.word(0), (1n << 48n) | (1n << 32n) | (1n << 30n));
  client.valid();
  client.free(extent);
  assert.not(extent.live);
  assert.is(client.usage().held, 0);
  client.valid();
});

test('keeps neighbours apart: every size fills its own pages', () => {
  const region = new SharedRegion(4 * MiB, small);
  const client = region.client();
  const taken = new Map<number, Extent>();
  for (let pages = 1; pages <= 50; pages++) {
    const extent = client.allocate(pages);
    assert.is(extent.pages, pages);
    for (let at = extent.page; at < extent.page + pages; at++) {
      assert.not(taken.has(at));
      taken.set(at, extent);
    }
    client.valid();
    assert.is(client.usage().held, taken.size);
    if (taken.size > 500) break;
  }
  for (const extent of new Set(taken.values())) {
    client.free(extent);
    client.valid();
  }
  assert.is(client.usage().held, 0);
});

test('zeroes what was dirty, and only that', () => {
  for (const clean of [false, true]) {
    const region = new SharedRegion(MiB, { ...small, clean });
    const junk = region.bytes({ page: 0, pages: region.pages });
    if (!clean) junk.fill(0xaa);
    const client = region.client();
    for (const pages of [1, 3, 16, 40]) {
      for (const initialise of ['zero', 'none'] as const) {
        const extent = client.allocate(pages, { initialise });
        const own = initialise === 'none' ? 0xbb : 0;
        assert.ok(region.bytes(extent).every((byte) => byte === 0 || byte === own));
        client.valid();
        region.bytes(extent).fill(0xbb);
        client.free(extent);
      }
    }
    const before = client.allocate(2, { initialise: 'none' });
    assert.ok(region.bytes(before).every((byte) => byte === 0 || byte === 0xbb));
    client.free(before);
    const after = client.allocate(2, { initialise: 'zero' });
    assert.ok(region.bytes(after).every((byte) => byte === 0));
  }
});

test('a group that goes back says which of its pages were never used', () => {
  const region = new SharedRegion(MiB, { ...small, clean: true });
  const client = region.client();
  const [one, other] = [client.allocate(16), client.allocate(3)];
  client.free(one);
  client.free(other);
  assert.is(ownerOf(Number(region.word(1) >> 32n)).principal, 0);
  assert.is(region.word(1), 0x01555555n);
  client.valid();
});

test('leaves the bytes of a named page to its caller', () => {
  const region = new SharedRegion(MiB, small);
  region.bytes({ page: 0, pages: 4 }).fill(0xaa);
  const client = region.client();
  const extent = client.allocate(4, { initialise: 'caller', named: true });
  assert.ok(region.bytes(extent).every((byte) => byte === 0xaa));
  assert.is(client.usage().withheld, 4);
  client.valid();
  assert.is(
    refusal(() => client.allocate(1, { initialise: 'caller' })),
    'InvalidArgument',
  );
  assert.is(
    refusal(() => client.allocate(1, { initialise: 'fast' as 'none' })),
    'InvalidArgument',
  );
});

test('puts a run where its offset is a multiple of the alignment', () => {
  const region = new SharedRegion(4 * MiB, small);
  const client = region.client();
  for (const alignment of [1, 8, page, 2 * page, 8 * page, 16 * page, 64 * page]) {
    for (const pages of [1, 2, 5, 16, 17, 33]) {
      client.allocate(1);
      const extent = client.allocate(pages, { alignment });
      assert.is(pageOffset(region.geometry, extent.page) % alignment, 0);
      client.valid();
      client.free(extent);
    }
  }
  for (const alignment of [0, 3, -1, 0.5, 6 * page, 2 ** 49 + 1, Number.NaN]) {
    assert.is(
      refusal(() => client.allocate(1, { alignment })),
      'OutOfRange',
    );
  }
  assert.is(
    refusal(() => client.allocate(1, { alignment: 2 ** 40 })),
    'Fragmented',
  );
});

test('refuses sizes that are none, and holds nothing after that', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  for (const pages of [0, -1, 0.5, Number.NaN, 2 ** 53, region.pages + 1, '4' as unknown as number]) {
    assert.is(
      refusal(() => client.allocate(pages)),
      'OutOfRange',
    );
  }
  assert.is(client.usage().free, region.pages);
});

test('a handle is worth something once, and to its allocator alone', () => {
  const region = new SharedRegion(MiB, small);
  const [client, stranger] = [region.client(), region.client()];
  for (const pages of [2, 40]) {
    const extent = client.allocate(pages);
    const before = region.table();
    assert.is(
      refusal(() => stranger.free(extent)),
      'PermissionDenied',
    );
    assert.is(
      refusal(() => stranger.run(stranger.allocator.withhold(extent))),
      'PermissionDenied',
    );
    assert.equal(region.table(), before);
    client.free(extent);
    const after = region.table();
    assert.is(
      refusal(() => client.free(extent)),
      'StaleHandle',
    );
    assert.is(
      refusal(() => client.run(client.allocator.withhold(extent))),
      'StaleHandle',
    );
    assert.equal(region.table(), after);
    client.valid();
  }
  assert.is(
    refusal(() => client.free({ page: 0, pages: 1, live: true })),
    'PermissionDenied',
  );
});

test('fills a region to its last page, and again the same', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  for (const pages of [1, 3, 16, 5]) {
    const extents: Extent[] = [];
    const refused = refusal(() => {
      for (;;) extents.push(client.allocate(pages));
    });
    const { free, room } = client.usage();
    assert.is(refused, free + room >= pages ? 'Fragmented' : 'RegionFull');
    if (region.geometry.groupPages % pages === 0) assert.is(extents.length * pages, region.pages);
    client.valid();
    for (const extent of extents) client.free(extent);
    assert.is(client.usage().held, 0);
    client.valid();
  }
  const whole = client.allocate(region.pages);
  assert.is(whole.page, 0);
  assert.is(
    refusal(() => client.allocate(1)),
    'RegionFull',
  );
  client.free(whole);
  client.valid();
});

test('says Fragmented where there is room enough, but not in one piece', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const blocks = Array.from({ length: region.groups }, () => client.allocate(16));
  for (const [at, block] of blocks.entries()) if (at % 2 === 0) client.free(block);
  assert.is(
    refusal(() => client.allocate(17)),
    'Fragmented',
  );
  assert.is(client.allocate(16).pages, 16);
  client.valid();
});

test('two clients never get the same page, and see what the other gave back', () => {
  const region = new SharedRegion(MiB, small);
  const clients = [region.client(), region.client()];
  const owner = new Map<number, number>();
  const refused = refusal(() => {
    for (let turn = 0; ; turn++) {
      const extent = clients[turn % 2]!.allocate(1);
      assert.not(owner.has(extent.page));
      owner.set(extent.page, turn % 2);
    }
  });
  assert.is(refused, 'RegionFull');
  for (const client of clients) client.valid();
  assert.ok(owner.size > region.pages - 2 * region.geometry.groupPages);
});

test('hands nothing out once the principal belongs to somebody else', () => {
  const region = new SharedRegion(MiB, small);
  const identity = region.identity();
  const client = region.client(identity);
  const extent = client.allocate(1);
  const dying = encodePrincipal({ state: 4, incarnation: 1, member: 1, memberIncarnation: 1, policy: 0 });
  region.session.compareExchange(principalWordOffset(region.geometry, identity.principal), identity.word, dying);
  for (const pages of [1, 16, 40]) {
    assert.is(
      refusal(() => client.allocate(pages)),
      'Fenced',
    );
  }
  assert.is(
    refusal(() => client.free(extent)),
    'Fenced',
  );
});

test('a word that a stranger changed is called damaged', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const extent = client.allocate(1);
  const word = region.word(0);
  region.session.compareExchange(groupWordOffset(region.geometry, 0), word, 0n);
  assert.is(
    refusal(() => client.free(extent)),
    'Damaged',
  );
});

test('withholds a run for a name, and gives back what was not named', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const { allocator } = client;
  for (const pages of [3, 20]) {
    const extent = client.allocate(pages);
    client.run(allocator.withhold(extent));
    assert.is(client.usage().withheld, pages);
    client.valid();
    allocator.settle(extent.page, pages - 1);
    client.run(allocator.release(extent.page, pages));
    assert.is(client.usage().withheld, pages - 1);
    client.valid();
    allocator.dismiss(extent.page, pages, 7);
    assert.is(allocator.dismissed, pages - 1);
    assert.is(client.run(allocator.sweep(7)), 0);
    assert.is(client.run(allocator.sweep(8)), pages - 1);
    assert.is(client.usage().withheld, 0);
    client.valid();
  }
});

test('freeing pages that a name has leaves them alone', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const extent = client.allocate(4, { initialise: 'zero', named: true });
  client.allocator.settle(extent.page, 4);
  client.free(extent);
  assert.is(client.usage().withheld, 4);
  client.valid();
});

test('gives room away together with the custody of what is named there', () => {
  const region = new SharedRegion(MiB, small);
  const [giver, taker] = [region.client(), region.client()];
  const named = giver.allocate(5, { initialise: 'zero', named: true });
  const to = taker.allocator.identity;
  assert.not(giver.run(giver.allocator.giveRoom(to, 3)));
  giver.allocator.settle(named.page, 5);
  // Anybody can write anything into the word that asks.
  for (const nobody of [
    { ...to, incarnation: to.incarnation + 1 },
    { ...to, incarnation: to.incarnation - 1 },
    { principal: 0, incarnation: 0 },
    { principal: 65_535, incarnation: 1 },
  ]) {
    assert.not(giver.run(giver.allocator.giveRoom(nobody, 3)));
  }
  assert.not(giver.run(giver.allocator.giveRoom(to, 12)));
  assert.not(giver.run(giver.allocator.giveRoom(giver.allocator.identity, 3)));
  assert.ok(giver.run(giver.allocator.giveRoom(to, 3)));
  assert.ok(giver.allocator.empty);
  giver.valid();
  taker.run(taker.allocator.discover());
  taker.valid();
  assert.is(taker.allocate(3).page, named.page + 5);
  assert.is(
    taker.allocator.judge(taker.allocator.suspects(), (page) => page < named.page + 2, 4),
    3,
  );
  assert.is(taker.run(taker.allocator.sweep(5)), 3);
  assert.is(taker.usage().withheld, 2);
  taker.valid();
});

test('merges what another principal of the same client has', () => {
  const region = new SharedRegion(MiB, small);
  const [identity, other] = [region.identity(), region.client()];
  const old = region.client(identity);
  for (const pages of [3, 16, 35]) old.allocate(pages, { initialise: 'zero', named: true });
  const groups = old.usage().principals.get(identity.principal)!.groups;
  other.allocate(1);
  assert.is(other.run(other.allocator.merge(identity)), groups);
  other.valid();
  assert.is(other.usage().principals.get(identity.principal), undefined);
  assert.is(other.usage().withheld, 54);
  assert.is(other.run(other.allocator.merge(identity)), 0);
});

test('a client that leaves keeps what has a name, and nothing else', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const kept = client.allocate(20, { initialise: 'zero', named: true });
  client.allocator.settle(kept.page, 20);
  client.allocate(2, { initialise: 'zero', named: true });
  const lost = client.allocate(40);
  client.allocate(3);
  client.run(client.allocator.surrender());
  client.valid();
  const { withheld, held } = client.usage();
  assert.equal({ withheld, held }, { withheld: 20, held: 0 });
  assert.is(
    refusal(() => client.free(lost)),
    'StaleHandle',
  );
  client.allocator.dismiss(kept.page, 20, 1);
  client.run(client.allocator.sweep(2));
  client.run(client.allocator.surrender());
  assert.ok(client.allocator.empty);
  assert.is(client.usage().free, region.pages);
});

test('says why a run lies where it lies', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const reasons = [1, 1, 30].map((pages) => client.allocator.explain(client.allocate(pages)));
  assert.is(new Set(reasons).size, 3);
  assert.match(reasons[0]!, /group 0.*lowest group/);
  assert.match(reasons[1]!, /page 1 .*started group/);
  assert.match(reasons[2]!, /groups \d+ to \d+.*far end/);
});

test('a run of more groups than one batch carries is claimed, withheld and freed as one', () => {
  const region = new SharedRegion(24 * MiB, { ...small, groupPages: 1, clean: true });
  const [client, rival] = [region.client(), region.client()];
  const pages = 3000;
  assert.ok(region.groups > 2 * pages - 1000);
  const extent = client.allocate(pages);
  assert.is(client.usage().held, pages);
  client.valid();
  client.free(extent);
  assert.is(client.usage().held, 0);
  client.valid();
  // Somebody sits in the middle of where the next one is looked for.
  const seat = client.allocate(1);
  const names = client.allocate(pages, { initialise: 'caller', named: true });
  client.run(client.allocator.release(names.page, pages));
  client.valid();
  const late = rival.allocate(region.groups - 2);
  assert.is(
    refusal(() => client.allocate(pages)),
    'RegionFull',
  );
  client.valid();
  rival.run(rival.allocator.withhold(late));
  assert.is(client.usage().withheld, late.pages);
  rival.run(rival.allocator.release(late.page, late.pages));
  client.free(seat);
  client.valid();
  rival.valid();
});

test('a run that meets another far behind its first batch gives back what it had', () => {
  const region = new SharedRegion(24 * MiB, { ...small, groupPages: 1, clean: true });
  const [client, rival] = [region.client(), region.client()];
  client.free(client.allocate(2));
  // Behind the back of what the client has seen.
  const others = Array.from({ length: region.groups - 3000 }, () => rival.allocate(1));
  const extent = client.allocate(2900);
  assert.ok(extent.page >= others.length);
  client.valid();
  rival.valid();
  assert.is(client.usage().held, others.length + 2900);
});

test('a table longer than one reading', () => {
  const region = new SharedRegion(300 * MiB, { ...small, groupPages: 1, reserveGroups: 1 });
  assert.ok(region.groups > 70_000);
  const [client, other] = [region.client(), region.client()];
  const whole = client.allocate(region.groups - 1, { initialise: 'caller', named: true });
  const last = other.allocate(1);
  assert.is(
    refusal(() => other.allocate(1)),
    'RegionFull',
  );
  client.run(client.allocator.release(whole.page, whole.pages));
  assert.is(client.usage().largestRun, whole.pages);
  other.free(last);
  client.valid();
  other.valid();
  assert.is(other.run(other.allocator.merge(client.allocator.identity)), 0);
});

test('works with groups and pages of any size', () => {
  for (const groupPages of [1, 2, 3, 7, 15, 16]) {
    for (const pageSize of [4096, 16_384]) {
      const region = new SharedRegion(8 * MiB, { ...small, groupPages, pageSize, clean: true });
      const client = region.client();
      const extents = [1, groupPages, groupPages + 1, 3 * groupPages - 1].map((pages) => client.allocate(pages));
      client.valid();
      for (const extent of extents) client.free(extent);
      client.valid();
      const whole = client.allocate(region.pages, { initialise: 'zero' });
      client.valid();
      client.free(whole);
      assert.is(client.usage().free, region.pages);
      client.valid();
    }
  }
});

test.run();
