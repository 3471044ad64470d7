import {
  allocateMany,
  ExomemError,
  type Extent,
  freeMany,
  isExomemError,
  type ManyRequest,
  type Protocol,
  type Step,
  type StepResult,
  userGroups,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { refusal, type SharedClient, SharedRegion } from './fixtures/shared-region.js';

const MiB = 2 ** 20;
const small = { memberSlots: 2, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 };

const test = suite('many at once');

function many(client: SharedClient, count: number, pages: number, options: Partial<ManyRequest> = {}) {
  return client.run(allocateMany(client.allocator, { count, pages, initialise: 'none', ...options }));
}
function free(client: SharedClient, extents: readonly Extent[]): void {
  client.run(freeMany(client.allocator, extents));
}
function apart(extents: readonly Extent[]): void {
  const seen = new Set<number>();
  for (const { page, pages } of extents) {
    for (let at = page; at < page + pages; at++) {
      assert.not(seen.has(at), `page ${at} twice`);
      seen.add(at);
    }
  }
}

test('of every size, beside what is there already, and all of it comes back', () => {
  const region = new SharedRegion(4 * MiB, small);
  const [one, other] = [region.client(), region.client()];
  const before = [one.allocate(3), one.allocate(1), other.allocate(2)];
  for (const pages of [1, 2, 3, 5, 8, 9, 16, 17, 40]) {
    const extents = many(one, 7, pages);
    assert.is(extents.length, 7);
    assert.ok(extents.every((extent) => extent.pages === pages && extent.live));
    apart([...extents, ...before]);
    one.valid();
    assert.is(one.usage().held, 7 * pages + 6);
    free(one, extents);
    assert.ok(extents.every(({ live }) => !live));
    assert.is(one.usage().held, 6);
    one.valid();
    other.valid();
  }
});

test('a step for each thousand of words, and one for the fence, whatever the number', () => {
  const region = new SharedRegion(64 * MiB, { ...small, clean: true });
  const client = region.client();
  let batches = 0;
  const protocol = allocateMany(client.allocator, { count: 10_000, pages: 1, initialise: 'zero' });
  let state = protocol.next();
  while (!state.done) {
    const step = state.value;
    // The first look at the table, and then the claim.
    assert.ok(step.op === 'read' || step.op === 'batch' || step.op === 'now', step.op);
    if (step.op === 'batch') {
      batches++;
      assert.is(step.steps.length, 626);
      assert.is(step.steps.at(-1)!.op, 'load');
      const answer = region.session.batch(step.steps) as never;
      state = protocol.next(answer);
    } else {
      if (step.op === 'read') region.session.read(step.offset, step.bytes);
      state = protocol.next(step.op === 'now' ? 0 : undefined);
    }
  }
  assert.is(batches, 1);
  apart(state.value);
  client.valid();
});

test('all or nothing: what cannot be had whole holds nothing', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const keeper = region.client();
  const kept = keeper.allocate(1);
  const { groupPages } = region.geometry;
  const groups = userGroups(region.geometry);
  assert.is(
    refusal(() => many(client, (groups - 1) * groupPages + 1, 1)),
    'RegionFull',
  );
  assert.is(client.usage().held, 1);
  // Runs of nine pages: one for each group.
  assert.is(
    refusal(() => many(client, groups, 9)),
    'Fragmented',
  );
  assert.is(
    refusal(() => many(client, 2, (groups - 2) * groupPages)),
    'OutOfRange',
  );
  // As many pages as there are, and a group too few for the second run: their number is made odd.
  const odd = (groups - 1) % 2 === 1 ? undefined : keeper.allocate(groupPages);
  const left = odd === undefined ? groups - 1 : groups - 2;
  assert.is(
    refusal(() => many(client, 2, (left * groupPages) / 2)),
    'Fragmented',
  );
  if (odd !== undefined) free(keeper, [odd]);
  client.valid();
  assert.is(client.usage().held, 1);
  const all = many(client, (groups - 1) * groupPages, 1);
  assert.is(client.usage().held, all.length + 1);
  free(client, all);
  keeper.free(kept);
  client.valid();
});

test('refuses in words what makes no sense', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  for (const count of [0, -1, 1.5, Number.NaN, 2 ** 40]) {
    assert.is(
      refusal(() => many(client, count, 1)),
      'OutOfRange',
      String(count),
    );
  }
  assert.is(
    refusal(() => many(client, 1, 0)),
    'OutOfRange',
  );
  assert.is(
    refusal(() => many(client, 2, 1, { initialise: 'caller' as never })),
    'InvalidArgument',
  );
  const stranger = region.client();
  const extents = many(client, 4, 2);
  const foreign = stranger.allocate(1);
  // None of them is freed where one is refused.
  assert.is(
    refusal(() => free(client, [...extents, foreign])),
    'PermissionDenied',
  );
  assert.is(
    refusal(() => free(client, [...extents, extents[0]!])),
    'StaleHandle',
  );
  assert.ok(extents.every(({ live }) => live));
  assert.is(client.usage().held, 9);
  free(client, extents);
  assert.is(
    refusal(() => free(client, extents)),
    'StaleHandle',
  );
  client.valid();
  stranger.valid();
});

