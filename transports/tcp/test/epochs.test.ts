import { assert, suite } from '@exomem/testing';
import { frame, greeted, helloBytes, ops, RawConnection, words, writeFrame } from './fixtures/raw-connection.js';
import { ACTIVE, failsWith, memberWord, Served } from './fixtures/served.js';

const test = suite('epochs, bindings and revocations as the appliance keeps them');
const MiB = 1_048_576;
const fenced = 5;

/** A WELCOME, or a refusal with its status and the epoch that it names. */
async function hello(
  port: number,
  epoch: bigint,
  lane = 0,
): Promise<{ status: number; epoch: bigint; peer: RawConnection }> {
  const peer = await RawConnection.open(port);
  peer.send(helloBytes({ epoch, lane }));
  const welcome = await peer.take(88);
  return { status: welcome.readUInt16LE(10), epoch: welcome.readBigUInt64LE(40), peer };
}

async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('a lower or an equal epoch of an open lane is refused, and told which is open', async () => {
  await using served = await Served.start(4096);
  await using first = (await hello(served.port, 7n)).peer;
  for (const epoch of [1n, 6n, 7n]) {
    const refused = await hello(served.port, epoch);
    assert.equal([refused.status, refused.epoch], [fenced, 7n]);
    await refused.peer.ended();
  }
  first.send(frame(ops.add, 0, words(0, 1)));
  assert.is((await first.answer())?.status, 0, 'who is there is not disturbed');
  const other = await hello(served.port, 1n, 1);
  assert.is(other.status, 0, 'another lane is another matter');
  const next = await hello(served.port, 8n);
  assert.equal([next.status, next.epoch], [0, 8n]);
  const goodbye = await first.answer();
  assert.equal([goodbye?.op, goodbye?.status], [ops.goodbye, fenced]);
  assert.is(await first.ended(), 0);
  next.peer.socket.destroy();
  while (served.appliance.connections > 1) await turns(1);
  const late = await hello(served.port, 8n);
  assert.equal([late.status, late.epoch], [fenced, 8n], 'the last epoch is remembered for a while');
  other.peer.socket.destroy();
});

test('what an older epoch has sent and the appliance has not reached is never applied', async () => {
  await using served = await Served.start(2 * MiB);
  await using old = await greeted(served.port, { epoch: 1n });
  old.socket.pause();
  old.send(frame(ops.add, 0, words(0, 1)));
  // Answers that nobody takes keep the appliance from what stands behind them.
  for (let id = 1; id <= 64; id += 1) old.send(frame(ops.read, id, words(MiB, MiB)));
  for (let id = 65; id < 1000; id += 1) old.send(frame(ops.add, id, words(8, 1)));
  while (served.memory.load(0) === 0n) await turns(1);
  await turns();
  assert.is(served.memory.load(8), 0n, 'it has not come to them yet');
  await using next = (await hello(served.port, 2n)).peer;
  old.socket.resume();
  await old.ended();
  next.send(frame(ops.load, 0, words(8)));
  assert.equal((await next.answer())?.body, words(0));
  await turns();
  assert.is(served.memory.load(8), 0n);
});

test('a WRITE under way ends with its epoch', async () => {
  await using served = await Served.start(2 * MiB);
  await using old = await greeted(served.port, { epoch: 1n });
  const bytes = writeFrame(0, 0, Buffer.alloc(MiB, 1));
  old.send(bytes.subarray(0, MiB / 2));
  while (served.memory.load(MiB / 2 - 64) === 0n) await turns(1);
  await using next = (await hello(served.port, 2n)).peer;
  old.socket.write(bytes.subarray(MiB / 2));
  await turns();
  assert.is(served.memory.load(MiB / 2 + 64), 0n);
  assert.is(served.memory.load(MiB - 8), 0n);
  assert.not(next.over);
});

