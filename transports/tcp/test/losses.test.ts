import { createServer, type Socket } from 'node:net';
import { fetchAdd, load, RegionMemory } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { ACTIVE, failsWith, memberWord, Relay, Served } from './fixtures/served.js';

const test = suite('lost connections');
const clientId = new Uint8Array(16).fill(3);
const soon = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

test('what was under way may have happened; what could leave no trace, or was not sent, is known', async () => {
  await using served = await Served.start();
  await using relay = await Relay.start(served.port);
  const session = await served.connect({}, relay.url);
  relay.swallow();
  const bytes = new Uint8Array(8);
  const calls: [string, unknown][] = [
    ['OutcomeUnknown', session.write(0, Uint8Array.of(1))],
    ['OutcomeUnknown', session.compareExchange(0, 0n, 1n)],
    ['OutcomeUnknown', session.fetchAdd(0, 1n)],
    ['OutcomeUnknown', session.batch([load(0), fetchAdd(0, 1n)])],
    ['OutcomeUnknown', session.revoke({ slot: 0, incarnation: 0, offset: 0 })],
    ['Disconnected', session.load(0)],
    ['Disconnected', session.read(0, bytes)],
    ['Disconnected', session.batch([load(0)])],
    ['Disconnected', session.bind({ slot: 0, incarnation: 0, offset: 0 })],
  ];
  const settled = Promise.allSettled(calls.map(([, call]) => call));
  await soon(20);
  relay.cut();
  const notSent = session.write(0, Uint8Array.of(2));
  for (const [index, result] of (await settled).entries()) {
    assert.is((result as PromiseRejectedResult).reason?.code, calls[index]![0], `call ${index}`);
  }
  await Promise.resolve(notSent).catch(() => undefined);
  await failsWith('Disconnected', () => session.write(0, Uint8Array.of(3)));
  await failsWith('Disconnected', () => session.load(0));
  assert.is(served.memory.load(0), 0n);
  relay.forward();
  await session.renew();
  assert.is(await session.load(0), 0n);
  assert.is(session.epoch, 2);
});

test('a black hole is noticed within the silence that is allowed, by what is in flight and by the next use', async () => {
  await using served = await Served.start();
  await using relay = await Relay.start(served.port);
  const session = await served.connect({ silence: 200 }, relay.url);
  relay.swallow();
  const error = await failsWith('OutcomeUnknown', () => session.fetchAdd(0, 1n));
  assert.match(error.message, /200 ms/);
  relay.forward();
  await session.renew();
  await session.load(0);
  relay.swallow();
  await soon(500);
  await failsWith('Disconnected', () => session.load(0), 'an idle session asked by itself');
});

test('steady answers are no silence, however long the work takes', async () => {
  await using served = await Served.start();
  const session = await served.connect({ silence: 100 });
  const until = performance.now() + 400;
  while (performance.now() < until) await session.read(0, new Uint8Array(1 << 20));
  // Nor is a stall of this process a silence of the other.
  const pending = session.load(0);
  const stall = performance.now() + 400;
  while (performance.now() < stall);
  assert.is(await pending, 0n);
  assert.is(session.epoch, 1);
});

test('renewing goes on where an attempt failed, and is shared by those who ask at once', async () => {
  await using served = await Served.start();
  await using relay = await Relay.start(served.port);
  const session = await served.connect({}, relay.url);
  relay.cut();
  await soon(20);
  await Promise.all([session.renew(), session.renew(), session.renew()]);
  assert.is(session.epoch, 2);
  await session.load(0);
  await relay[Symbol.asyncDispose]();
  await failsWith('Disconnected', async () => {
    for (;;) await session.load(0);
  });
  for (let turn = 0; turn < 3; turn += 1) {
    const error = await failsWith('Disconnected', () => session.renew());
    assert.match(error.message, /nobody listens/);
  }
  await failsWith('Disconnected', () => session.load(0));
});

test('closing a session ends the epoch that it is opening', async () => {
  await using served = await Served.start();
  await using relay = await Relay.start(served.port);
  const session = await served.connect({}, relay.url);
  relay.cut();
  await soon(20);
  relay.swallow();
  const renewed = session.renew();
  await soon(20);
  await session.close();
  await failsWith('Closed', () => renewed);
  relay.forward();
});

