import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Client, format, isExomemError, type PathChange, runSync } from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('what is watched');

async function two() {
  const transport = sharedArrayBuffer({ r: createRegion(16 * 2 ** 20) });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease: 60_000, logSlots: 64 }), { session, surroundings });
  const open = () => Client.open({ transport, url: 'sab:r', surroundings });
  return [await open(), await open()] as const;
}

/** An iterator whose watching has begun, and the next of its changes. */
function follow(client: Client, path: string, signal?: AbortSignal) {
  const iterator = client.watch(path, { signal })[Symbol.asyncIterator]();
  // It begins with the first `next`.
  let next = iterator.next();
  return {
    begun: client.refresh(),
    async change(): Promise<PathChange | undefined> {
      const { value, done } = await next;
      next = iterator.next();
      return done ? undefined : value;
    },
  };
}

test('a file: made, written, renamed, made again, removed', async () => {
  const [a, b] = await two();
  const watch = follow(a, '/f');
  await watch.begun;
  const told = async (type: string) => {
    const change = await watch.change();
    assert.is(change?.type, type);
    assert.is(change?.path, '/f');
  };
  const file = await b.namespace.open('/f', { create: true });
  await told('created');
  await file.write(0, new Uint8Array(10));
  await file.flush();
  await told('changed');
  await b.namespace.setAttributes(await b.namespace.resolve('/f'), { mode: 0o600 });
  await told('changed');
  await file.close();
  await b.namespace.rename('/f', '/g');
  await told('renamed');
  await b.namespace.rename('/g', '/f');
  await told('created');
  await b.namespace.unlink('/f');
  await told('removed');
  await a.close();
  assert.is(await watch.change(), undefined);
  await b.close();
});

test('a directory: the names in it, and not what lies deeper', async () => {
  const [a, b] = await two();
  await b.namespace.mkdir('/d');
  await a.refresh();
  const watch = follow(a, '/d/');
  await watch.begun;
  const told = async (type: string, path: string, to?: string) => {
    const change = await watch.change();
    assert.equal([change?.type, change?.path, change?.to], [type, path, to]);
  };
  await b.namespace.mkdir('/d/e');
  await told('created', '/d/e');
  await b.namespace.mkdir('/d/e/deep');
  await b.namespace.rename('/d/e', '/d/g');
  await told('renamed', '/d/e', '/d/g');
  await b.namespace.rename('/d/g', '/h');
  await told('renamed', '/d/g');
  const file = await b.namespace.open('/d/f', { create: true });
  await told('created', '/d/f');
  await file.write(0, new Uint8Array(10));
  await file.close();
  await told('changed', '/d/f');
  await b.namespace.unlink('/d/f');
  await told('removed', '/d/f');
  // Gone with the directory above it.
  await b.namespace.rmdir('/d');
  await told('removed', '/d');
  await a.close();
  await b.close();
});

test('who is slow hears the latest of each path, and of too many that there were too many', async () => {
  const [a, b] = await two();
  const watch = follow(a, '/');
  await watch.begun;
  await b.namespace.mkdir('/first');
  assert.is((await watch.change())?.path, '/first');
  // Nobody asks for these; the next wait has begun, and gets the first of them.
  for (let at = 0; at < 10; at++) {
    const file = await b.namespace.open('/f', { create: true });
    await file.write(0, new Uint8Array(10));
    await file.close();
    await a.refresh();
  }
  await b.namespace.mkdir('/last');
  await a.refresh();
  const seen: PathChange[] = [];
  do seen.push((await watch.change())!);
  while (seen.at(-1)!.path !== '/last');
  assert.ok(seen.length <= 4, JSON.stringify(seen));
  for (let at = 0; at < 1100; at++) await b.namespace.mkdir(`/${at}`);
  await a.refresh();
  let change: PathChange | undefined;
  do change = await watch.change();
  while (change?.type === 'created');
  assert.is(change?.type, 'reset');
  await a.close();
  await b.close();
});

test('it ends by its signal, and with an error when the client is over', async () => {
  const [a, b] = await two();
  const stop = new AbortController();
  const watch = follow(a, '/f', stop.signal);
  await watch.begun;
  stop.abort();
  assert.is(await watch.change(), undefined);
  assert.is(await follow(a, '/f', AbortSignal.abort()).change(), undefined);
  await a.close();
  try {
    await a.watch('/f')[Symbol.asyncIterator]().next();
    assert.unreachable();
  } catch (error) {
    assert.ok(isExomemError(error, 'Closed'));
  }
  await b.close();
});

test('a word: what it is, and each time that it is found changed', async () => {
  const [a, b] = await two();
  const mine = await a.allocate(100, { name: '/words' });
  const theirs = b.openFile(await b.namespace.resolve('/words'));
  const words = mine.watchWord(8)[Symbol.asyncIterator]();
  assert.is((await words.next()).value, 0n);
  const next = words.next();
  await theirs.write(8, new Uint8Array([7]));
  assert.is((await next).value, 7n);
  const stop = new AbortController();
  const other = mine.watchWord(16, { signal: stop.signal })[Symbol.asyncIterator]();
  await other.next();
  stop.abort();
  assert.ok((await other.next()).done);
  assert.throws(() => mine.watchWord(4), /multiple of 8/);
  assert.throws(() => mine.watchWord(96), /do not lie/);
  await theirs.close();
  await a.close();
  await b.close();
});

test.run();
