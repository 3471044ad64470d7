import { faulty } from '@exomem/conformance';
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Client, format, runSync, Steward } from '../src/index.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('client');

async function region(bytes: number, zeroed = true) {
  const transport = sharedArrayBuffer({ r: createRegion(bytes) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed, lease: 1000 }), { session, surroundings });
  const open = (role: 'member' | 'steward' | 'observer' = 'member') =>
    Client.open({ transport, url: 'sab:r', surroundings, role, label: role });
  return { transport, open };
}

test('allocates, writes, reads, frees', async () => {
  const { open } = await region(16 * MiB);
  await using client = await open();
  const before = await client.usage();
  const memory = await client.allocate(100_000);
  const bytes = new Uint8Array(1000).map((_, i) => i);
  await memory.write(5, bytes);
  const back = new Uint8Array(1000);
  await memory.read(5, back);
  assert.equal(back, bytes);
  assert.is((await memory.map()).byteLength, 100_000);
  await memory.free();
  assert.is(await code(memory.free()), 'StaleHandle');
  const one = client.allocateSync(1);
  one.freeSync();
  assert.equal(await client.run(client.allocator.validate()), []);
  assert.ok((await client.usage()).free >= before.free - 16);
});

test('files are seen by another client, and outlive their creator', async () => {
  const { open } = await region(16 * MiB);
  await using a = await open();
  const b = await open();
  await b.namespace.mkdir('/models');
  const file = await b.namespace.open('/models/x', { create: true });
  const data = new Uint8Array(300_001).map((_, i) => i * 7);
  await file.write(0, data);
  await file.close();
  await b.namespace.symlink('x', '/models/y');
  await b.close();
  const again = await a.namespace.open('/models/y');
  assert.is(again.size, data.length);
  const back = new Uint8Array(data.length);
  assert.is(await again.read(0, back), data.length);
  assert.equal(Buffer.compare(back, data), 0);
  await again.close();
  assert.equal(
    (await a.namespace.list('/models')).map(({ name }) => name),
    ['x', 'y'],
  );
});

test('writes at odd places, holes, truncation and growth read like a plain array', async () => {
  const { open } = await region(16 * MiB, false);
  await using a = await open();
  await using b = await open();
  const file = await a.namespace.open('/f', { create: true });
  const model = new Uint8Array(200_000);
  let size = 0;
  let seed = 1;
  const random = (n: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  for (let step = 0; step < 300; step++) {
    const kind = random(10);
    if (kind < 6) {
      const at = random(150_000);
      const data = new Uint8Array(1 + random(40_000)).fill(1 + random(255));
      await file.write(at, data);
      model.set(data.subarray(0, model.length - at), at);
      size = Math.max(size, Math.min(at + data.length, model.length));
    } else if (kind < 8) {
      const to = random(200_000);
      await file.truncate(to);
      if (to < size) model.fill(0, to);
      size = to;
    } else if (kind === 8) {
      await file.flush();
    } else {
      await file.flush();
      const other = await b.namespace.open('/f');
      const back = new Uint8Array(model.length);
      const length = await other.read(0, back);
      assert.is(length, size, `step ${step}`);
      assert.is(Buffer.compare(back.subarray(0, size), model.subarray(0, size)), 0, `step ${step}`);
      await other.close();
    }
    const back = new Uint8Array(model.length);
    assert.is(await file.read(0, back), size, `own size at ${step}`);
    assert.is(Buffer.compare(back.subarray(0, size), model.subarray(0, size)), 0, `own bytes at ${step}`);
  }
  await file.close();
});

test('space of removed files comes back, with a steward and without', async () => {
  const { open } = await region(16 * MiB);
  await using keeper = await open('steward');
  const steward = new Steward(keeper, { interval: 20 });
  steward.start();
  const before = (await keeper.usage()).free;
  for (let round = 0; round < 3; round++) {
    const client = await open();
    for (let n = 0; n < 20; n++) {
      const file = await client.namespace.open(`/f${n}`, { create: true });
      await file.write(0, new Uint8Array(100_000).fill(n));
      await file.close();
    }
    if (round === 1) await client.close();
    const remover = round === 1 ? await open() : client;
    for (let n = 0; n < 20; n++) await remover.namespace.unlink(`/f${n}`);
    await remover.close();
  }
  const alone = async (): Promise<boolean> => {
    const { principals, members } = await keeper.members();
    return [principals, members].every((lines) => lines.filter(({ state }) => state !== 0).length === 1);
  };
  for (let wait = 0; (await keeper.usage()).free < before - 16 || !(await alone()); wait++) {
    assert.ok(wait < 1200, `after a minute ${(await keeper.usage()).free} pages of ${before} are free`);
    await surroundings.sleep(50);
  }
  assert.equal(await keeper.run(keeper.allocator.validate()), []);
  await steward.stop();
});

test('who closes without having been able to publish what was written is told', async () => {
  const { transport } = await region(16 * MiB);
  const harsh = faulty(transport, {}, { revoke: true });
  const join = (role?: 'observer') => Client.open({ transport: harsh, url: 'sab:r', surroundings, role });
  const [a, b, c] = [await join(), await join(), await join('observer')];
  const file = await a.namespace.open('/f', { create: true });
  await file.write(0, new Uint8Array(10_000).fill(1));
  assert.ok(await b.kick(a.member.slot));
  assert.is(await code(a.close()), 'Fenced');
  assert.is(await code(a.allocate(1)), 'Fenced');
  // Nothing is lost with a client that had nothing to publish.
  assert.ok(await c.kick(b.member.slot));
  assert.is(await code(b.close()), 'none');
  await c.close();
});

test('an observer joins nothing, and reads names and bytes', async () => {
  const { open } = await region(16 * MiB);
  await using client = await open();
  const file = await client.namespace.open('/f', { create: true });
  const data = new Uint8Array(100_000).fill(7);
  await file.write(0, data);
  await file.close();
  await using observer = await open('observer');
  assert.is((await observer.members()).members.filter(({ state }) => state !== 0).length, 1);
  const seen = await observer.namespace.open('/f');
  const back = new Uint8Array(data.length);
  assert.is(await seen.read(0, back), data.length);
  assert.is(Buffer.compare(back, data), 0);
  assert.is(await code(seen.write(0, data)), 'PermissionDenied');
  assert.is(await code(observer.namespace.mkdir('/d')), 'PermissionDenied');
  assert.is(await code(observer.allocate(1)), 'PermissionDenied');
  await client.namespace.unlink('/f');
  assert.is(await code(seen.read(0, back)), 'StaleHandle');
});

test('the log goes on over several laps; a newcomer reads a snapshot', async () => {
  const { open } = await region(16 * MiB);
  await using client = await open();
  for (let n = 0; n < 2000; n++) {
    await client.namespace.create(1, `d${n}`, { kind: 'directory' });
    if (n % 2 === 0) await client.namespace.removeEntry(1, `d${n}`, true);
  }
  await using late = await open();
  assert.is(late.state.inodes.size, 1001);
  assert.is(late.replica.index, client.replica.index);
  assert.ok(client.replica.root.index > 1);
});
test.run();