test('an appliance that starts again is another instance of the same lanes', async () => {
  const memory = new RegionMemory([new SharedArrayBuffer(4096)]);
  memory.compareExchange(0, 0n, memberWord(ACTIVE, 4));
  const serve = async (port: number): Promise<Appliance> => {
    const appliance = new Appliance();
    appliance.expose('default', memory);
    await appliance.listen(`127.0.0.1:${port}`);
    return appliance;
  };
  const first = await serve(0);
  const [address] = first.addresses;
  const port = 'port' in address! ? address.port : 0;
  const session = await tcp().connect(first.url('default'), { clientId, lane: 0 });
  const instance = Buffer.from(first.instance).toString('hex');
  await session.bind({ slot: 0, incarnation: 4, offset: 0 });
  await first.close();
  const error = await failsWith('Disconnected', async () => {
    for (;;) await session.load(0);
  });
  assert.match(error.message, /ends|lost/);
  const second = await serve(port);
  assert.is.not(Buffer.from(second.instance).toString('hex'), instance);
  await session.renew();
  const [bound] = await Promise.all([session.fetchAdd(8, 1n), second]);
  assert.is(bound, 0n);
  // It bound the new epoch by itself: revoking the member shuts it out.
  const observer = await tcp().connect(second.url('default'), { clientId, lane: 1 });
  await observer.revoke({ slot: 0, incarnation: 4, offset: 0 });
  await failsWith('Fenced', () => session.fetchAdd(8, 1n));
  await session.close();
  await observer.close();
  await second.close();
});

test('a region that is another one afterwards is not taken for the same', async () => {
  const served = await Served.start(4096);
  const session = await served.connect();
  served.appliance.withdraw('default');
  const error = await failsWith('Disconnected', async () => {
    for (;;) await session.load(0);
  });
  assert.match(error.message, /served no longer/);
  await failsWith('NotFound', () => session.renew());
  served.appliance.expose('default', new RegionMemory([new SharedArrayBuffer(8192)]));
  await failsWith('Incompatible', () => session.renew());
  await served[Symbol.asyncDispose]();
});

test('connecting says what is wrong, and does not wait for ever', async () => {
  await using served = await Served.start();
  const open: Socket[] = [];
  const silent = createServer((socket) => open.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as { port: number };
  const free = createServer();
  await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
  const nobody = (free.address() as { port: number }).port;
  await new Promise((resolve) => free.close(resolve));
  const connect = (url: string, options = {}, transport = tcp()) =>
    transport.connect(url, { clientId, lane: 0, ...options });
  const refused = await failsWith('Disconnected', () => connect(`tcp://127.0.0.1:${nobody}`));
  assert.match(refused.message, /nobody listens at 127\.0\.0\.1/);
  assert.match(refused.advice, /start an appliance/);
  assert.match((await failsWith('Disconnected', () => connect('unix:/nowhere/at/all'))).message, /no socket/);
  assert.match((await failsWith('NotFound', () => connect(`tcp://127.0.0.1:${served.port}/other`))).message, /default/);
  await failsWith('Disconnected', () => connect(`tcp://127.0.0.1:${port}`, {}, tcp({ connectTimeout: 50 })));
  await failsWith('DeadlineExceeded', () => connect(`tcp://127.0.0.1:${port}`, { timeout: 50 }));
  await failsWith('Aborted', () => connect(`tcp://127.0.0.1:${port}`, { signal: AbortSignal.timeout(50) }));
  await failsWith('Aborted', () => connect(`tcp://127.0.0.1:${port}`, { signal: AbortSignal.abort() }));
  await failsWith('DeadlineExceeded', () => connect(`tcp://127.0.0.1:${port}`, { timeout: 0 }));
  for (const url of [
    'tcp://',
    'tcp:',
    'http://127.0.0.1:1/',
    'nonsense',
    'tcp://127.0.0.1:99999',
    'tcp://a/b/c',
    'unix:',
  ]) {
    await failsWith('InvalidArgument', () => connect(url), url);
  }
  await failsWith('InvalidArgument', () => connect(served.url, { clientId: new Uint8Array(15) }));
  await failsWith('InvalidArgument', () => connect(served.url, { lane: -1 }));
  await failsWith('InvalidArgument', () => connect(served.url, { silence: 0 }));
  await (await connect(`tcp://localhost:${served.port}`)).close();
  for (const socket of open) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});

test('a peer that is no appliance is told apart from one', async () => {
  const answers: Buffer[] = [
    Buffer.from(
      'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\nServer: something else entirely\r\n\r\n',
    ),
    Buffer.alloc(88),
    Buffer.concat([
      Buffer.from('exomem\r\n'),
      Buffer.alloc(4),
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
      Buffer.alloc(72),
    ]),
    Buffer.concat([Buffer.from('exomem\r\n'), Buffer.alloc(4), Buffer.from([88, 0, 0, 0]), Buffer.alloc(72)]),
  ];
  for (const answer of answers) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    await failsWith('ProtocolError', () => tcp().connect(`tcp://127.0.0.1:${port}`, { clientId, lane: 0 }));
    await new Promise((resolve) => server.close(resolve));
  }
});

test.run();
