import {
  type Allocation,
  type AllocationPolicy,
  aligned,
  atomic,
  Client,
  decodeSuperblock,
  encodeSuperblock,
  type FormatOptions,
  findPolicy,
  firstFit,
  format,
  incompatible,
  isExomemError,
  type Placement,
  placements,
  policyFor,
  ruleOf,
  ruler,
  runSync,
  shippedPolicies,
  superblockBytes,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { refusal } from './fixtures/shared-region.js';
import { surroundings } from './surroundings.js';

const test = suite('which policy rules a region');

/** A user's own: it is what `atomic` is, by another name. */
const own = (name: string, more: Partial<AllocationPolicy> = {}): AllocationPolicy => ({
  name,
  apiVersion: 1,
  create: (context) => atomic.create(context),
  ...more,
});
const mine = own('mine');

function region(options: FormatOptions = {}) {
  const made = createRegion(8 * 2 ** 20);
  const transport = sharedArrayBuffer({ region: made });
  const session = transport.open('sab:region', { clientId: new Uint8Array(16), lane: 0 });
  const block = runSync(format(session.size, options), { session, surroundings });
  const bytes = new Uint8Array(superblockBytes);
  session.read(0, bytes);
  const join = (more: Partial<Parameters<typeof Client.open>[0]> = {}) =>
    Client.open({ transport, url: 'sab:region', surroundings, ...more });
  return { block, bytes, size: session.size, join };
}

test("a user's own policy is named in the superblock", () => {
  const { block, bytes, size } = region({ policy: mine });
  assert.is(block.incompat, 32n);
  assert.is(block.policy, 'mine');
  assert.equal([...bytes.subarray(224, 256)], [...Buffer.from('mine'), ...new Array(28).fill(0)]);
  assert.equal(decodeSuperblock(bytes, size).block, block);
  const plain = region();
  assert.is(plain.block.incompat, 1n);
  assert.not('policy' in plain.block);
  assert.ok(plain.bytes.subarray(224, 256).every((byte) => byte === 0));
  assert.equal([ruler(block), ruler(plain.block)], ['mine', 'atomic']);
});

test('one that says that it does as `atomic` does shares its regions', () => {
  const policy = own('tallied', { feature: incompatible.atomic });
  const { block } = region({ policy });
  assert.is(block.incompat, 1n);
  assert.is(policyFor(block, policy), policy);
  assert.is(policyFor(block), atomic);
});

test('names that no region can say are refused, and damage is what is none', () => {
  for (const name of ['', 'two words', 'ä', 'x'.repeat(33), 'tab\t']) {
    assert.is(
      refusal(() => ruleOf(own(name))),
      'InvalidArgument',
      name,
    );
    assert.is(
      refusal(() => region({ policy: own(name) })),
      'InvalidArgument',
      name,
    );
  }
  // They are those of the format.
  for (const name of ['atomic', 'locked', 'message']) {
    assert.is(
      refusal(() => ruleOf(own(name))),
      'InvalidArgument',
      name,
    );
  }
  assert.equal(ruleOf(own('x'.repeat(32))), { incompat: 32n, policy: 'x'.repeat(32) });
  const { block, size } = region({ policy: mine });
  for (const policy of ['', 'two words', 'a\0b']) {
    const bytes = encodeSuperblock({ ...block, policy });
    bytes[16] = 2;
    assert.is(
      refusal(() => decodeSuperblock(bytes, size)),
      'Damaged',
      JSON.stringify(policy),
    );
  }
});

test('policies are never mixed, and the refusal says which one rules and how to come by it', async () => {
  const [plain, custom] = [region(), region({ policy: mine })];
  const refused = async (joining: Promise<Client>): Promise<string> => {
    try {
      await (await joining).close();
    } catch (error) {
      assert.ok(isExomemError(error, 'Incompatible'), String(error));
      return `${error.message}: ${error.advice}`;
    }
    return 'nothing was refused';
  };
  assert.match(
    await refused(plain.join({ policy: mine })),
    /"atomic" rules the region, not "mine".*leave the policy out/,
  );
  assert.match(
    await refused(custom.join({ policy: atomic })),
    /"mine" rules the region, not "atomic".*--policy \.\/mine\.js/,
  );
  assert.match(await refused(custom.join({ policy: own('yours') })), /"mine" rules the region, not "yours"/);
  assert.match(await refused(custom.join()), /"mine" rules the region.*--policy \.\/mine\.js/);
  assert.match(await refused(custom.join({ registered: async () => undefined })), /"mine" rules the region/);
  const asked: string[] = [];
  const registered = async (name: string) => {
    asked.push(name);
    return mine;
  };
  for (const options of [{ policy: mine }, { registered }]) {
    const client = await custom.join(options);
    assert.ok((await client.allocate(100)).length === 100);
    await client.close();
  }
  assert.equal(asked, ['mine']);
  // What is not asked for is not looked for.
  assert.is(await findPolicy(plain.block, undefined, registered), atomic);
  assert.equal(asked, ['mine']);
  // Whoever only looks needs no policy.
  const observer = await custom.join({ role: 'observer' });
  assert.ok((await observer.usage()).total > 0);
  await observer.close();
});

test("a client's allocations, and those of its applications, go where its placement says", async () => {
  const asked: number[] = [];
  const placement: Placement = {
    ...firstFit,
    name: 'watching',
    place(space, need) {
      asked.push(need.pages);
      return firstFit.place(space, need);
    },
  };
  const { join } = region();
  const client = await join({ placement });
  const long = await client.allocate(40 * 4096);
  const application = await client.register();
  await application.allocate(17 * 4096);
  assert.ok(asked.includes(40) && asked.includes(17), String(asked));
  assert.match(long.explain(), /the lowest run of free groups/);
  const named = await client.allocate(3 * 4096, { name: '/file' });
  assert.match(named.explain(), /^the file \/file: 3 page\(s\) from page \d+ in group \d+: the lowest place/);
  await client.close();
});

test('each policy puts runs where the placement says: the two know nothing of each other', async () => {
  for (const placement of placements) {
    const courses: string[][] = [];
    for (const policy of shippedPolicies) {
      // What a policy keeps in the region costs groups: each has a hundred for its users.
      const { groupCount } = region({ policy }).block.geometry;
      const client = await region({ policy, reserveGroups: groupCount - 100 }).join({ placement });
      const course: string[] = [];
      const take = async (pages: number): Promise<Allocation> => {
        const allocation = await client.allocate(pages * 4096, { initialise: 'none' });
        const { dataOffset } = client.geometry;
        course.push(`${pages} at ${(allocation.offset - dataOffset) / 4096}: ${allocation.explain()}`);
        return allocation;
      };
      const first = [await take(3), await take(40), await take(5), await take(100), await take(1)];
      await first[1]!.free();
      await first[2]!.free();
      // Where multiples of 2 MiB lie depends on where the pages begin, and that on the policy.
      for (const pages of [20, 2, 4, 40, placement === aligned ? 80 : 520]) await take(pages);
      await client.close();
      courses.push(course);
    }
    assert.ok(courses.length >= 3);
    for (const course of courses) assert.equal(course, courses[0], placement.name);
  }
});

test.run();