test('nobody sees a byte of another, and zero is zero', () => {
  for (const clean of [false, true]) {
    const region = new SharedRegion(2 * MiB, { ...small, clean });
    if (!clean) region.bytes({ page: 0, pages: region.pages }).fill(0xaa);
    const [one, other] = [region.client(), region.client()];
    for (let round = 0; round < 3; round++) {
      for (const [client, own] of [
        [one, 0xb1],
        [other, 0xb2],
      ] as const) {
        for (const initialise of ['zero', 'none'] as const) {
          for (const [count, pages] of [
            [5, 1],
            [1, 1],
            [40, 1],
            [6, 3],
            [3, 16],
            [2, 20],
          ] as const) {
            const extents = many(client, count, pages, { initialise });
            for (const extent of extents) {
              const allowed = initialise === 'none' ? own : 0;
              assert.ok(region.bytes(extent).every((byte) => byte === 0 || byte === allowed));
              region.bytes(extent).fill(own);
            }
            client.valid();
            free(client, extents);
          }
        }
      }
    }
  }
});

test('aligned, each of them', () => {
  const region = new SharedRegion(4 * MiB, small);
  const client = region.client();
  const { dataOffset, pageSize } = region.geometry;
  for (const [count, pages, alignment] of [
    [20, 1, 8192],
    [10, 3, 16384],
    [5, 5, 65536],
  ] as const) {
    const extents = many(client, count, pages, { alignment });
    assert.ok(extents.every(({ page }) => (dataOffset + page * pageSize) % alignment === 0));
    apart(extents);
    client.valid();
    free(client, extents);
  }
});

test('a policy without a way of its own is asked run by run, and holds nothing after a refusal', () => {
  const region = new SharedRegion(MiB, small);
  const client = region.client();
  const plain = new Proxy(client.allocator, {
    get(target, name) {
      if (name === 'allocateMany' || name === 'freeMany') return undefined;
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const extents = client.run(allocateMany(plain, { count: 9, pages: 4, initialise: 'zero' }));
  apart(extents);
  const held = client.usage().held;
  assert.is(
    refusal(() => client.run(allocateMany(plain, { count: 9999, pages: 4, initialise: 'zero' }))),
    'RegionFull',
  );
  assert.is(client.usage().held, held);
  client.run(freeMany(plain, extents));
  client.valid();
});

/** Runs a protocol, and loses the answer to one of its steps on the region, which has happened or not. */
function losing<T>(region: SharedRegion, protocol: Protocol<T>, lost: number, happened: boolean): T {
  let at = 0;
  let state = protocol.next();
  while (!state.done) {
    const lose = (state.value.op === 'read' || state.value.op === 'batch') && at++ === lost;
    const answer = lose && !happened ? undefined : answerTo(region, state.value);
    state = lose ? protocol.throw(new ExomemError('OutcomeUnknown', 'lost')) : protocol.next(answer);
  }
  return state.value;
}
function answerTo(region: SharedRegion, step: Step): StepResult {
  switch (step.op) {
    case 'read':
      return region.session.read(step.offset, step.bytes) as undefined;
    case 'batch':
      return region.session.batch(step.steps) as StepResult;
    case 'load':
      return region.session.load(step.offset) as bigint;
    case 'now':
      return 0;
    case 'random':
      return 7;
    default:
      return undefined;
  }
}

test('whatever reply is lost, what was claimed is known or free', () => {
  for (const happened of [true, false]) {
    for (let lost = 0; lost < 8; lost++) {
      const region = new SharedRegion(MiB, small);
      const client = region.client();
      client.allocate(2);
      const request = { count: 21, pages: 2, initialise: 'zero' } as const;
      const extents = losing(region, allocateMany(client.allocator, request), lost, happened);
      assert.is(extents.length, 21);
      apart(extents);
      client.valid();
      assert.is(client.usage().held, 44);
      losing(region, freeMany(client.allocator, extents), lost, happened);
      client.valid();
      assert.is(client.usage().held, 2);
    }
  }
});

test('any mixture of sizes and numbers, against a plain count', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 20 }), fc.nat(3)), {
        maxLength: 25,
      }),
      (deeds) => {
        const region = new SharedRegion(2 * MiB, small);
        const clients = [region.client(), region.client()];
        const held: (readonly Extent[])[][] = [[], []];
        for (const [who, count, pages, kind] of deeds) {
          const client = clients[who]!;
          if (kind === 0 && held[who]!.length > 0) {
            free(client, held[who]!.splice(count % held[who]!.length, 1)[0]!);
          } else {
            try {
              held[who]!.push(many(client, count, pages, { initialise: kind % 2 === 0 ? 'zero' : 'none' }));
            } catch (error) {
              const codes = ['RegionFull', 'Fragmented', 'OutOfRange'];
              if (!isExomemError(error) || !codes.includes(error.code)) throw error;
            }
          }
          client.valid();
          const all = held.flat(2);
          apart(all);
          assert.is(
            client.usage().held,
            all.reduce((sum, one) => sum + one.pages, 0),
          );
        }
      },
    ),
    { numRuns: 60, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  );
});

test.run();
