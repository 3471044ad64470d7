// deadline: 240s
import { randomBytes } from 'node:crypto';
import { load } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { frame, greeted, helloBytes, ops, RawConnection, words } from './fixtures/raw-connection.js';
import { failsWith, Served } from './fixtures/served.js';
import { Weighed } from './fixtures/weighed.js';

const test = suite('greedy peers');
const MiB = 1_048_576;
/** What a peer may make an appliance grow by. */
const bound = 64 * MiB;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An appliance that has done a little of everything, so that what is weighed later is what peers cost. */
async function warm(): Promise<Weighed> {
  const weighed = await Weighed.start();
  const session = await tcp().connect(weighed.url, { clientId: randomBytes(16), lane: 0 });
  const bytes = new Uint8Array(MiB);
  for (let turn = 0; turn < 32; turn += 1) {
    await session.read(0, bytes);
    await session.write(32 * MiB, bytes);
    await session.batch([load(0)]);
  }
  await session.close();
  return weighed;
}

/** Serves others meanwhile, and has not grown beyond the bound. */
async function holds(weighed: Weighed, before: number): Promise<void> {
  const session = await tcp().connect(weighed.url, { clientId: randomBytes(16), lane: 0 });
  const bytes = new Uint8Array(MiB);
  await session.read(0, bytes);
  assert.ok(bytes.every((byte) => byte === 7));
  await session.close();
  const { most } = await weighed.weigh();
  assert.ok(most - before < bound, `it grew by ${((most - before) / MiB).toFixed(1)} MiB`);
}

test('a peer that asks for 1 GiB and reads nothing', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  await using peer = await greeted(weighed.port);
  peer.socket.pause();
  for (let id = 0; id < 1024; id += 1) peer.send(frame(ops.read, id, words((id % 16) * MiB, MiB)));
  await pause(500);
  await holds(weighed, before);
  // It gets all of it when it reads after all.
  peer.socket.resume();
  for (let id = 0; id < 1024; id += 1) {
    const answer = await peer.answer();
    assert.is(answer?.id, id);
    assert.is(answer?.body.byteLength, MiB);
    assert.ok(answer!.body.equals(Buffer.alloc(MiB, 7)));
  }
  await holds(weighed, before);
});

test('a hundred peers that ask for more than they read', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  const peers: RawConnection[] = [];
  try {
    for (let index = 0; index < 100; index += 1) {
      const peer = await greeted(weighed.port, { lane: index });
      peers.push(peer);
      peer.socket.pause();
      const reads = Array.from({ length: 3000 }, (_, id) => frame(ops.read, id, words(0, MiB)));
      peer.send(...reads);
    }
    await pause(1000);
    await holds(weighed, before);
  } finally {
    for (const peer of peers) peer.socket.destroy();
  }
});

test('a million frames without content', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  await using peer = await greeted(weighed.port);
  let taken = 0;
  const taking = (async () => {
    while (taken < 1_000_000) {
      const bytes = await peer.take(16 * 1000);
      assert.is(bytes.byteLength, 16_000);
      taken += 1000;
    }
  })();
  for (let sent = 0; sent < 1_000_000; sent += 1000) {
    const pings = Buffer.concat(Array.from({ length: 1000 }, (_, index) => frame(ops.ping, sent + index)));
    if (!peer.socket.write(pings)) await new Promise((resolve) => peer.socket.once('drain', resolve));
  }
  await taking;
  await holds(weighed, before);
});

test('a million frames without content whose answers nobody reads', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  await using peer = await greeted(weighed.port);
  peer.socket.pause();
  const pings = Buffer.concat(Array.from({ length: 10_000 }, (_, index) => frame(ops.ping, index)));
  for (let sent = 0; sent < 100; sent += 1) peer.socket.write(pings);
  await pause(500);
  await holds(weighed, before);
});

test('frames that are begun and never ended', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  const peers: RawConnection[] = [];
  try {
    for (let index = 0; index < 200; index += 1) {
      const peer = await greeted(weighed.port, { lane: index });
      peers.push(peer);
      peer.send(frame(ops.batch, 0, Buffer.alloc(180_000, 1), 196_608));
    }
    await pause(300);
    await holds(weighed, before);
    const last = peers.at(-1)!;
    assert.not(last.over, 'the last to come is still there');
    const goodbye = await peers[0]!.answer();
    assert.equal([goodbye?.op, goodbye?.status], [ops.goodbye, 9], 'the first to come had to go');
  } finally {
    for (const peer of peers) peer.socket.destroy();
  }
});

test('noise', async () => {
  await using weighed = await warm();
  const before = (await weighed.weigh()).now;
  for (let turn = 0; turn < 200; turn += 1) {
    await using peer =
      turn % 2 === 0 ? await RawConnection.open(weighed.port) : await greeted(weighed.port, { lane: turn });
    peer.send(randomBytes(1 + ((turn * 977) % 70_000)));
    if (turn % 3 === 0) await peer.ended();
  }
  await holds(weighed, before);
});

test('a flood from one peer leaves the others their turn', async () => {
  await using served = await Served.start(16 * MiB);
  const bystander = await served.connect();
  await using peer = await greeted(served.port);
  peer.socket.on('data', () => undefined);
  let flooding = true;
  const steps = Buffer.concat(Array.from({ length: 4000 }, (_, id) => frame(ops.load, id, words(0))));
  const flood = (async () => {
    while (flooding) {
      if (!peer.socket.write(steps)) await new Promise((resolve) => peer.socket.once('drain', resolve));
      await new Promise(setImmediate);
    }
  })();
  for (let turn = 0; turn < 200; turn += 1) assert.is(await bystander.load(8), 0n);
  flooding = false;
  peer.socket.destroy();
  peer.socket.emit('drain');
  await flood;
});

test('more connections than are allowed', async () => {
  await using served = await Served.start(4096, '127.0.0.1:0', { connections: 3 });
  const sessions = [await served.connect(), await served.connect(), await served.connect()];
  const error = await failsWith('Busy', () => served.connect());
  assert.match(error.message, /3 connections/);
  for (const session of sessions) await session.load(0);
  await sessions[0]!.close();
  while (served.appliance.connections > 2) await pause(5);
  await (await served.connect()).load(0);
});

test('a peer that says nothing, or stops in the middle of HELLO', async () => {
  await using served = await Served.start(4096, '127.0.0.1:0', { hello: 1000 });
  const session = await served.connect();
  await using silent = await RawConnection.open(served.port);
  await using half = await RawConnection.open(served.port);
  half.send(helloBytes().subarray(0, 66));
  for (const peer of [silent, half]) {
    const welcome = await peer.take(88);
    assert.is(welcome.readUInt16LE(10), 12);
  }
  await session.load(0);
});

test('a peer that is idle, and one that is idle and says so', async () => {
  await using served = await Served.start(4096, '127.0.0.1:0', { idle: 1000 });
  const session = await served.connect({ silence: 10_000 });
  await using peer = await greeted(served.port);
  const goodbye = await peer.answer();
  assert.equal([goodbye?.op, goodbye?.status], [ops.goodbye, 12]);
  await pause(2500);
  await session.load(0);
  assert.is(session.epoch, 1, 'the session pinged in time');
});

test.run();
