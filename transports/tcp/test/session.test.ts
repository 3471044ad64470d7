import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareExchange, fetchAdd, load, notRun, read, write } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { ACTIVE, FENCED, failsWith, memberWord, Served } from './fixtures/served.js';

const test = suite('a session over TCP');
const folder = mkdtempSync(join(tmpdir(), 'exomem-tcp-'));
test.after(() => rmSync(folder, { recursive: true }));

for (const listen of ['127.0.0.1:0', '[::1]:0', `unix:${join(folder, 'a socket.sock')}`]) {
  test(`does every step at ${listen}`, async () => {
    await using served = await Served.start(8 << 20, listen);
    const session = await served.connect();
    assert.is(session.size, 8 << 20);
    assert.is(await session.load(64), 0n);
    assert.is(await session.compareExchange(64, 0n, 0xfedc_ba98_7654_3210n), 0n);
    assert.is(await session.compareExchange(64, 0n, 1n), 0xfedc_ba98_7654_3210n);
    assert.is(served.memory.load(64), 0xfedc_ba98_7654_3210n);
    assert.is(await session.fetchAdd(72, 0xffff_ffff_ffff_ffffn), 0n);
    assert.is(await session.fetchAdd(72, 3n), 0xffff_ffff_ffff_ffffn);
    assert.is(await session.load(72), 2n);
    const bytes = randomBytes(1000);
    const target = new Uint8Array(1000);
    await session.write(131, bytes);
    await session.read(131, target);
    assert.equal(target, new Uint8Array(bytes));
    await session.close();
  });
}

test('moves bytes of any length at any phase, over many frames', async () => {
  await using served = await Served.start(8 << 20);
  const session = await served.connect();
  for (const length of [
    1, 7, 8, 9, 4095, 4096, 8191, 8192, 65_537, 262_144, 1_048_575, 1_048_576, 1_048_577, 5_000_011,
  ]) {
    for (const offset of [0, 1, 5, 8, 4091]) {
      const bytes = randomBytes(length);
      const target = new Uint8Array(new ArrayBuffer(length + 11), offset % 11, length);
      const done = session.write(offset, bytes);
      await session.read(offset, target);
      assert.is(Buffer.compare(bytes, target), 0, `${length} bytes at ${offset}`);
      await done;
    }
  }
});

test('keeps thousands of short writes and reads in flight apart', async () => {
  await using served = await Served.start(32 << 20);
  const session = await served.connect();
  const all = randomBytes(4000 * 5003);
  const back = Buffer.alloc(all.byteLength);
  const calls: unknown[] = [];
  for (let at = 0; at < all.byteLength; at += 5003) calls.push(session.write(at, all.subarray(at, at + 5003)));
  for (let at = 0; at < all.byteLength; at += 5003) calls.push(session.read(at, back.subarray(at, at + 5003)));
  await Promise.all(calls);
  assert.is(Buffer.compare(all, back), 0);
});

test('takes and fills shared memory', async () => {
  await using served = await Served.start();
  const session = await served.connect();
  const source = new Uint8Array(new SharedArrayBuffer(100_000)).fill(7);
  const target = new Uint8Array(new SharedArrayBuffer(100_000));
  await session.write(8, source);
  await session.read(8, target);
  assert.equal(target, source);
});

test('runs a batch in order, and stops where it is told to', async () => {
  await using served = await Served.start();
  const session = await served.connect();
  const bytes = new Uint8Array(13);
  const steps = [
    write(16, Uint8Array.of(1, 2, 3)),
    read(16, bytes),
    fetchAdd(0, 5n),
    load(0),
    compareExchange(0, 5n, 6n),
    compareExchange(0, 5n, 7n),
    load(0),
  ];
  assert.equal(await session.batch(steps), [undefined, undefined, 0n, 5n, 5n, 6n, 6n]);
  assert.equal([...bytes.subarray(0, 4)], [1, 2, 3, 0]);
  assert.equal(await session.batch(steps, { stopOnFail: true }), [undefined, undefined, 6n, 11n, 11n, notRun, notRun]);
  assert.is(served.memory.load(0), 11n);
});

test('carries batches that are too long for a frame', async () => {
  await using served = await Served.start();
  const session = await served.connect();
  const page = randomBytes(4096);
  const targets = Array.from({ length: 64 }, () => new Uint8Array(4096));
  const steps = targets.flatMap((target, index) => [
    write(index * 4096, page),
    read(index * 4096, target),
    load(index * 4096),
  ]);
  const first = page.readBigUInt64LE(0);
  assert.equal(
    await session.batch(steps),
    targets.flatMap(() => [undefined, undefined, first]),
  );
  for (const target of targets) assert.is(Buffer.compare(target, page), 0);
  const large = new Uint8Array(500_000);
  const mixed = [
    load(0),
    write(0, new Uint8Array(500_000).fill(9)),
    read(0, large),
    load(8),
    compareExchange(8, 0n, 1n),
    load(0),
  ];
  const nines = 0x0909_0909_0909_0909n;
  assert.equal(await session.batch(mixed), [first, undefined, undefined, nines, nines, nines]);
  assert.ok(large.every((byte) => byte === 9));
  assert.equal(await session.batch(mixed, { stopOnFail: true }), [nines, undefined, undefined, nines, nines, notRun]);
  const many = Array.from({ length: 10_000 }, (_, index) => fetchAdd(1 << 20, BigInt(index)));
  const answers = await session.batch(many);
  assert.is(answers.length, 10_000);
  assert.is(answers[9_999], BigInt((9_998 * 9_999) / 2));
  const most = Array.from({ length: 4096 }, (_, index) => compareExchange(2 << 20, BigInt(index), BigInt(index + 1)));
  assert.is((await session.batch(most, { stopOnFail: true })).at(-1), 4095n);
});