test('a WRITE under way ends with the revocation of its member', async () => {
  await using served = await Served.start(2 * MiB);
  const word = 2 * MiB - 8;
  served.memory.compareExchange(word, 0n, memberWord(ACTIVE, 3));
  await using victim = await greeted(served.port);
  await using observer = await greeted(served.port, { lane: 1 });
  const member = words((3n << 32n) | 9n, word);
  victim.send(frame(ops.bind, 0, member));
  assert.is((await victim.answer())?.status, 0);
  const bytes = writeFrame(1, 0, Buffer.alloc(MiB, 1));
  victim.send(bytes.subarray(0, MiB / 2));
  while (served.memory.load(MiB / 2 - 64) === 0n) await turns(1);
  observer.send(frame(ops.revoke, 0, member));
  assert.is((await observer.answer())?.status, 0);
  victim.send(bytes.subarray(MiB / 2), frame(ops.add, 2, words(word - 8, 1)), frame(ops.ping, 3));
  assert.equal([(await victim.answer())?.status, (await victim.answer())?.status], [fenced, fenced]);
  assert.is((await victim.answer())?.op, ops.ping, 'it is told, and not cut off');
  assert.is(served.memory.load(MiB / 2 + 64), 0n);
  assert.is(served.memory.load(word - 8), 0n);
});

test('a READ under way ends with the revocation of its member', async () => {
  await using served = await Served.start(64 * MiB);
  served.memory.compareExchange(0, 0n, memberWord(ACTIVE, 3));
  await using victim = await greeted(served.port);
  const observer = await served.connect();
  victim.send(frame(ops.bind, 0, words(3n << 32n, 0)));
  assert.is((await victim.answer())?.status, 0);
  victim.socket.pause();
  for (let id = 1; id <= 64; id += 1) victim.send(frame(ops.read, id, words((id - 1) * MiB, MiB)));
  await turns();
  await observer.revoke({ slot: 0, incarnation: 3, offset: 0 });
  await observer.write(8, new Uint8Array(63 * MiB).fill(9));
  victim.socket.resume();
  for (let id = 1; ; id += 1) {
    const answer = await victim.answer();
    if (answer === undefined || answer.status !== 0) break;
    assert.not(answer.body.includes(9), `answer ${id} has what was written after the revocation`);
  }
});

test('a BIND that is refused shuts the epoch out, whatever comes then', async () => {
  await using served = await Served.start(4096);
  served.memory.compareExchange(0, 0n, memberWord(ACTIVE, 3));
  for (const refused of [words((4n << 32n) | 1n, 0), words((2n << 32n) | 1n, 0), words(0, 8)]) {
    const { peer } = await hello(served.port, 1n + (served.memory.load(64) << 1n));
    const bodies = [
      refused,
      words((3n << 32n) | 1n, 0),
      words(16),
      words(16, 8),
      words(16, 1),
      words(16, 0, 1),
      words(16, 1),
      words(1, 0),
    ];
    const kinds = [ops.bind, ops.bind, ops.load, ops.read, ops.write, ops.cas, ops.add, ops.revoke];
    for (const [id, body] of bodies.entries()) peer.send(frame(kinds[id]!, id, body));
    const batch = Buffer.concat([words(1), Buffer.from([5, 0, 0, 0, 0, 0, 0, 0]), words(16, 1)]);
    peer.send(frame(ops.batch, 8, batch));
    for (let id = 0; id <= 8; id += 1) assert.is((await peer.answer())?.status, fenced, `request ${id}`);
    assert.is(served.memory.load(16), 0n);
    peer.socket.destroy();
    while (served.appliance.connections > 0) await turns(1);
    served.memory.fetchAdd(64, 1n);
  }
});

test('a revocation counts for lower incarnations, for one slot and for one region', async () => {
  await using served = await Served.start(4096);
  const { RegionMemory } = await import('@exomem/core');
  const other = new RegionMemory([new SharedArrayBuffer(4096)]);
  served.appliance.expose('other', other);
  for (const memory of [served.memory, other]) {
    memory.compareExchange(0, 0n, memberWord(ACTIVE, 5));
    memory.compareExchange(8, 0n, memberWord(ACTIVE, 6));
  }
  const observer = await served.connect();
  await observer.revoke({ slot: 1, incarnation: 5, offset: 0 });
  await observer.revoke({ slot: 1, incarnation: 2, offset: 0 });
  for (const [slot, incarnation, offset, region, good] of [
    [1, 5, 0, 'default', false],
    [1, 6, 8, 'default', true],
    [2, 5, 0, 'default', true],
    [1, 5, 0, 'other', true],
  ] as const) {
    const session = await served.connect({}, served.appliance.url(region));
    const bound = (): unknown => session.bind({ slot, incarnation, offset });
    if (good) await bound();
    else await failsWith('Fenced', bound);
  }
});

test.run();
