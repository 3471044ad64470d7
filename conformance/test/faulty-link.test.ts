import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyLink } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';

const test = suite('faulty link');

/** A server that keeps what it gets and answers each piece in capitals, and a link to it. */
async function setup() {
  const got: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      got.push(String(bytes));
      socket.write(String(bytes).toUpperCase());
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const link = await FaultyLink.open({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  return {
    got,
    link,
    open: async () => {
      const client = connect(link.port, '127.0.0.1');
      client.on('error', () => undefined);
      await once(client, 'connect');
      return client;
    },
    close: async () => {
      await link.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

async function ask(client: Socket, text: string): Promise<string> {
  client.write(text);
  const [bytes] = await once(client, 'data');
  return String(bytes);
}

test('passes both ways, and passes on that one end has ended', async () => {
  const { link, open, close, got } = await setup();
  const client = await open();
  assert.is(await ask(client, 'hello'), 'HELLO');
  assert.equal(got, ['hello']);
  client.end();
  await once(client, 'close');
  while (link.connections > 0) await sleep(5);
  await close();
});

test('cut destroys the present connections, later ones work', async () => {
  const { link, open, close } = await setup();
  const client = await open();
  await ask(client, 'a');
  link.cut();
  await once(client, 'close');
  assert.is(await ask(await open(), 'b'), 'B');
  await close();
});

test('a black hole tells nobody', async () => {
  const { link, open, close, got } = await setup();
  const client = await open();
  await ask(client, 'a');
  link.blackHole();
  let heard = '';
  client.on('data', (bytes) => (heard += String(bytes)));
  client.on('close', () => (heard += 'closed'));
  client.write('b');
  await sleep(50);
  assert.is(heard, '');
  assert.equal(got, ['a']);
  assert.is(await ask(await open(), 'c'), 'C');
  await close();
});

test('hold delivers when it is released, although the client has gone', async () => {
  const { link, open, close, got } = await setup();
  const client = await open();
  await ask(client, 'a');
  const release = link.hold();
  client.write('late');
  await sleep(20);
  client.destroy();
  await sleep(20);
  assert.equal(got, ['a']);
  await release();
  while (got.length < 2) await sleep(5);
  assert.equal(got, ['a', 'late']);
  await close();
});

test.run();
