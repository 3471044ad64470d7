import { assert, suite } from '@exomem/testing';
import { createRegion, type SharedRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { auditRegion, repairRegion } from '../src/audit/index.js';
import {
  atomic,
  Client,
  decodeMember,
  type FormatOptions,
  format,
  formatPairUrl,
  isExomemError,
  locked,
  memberState,
  message,
  PairSession,
  pageOffset,
  pairLayout,
  pairTransport,
  planDataRegion,
  planRegion,
  RegionMemory,
  readSuperblock,
  runAsync,
  runSync,
  Steward,
  splitPairUrl,
  userGroups,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('metadata in a region of its own');
const lane = { clientId: new Uint8Array(16), lane: 0 };
const url = 'sab:data?metadata=sab:metadata';

function pairOf(regions: Record<string, SharedRegion>) {
  const transport = sharedArrayBuffer(regions);
  return pairTransport({ metadata: transport, data: transport });
}

function made(metadataBytes = 4 * MiB, dataBytes = 16 * MiB, options: FormatOptions = {}) {
  const regions = { metadata: createRegion(metadataBytes), data: createRegion(dataBytes) };
  const transport = sharedArrayBuffer(regions);
  const all = { zeroed: true, lease: 1000, ...options, dataBytes };
  const geometry = planRegion(metadataBytes, all);
  const { offset, bytes } = planDataRegion(geometry, new Uint8Array(16));
  const layout = { head: offset, from: 0, bytes, gates: 4096 };
  const [metadata, data] = [transport.open('sab:metadata', lane), transport.open('sab:data', lane)];
  const session = new PairSession(metadata, data, layout, url);
  const block = runSync(format(metadataBytes, all), { session, surroundings });
  assert.equal(pairLayout(block), layout);
  session.close();
  const pair = pairTransport({ metadata: transport, data: transport });
  const open = (role: 'member' | 'steward' | 'observer' = 'member') =>
    Client.open({ transport: pair, url, surroundings, role, label: role });
  return { regions, transport, pair, block, open };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isExomemError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'none';
}

async function check(transport: ReturnType<typeof pairOf>): Promise<void> {
  const session = await transport.connect(url, { ...lane, lane: 9 });
  const { damaged, findings } = runSync(auditRegion(session.size, {}), { session, surroundings });
  assert.equal([damaged, findings.filter(({ severity }) => severity === 'damage')], [false, []]);
  await session.close();
}

for (const policy of [atomic, locked, message]) {
  test(`data lies in the one region, everything else in the other: ${policy.name}`, () => apart({ policy }));
}

async function apart(options: FormatOptions): Promise<void> {
  const { regions, pair, block, open } = made(4 * MiB, 16 * MiB, options);
  await using client = await open();
  await using steward = await open('steward');
  const memory = await client.allocate(300_000);
  await memory.write(0, new Uint8Array(300_000).fill(7));
  await client.namespace.mkdir('/d');
  const file = await client.namespace.open('/d/f', { create: true });
  await file.write(0, new Uint8Array(100_000).fill(9));
  await file.close();
  await client.snapshot();
  await steward.refresh();
  const again = await steward.namespace.open('/d/f');
  const back = new Uint8Array(100_000);
  assert.is(await again.read(0, back), 100_000);
  assert.ok(back.every((byte) => byte === 9));
  await again.close();
  // Bytes of users are in the data region, at their offset less where it begins, and nowhere else.
  const at = memory.offset - block.data!.offset;
  const data = new Uint8Array(regions.data.segments[0]!);
  assert.ok(data.subarray(at, at + 300_000).every((byte) => byte === 7));
  const metadata = new Uint8Array(regions.metadata.segments[0]!);
  const { geometry } = block;
  assert.is(Buffer.from(metadata.buffer).indexOf(Buffer.alloc(32, 7)), -1);
  // The snapshot is in the metadata region, in the reserve behind where the data region is in the address space.
  const reserve = pageOffset(geometry, userGroups(geometry) * geometry.groupPages);
  assert.is(reserve, block.data!.offset + block.data!.bytes);
  const magic = (offset: number): number => new DataView(metadata.buffer).getUint32(offset, true);
  const groups = Array.from({ length: geometry.reserveGroups }, (_, group) => block.data!.offset + group * 65_536);
  assert.ok(groups.some((offset) => magic(offset) === 0x70_6e_73_65));
  await memory.free();
  await check(pair);
  assert.equal(await client.run(client.allocator.validate()), []);
}

test('all of the data region can be allocated, and no byte more', async () => {
  const { block, open } = made(4 * MiB, 16 * MiB);
  await using client = await open();
  const { geometry } = block;
  const pages = userGroups(geometry) * geometry.groupPages;
  assert.ok(pages * 4096 > 15.9 * MiB, 'next to nothing of the data region is lost');
  const held: { free(): Promise<void> }[] = [];
  let found = '';
  for (let bytes = 4 * MiB; found === '' || bytes >= 4096; ) {
    const refused = await refusal(client.allocate(bytes).then((memory) => void held.push(memory)));
    if (refused === 'none') continue;
    found = refused;
    bytes /= 2;
  }
  assert.ok(/^RegionFull/.test(found), found);
  assert.is((await client.usage()).free, 0);
  for (const memory of held) await memory.free();
});

test('what does not belong together is refused, and each half alone says what it is', async () => {
  const one = made();
  const other = made();
  const connect = (regions: Record<string, SharedRegion>, to = url) => refusal(pairOf(regions).connect(to, lane));
  const uuids = (block: typeof one.block) => Buffer.from(block.uuid).toString('hex').slice(0, 8);
  const wrong = await connect({ metadata: one.regions.metadata, data: other.regions.data });
  assert.match(wrong, /^Incompatible: the data region .* belongs to the region/);
  assert.match(wrong, uuids(one.block));
  assert.match(wrong, uuids(other.block));
  assert.match(
    await connect({ metadata: one.regions.data, data: one.regions.metadata }),
    /^Incompatible: this is the data region .*, whose metadata lies in the region/,
  );
  assert.match(
    await connect({ metadata: one.regions.metadata, data: createRegion(16 * MiB) }),
    /^Incompatible: what should be the data region does not begin as one/,
  );
  assert.match(
    await connect({ metadata: one.regions.metadata, data: createRegion(4 * MiB) }),
    /^Incompatible: a data region of 4194304 bytes is too short/,
  );
  assert.match(await connect({ metadata: createRegion(4 * MiB), data: one.regions.data }), /^NotFormatted/);
  const whole = createRegion(16 * MiB);
  const session = sharedArrayBuffer({ whole }).open('sab:whole', lane);
  runSync(format(session.size, { zeroed: true }), { session, surroundings });
  assert.match(await connect({ metadata: whole, data: one.regions.data }), /has its data in itself/);
  const alone = (name: string) =>
    refusal(Client.open({ transport: one.transport, url: `sab:${name}`, surroundings, role: 'observer' }));
  assert.match(await alone('metadata'), /^Incompatible: this is a metadata region/);
  assert.match(await alone('data'), /^Incompatible: this is the data region/);
  // One that has become longer than both together: what follows the tables is not the header of a data region.
  const vast = createRegion(32 * MiB);
  new Uint8Array(vast.segments[0]!).set(new Uint8Array(one.regions.metadata.segments[0]!));
  const longer = sharedArrayBuffer({ vast }).open('sab:vast', lane);
  const read = () => runSync(readSuperblock(longer.size), { session: longer, surroundings });
  assert.match(await refusal((async () => read())()), /^Incompatible: what should be the data region/);
});

test('a region is not formatted over either half of another', async () => {
  const { regions, pair } = made();
  for (const half of ['metadata', 'data'] as const) {
    const fresh = { metadata: createRegion(4 * MiB), data: createRegion(16 * MiB), [half]: regions[half] };
    const transport = sharedArrayBuffer(fresh);
    const options = { zeroed: true, dataBytes: 16 * MiB };
    const { offset, bytes } = planDataRegion(planRegion(4 * MiB, options), new Uint8Array(16));
    const layout = { head: offset, from: 0, bytes, gates: 4096 };
    const halves = [transport.open('sab:metadata', lane), transport.open('sab:data', lane)] as const;
    const session = new PairSession(...halves, layout, url);
    const made = async () => runSync(format(4 * MiB, options), { session, surroundings });
    assert.match(await refusal(made()), /^Exists/);
  }
  await check(pair);
});

test('what is damaged of a data region is found, and mended', async () => {
  const { regions, pair, block, open } = made();
  await using client = await open();
  await (await open()).close();
  const words = new BigUint64Array(regions.data.segments[0]!);
  const gate = 4096 / 8;
  const { slot } = client.member;
  const damages: Record<string, (() => void) | undefined> = {
    'is damaged': () => {
      words[80 / 8]! ^= 1n << 20n;
    },
    'which none is': () => {
      words[gate + slot]! |= 5n;
    },
    'of incarnation 77': () => {
      words[gate + ((slot + 5) % 16)] = (1n << 60n) | (77n << 40n);
    },
  };
  for (const [says, inflict] of Object.entries(damages)) {
    inflict!();
    const session = await pair.connect(url, { ...lane, lane: 9 });
    const bench = { session, surroundings };
    const audit = runSync(auditRegion(session.size, {}), bench);
    const found = audit.findings.filter(({ severity }) => severity === 'damage');
    assert.equal([audit.damaged, found.map(({ oracle }) => oracle)], [true, ['gates']]);
    assert.match(found[0]!.what, says);
    const repair = runSync(repairRegion(session.size, {}), bench);
    assert.equal([repair.after.damaged, repair.mends.length], [false, 1]);
    await session.close();
  }
  assert.equal(runSync(readSuperblock(2 ** 40), { session: client.session, surroundings }).block, block);
  // Whoever is bound goes on.
  await (await client.allocate(10)).write(0, new Uint8Array(10));
});

test('metadata in shared memory, data behind TCP: nobody is called dead who may live, and what is left is taken up', async () => {
  const [metadataBytes, dataBytes] = [4 * MiB, 16 * MiB];
  const sab = sharedArrayBuffer({ metadata: createRegion(metadataBytes) });
  await using appliance = new Appliance();
  appliance.expose('default', new RegionMemory([new SharedArrayBuffer(dataBytes)]));
  const address = await appliance.listen('127.0.0.1:0');
  const data = `tcp://127.0.0.1:${'port' in address ? address.port : 0}/default`;
  const both = formatPairUrl({ data, metadata: 'sab:metadata' });
  const options = { zeroed: true, lease: 1000, dataBytes };
  const { offset, bytes } = planDataRegion(planRegion(metadataBytes, options), new Uint8Array(16));
  const layout = { head: offset, from: 0, bytes, gates: 4096 };
  const far = await tcp().connect(data, lane);
  const session = new PairSession(sab.open('sab:metadata', lane), far, layout, both);
  await runAsync(format(metadataBytes, options), { session, surroundings });
  await session.close();
  const transport = pairTransport({ metadata: sab, data: tcp() });
  const open = (role: 'member' | 'steward') => Client.open({ transport, url: both, surroundings, role, label: role });
  await using keeper = await open('steward');
  const client = await open('member');
  assert.is(client.exclusion, 'proof');
  const { slot, incarnation } = client.member;
  const memory = await client.allocate(100_000);
  await memory.write(0, new Uint8Array(100_000).fill(1));
  assert.match(await refusal(keeper.kick(slot)), /^Unproven/);
  // It has lost nothing by that.
  await memory.write(0, new Uint8Array(100_000).fill(2));
  const file = await client.namespace.open('/f', { create: true });
  await file.write(0, new Uint8Array(50_000).fill(3));
  await file.close();
  assert.match(await refusal(memory.map()), /^UnsupportedCapability/);
  await client.close();
  await new Steward(keeper).round();
  const again = await keeper.namespace.open('/f');
  const back = new Uint8Array(50_000);
  await again.read(0, back);
  assert.ok(back.every((byte) => byte === 3));
  await again.close();
  assert.is((await keeper.members()).members[slot]!.state, memberState.free);
  const gate = decodeMember(await keeper.session.load(offset + 4096 + 8 * slot));
  assert.equal([gate.state, gate.incarnation], [memberState.fenced, incarnation]);
});

test('URLs name both, and whatever is in them comes back', () => {
  assert.is(splitPairUrl('tcp://a/b'), undefined);
  assert.is(splitPairUrl('unix:/a?region=b'), undefined);
  assert.equal(splitPairUrl('tcp://a:1/b?metadata=tcp://c:2/d'), {
    data: 'tcp://a:1/b',
    metadata: 'tcp://c:2/d',
  });
  for (const metadata of ['tcp://c:2/d', 'unix:/x/%41 y?region=a&b=#1', 'sab:m']) {
    for (const data of ['tcp://a:1/b', 'unix:/run/x?region=z']) {
      const whole = formatPairUrl({ data, metadata });
      assert.equal(splitPairUrl(whole), { data, metadata }, whole);
    }
  }
  for (const bad of ['sab:a?metadata=', 'sab:a?metadata=sab:a', 'sab:a?metadata=b&metadata=c', 'sab:a?metadata=%zz']) {
    assert.throws(
      () => splitPairUrl(bad),
      (error: unknown) => isExomemError(error, 'InvalidArgument'),
    );
  }
});

test('a metadata region that is too small says how large it must be', async () => {
  for (const [metadata, data] of [
    [256 * 1024, 16 * MiB],
    [4 * MiB, 64 * 1024],
  ]) {
    const work = (async () => planRegion(metadata!, { dataBytes: data! }))();
    assert.match(await refusal(work), /^OutOfRange/);
  }
});

test.run();