test('keeps the order of many steps in flight', async () => {
  await using served = await Served.start();
  const session = await served.connect();
  const answers: Promise<bigint>[] = [];
  for (let index = 0; index < 20_000; index += 1) answers.push(session.fetchAdd(0, 1n) as Promise<bigint>);
  let ended = 0;
  for (const [index, answer] of answers.entries()) answer.then(() => assert.is(ended++, index));
  assert.equal(
    await Promise.all(answers),
    Array.from({ length: 20_000 }, (_, index) => BigInt(index)),
  );
  assert.is(ended, 20_000);
  await Promise.all([
    session.write(8, new Uint8Array(3_000_000).fill(1)),
    session.compareExchange(1024, 0x0101_0101_0101_0101n, 5n),
  ]);
  assert.is(await session.load(1024), 5n);
});

test('answers a wrong offset where it stands, and changes nothing', async () => {
  await using served = await Served.start(4096);
  const session = await served.connect();
  await failsWith('OutOfRange', () => session.load(4096));
  await failsWith('Unaligned', () => session.fetchAdd(4, 1n));
  await failsWith('OutOfRange', () => session.write(4090, new Uint8Array(7)));
  await failsWith('OutOfRange', () => session.batch([compareExchange(0, 0n, 1n), load(5000)]));
  assert.is(await session.load(0), 0n);
});

test('opens a new epoch only where one is due', async () => {
  await using served = await Served.start();
  const session = await served.connect();
  assert.is(session.epoch, 1);
  await session.renew();
  assert.is(session.epoch, 1);
  const pending = session.load(0, { signal: AbortSignal.timeout(1) });
  await Promise.resolve(pending).catch(() => undefined);
  const aborted = new AbortController();
  const write = session.write(0, new Uint8Array(8).fill(1), { signal: aborted.signal });
  aborted.abort();
  await failsWith('OutcomeUnknown', () => write);
  await Promise.all([session.renew(), session.renew()]);
  assert.is(session.epoch, 2);
  await session.load(0);
});

test('a later session of the same lane takes its place', async () => {
  await using served = await Served.start();
  const clientId = randomBytes(16);
  const first = await served.connect({ clientId, lane: 3 });
  const other = await served.connect({ clientId, lane: 4 });
  const second = await served.connect({ clientId, lane: 3 });
  assert.is(second.epoch, 2);
  await failsWith('Fenced', async () => {
    for (;;) await first.load(0);
  });
  await second.load(0);
  await other.load(0);
});

test('binds to a member that is alive, and to no other', async () => {
  await using served = await Served.start();
  served.memory.write(
    0,
    new Uint8Array(new BigUint64Array([memberWord(ACTIVE, 7), memberWord(FENCED, 7), memberWord(1, 9)]).buffer),
  );
  const session = await served.connect();
  await session.bind({ slot: 0, incarnation: 7, offset: 0 });
  await session.bind({ slot: 0, incarnation: 7, offset: 0 });
  assert.is(session.epoch, 1);
  await failsWith('Fenced', () => session.bind({ slot: 2, incarnation: 9, offset: 16 }));
  await session.renew();
  await failsWith('Fenced', () => session.load(0));
  await session.bind({ slot: 2, incarnation: 9, offset: 16 });
  await session.load(0);
  assert.is(session.epoch, 2);
  for (const member of [
    { slot: 0, incarnation: 8, offset: 0 },
    { slot: 1, incarnation: 7, offset: 8 },
    { slot: 5, incarnation: 0, offset: 24 },
  ]) {
    const refused = await served.connect();
    await failsWith('Fenced', () => refused.bind(member));
    await failsWith('Fenced', () => refused.load(0));
    await failsWith('Fenced', () => refused.write(32, Uint8Array.of(1)));
    await refused.renew();
    await failsWith('Fenced', () => refused.load(32));
    await refused.bind({ slot: 2, incarnation: 9, offset: 16 });
    assert.is(await refused.load(32), 0n);
  }
});

test('a revoked member is shut out on every lane, for good', async () => {
  await using served = await Served.start();
  served.memory.compareExchange(0, 0n, memberWord(ACTIVE, 7));
  served.memory.compareExchange(8, 0n, memberWord(ACTIVE, 7));
  const clientId = randomBytes(16);
  const member = { slot: 0, incarnation: 7, offset: 0 };
  const lanes = [await served.connect({ clientId, lane: 0 }), await served.connect({ clientId, lane: 1 })];
  for (const lane of lanes) await lane.bind(member);
  const bystander = await served.connect();
  await bystander.bind({ slot: 1, incarnation: 7, offset: 8 });
  const before = lanes[0]!.write(4096, new Uint8Array(1 << 20).fill(1));
  await before;
  await bystander.revoke(member);
  for (const lane of lanes) {
    await failsWith('Fenced', () => lane.write(64, Uint8Array.of(1)));
    await failsWith('Fenced', () => lane.fetchAdd(64, 1n));
    await failsWith('Fenced', () => lane.batch([fetchAdd(64, 1n)]));
    await failsWith('Fenced', () => lane.read(64, new Uint8Array(8)));
  }
  assert.is(await bystander.load(64), 0n);
  await lanes[0]!.renew();
  await failsWith('Fenced', () => lanes[0]!.load(64));
  const again = await served.connect();
  await failsWith('Fenced', () => again.bind(member));
  served.memory.compareExchange(0, memberWord(ACTIVE, 7), memberWord(ACTIVE, 8));
  const next = await served.connect();
  await next.bind({ slot: 0, incarnation: 8, offset: 0 });
  await next.fetchAdd(64, 1n);
});

test.run();
