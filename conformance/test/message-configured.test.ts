import { type Restriction, restricted } from '@exomem/conformance';
import {
  type Allocation,
  Client,
  type ClientOptions,
  format,
  isExomemError,
  message,
  RegionMemory,
  runSync,
  type Transport,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';

const MiB = 1024 * 1024;

/** A transport that only reads and writes: each compareExchange and fetchAdd throws. */
const plain: Restriction = { atomics: 'none' };

interface Ground extends AsyncDisposable {
  open(member: number | undefined, more?: Partial<ClientOptions>): Promise<Client>;
}

async function ground(what: 'shared memory' | 'tcp', less: Restriction, configured = true): Promise<Ground> {
  const segments = what === 'tcp' ? [new SharedArrayBuffer(16 * MiB)] : createRegion(16 * MiB);
  // Whoever sets the memory aside formats it, and has it in its own hands.
  const local = sharedArrayBuffer({ r: segments });
  const session = await local.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const options = { zeroed: true, lease: 1000, policy: message, configured };
  runSync(format(session.size, options), { session, surroundings });
  const appliance = new Appliance();
  let [transport, url]: [Transport, string] = [local, 'sab:r'];
  if (what === 'tcp') {
    appliance.expose('r', new RegionMemory(segments as SharedArrayBuffer[]));
    await appliance.listen('127.0.0.1:0');
    [transport, url] = [tcp(), appliance.url('r')];
  }
  const wrapped = restricted(transport, less);
  return {
    open: (member, more = {}) => {
      const which = member === undefined ? {} : { member };
      return Client.open({ transport: wrapped, url, surroundings, ...which, ...more });
    },
    [Symbol.asyncDispose]: () => appliance.close(),
  };
}

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (isExomemError(error)) return error.code;
    throw error;
  }
  return 'nothing was refused';
}

/** What holds the bytes of its own, and nobody else's. */
async function mine(all: readonly Allocation[], byte: number): Promise<void> {
  for (const one of all) {
    const bytes = new Uint8Array(one.length);
    await one.read(0, bytes);
    assert.ok(
      bytes.every((found) => found === byte),
      `bytes of another at ${one.offset}`,
    );
  }
}

for (const what of ['shared memory', 'tcp'] as const) {
  const test = suite(`messages over ${what} that only reads and writes`);

  test('members allocate, write, read, free, and leave', async () => {
    await using place = await ground(what, plain);
    const members = await Promise.all([0, 1, 2, 3].map((member) => place.open(member)));
    const held = await Promise.all(
      members.map(async (client, at) => {
        const kept: Allocation[] = [];
        for (let round = 0; round < 40; round++) {
          const one = await client.allocate(1 + ((round * 7919 * (at + 1)) % 90_000));
          const fresh = new Uint8Array(one.length);
          await one.read(0, fresh);
          assert.ok(fresh.every((byte) => byte === 0));
          await one.write(0, fresh.fill(at + 1));
          kept.push(one);
          if (round % 3 === 2) await kept.splice(round % kept.length, 1)[0]!.free();
        }
        return kept;
      }),
    );
    for (const [at, kept] of held.entries()) await mine(kept, at + 1);
    const pages = held
      .flat()
      .flatMap(({ offset, length }) => Array.from({ length: Math.ceil(length / 4096) }, (_, n) => offset + n * 4096));
    assert.is(new Set(pages).size, pages.length);
    for (const [at, client] of members.entries()) {
      assert.equal(await client.run(client.allocator.validate()), []);
      if (at % 2 === 0) for (const one of held[at]!) await one.free();
    }
    for (const client of members.slice(1)) await client.close();
    const usage = await members[0]!.usage();
    assert.is(usage.free + usage.room, usage.total);
    await members[0]!.close();
  });

  test('what it cannot do is refused, with the reason', async () => {
    await using place = await ground(what, plain);
    await using client = await place.open(0);
    for (const work of [
      () => client.allocate(4096, { name: '/a' }),
      () => client.namespace.open('/a', { create: true }),
      () => client.namespace.mkdir('/a'),
      () => client.register(),
      () => client.adopt(1),
      () => client.kick(1),
      () => client.snapshot(),
    ]) {
      assert.is(await refusal(work), 'UnsupportedCapability', String(work));
    }
    assert.is(await refusal(() => place.open(undefined)), 'OutOfRange');
    assert.is(await refusal(() => place.open(9999)), 'OutOfRange');
    assert.is(client.exclusion, 'none');
    assert.equal(await client.namespace.list('/'), []);
  });

  test('where members are won, nobody can join; whoever only looks can look', async () => {
    await using place = await ground(what, plain, false);
    assert.is(await refusal(() => place.open(undefined)), 'UnsupportedCapability');
    await using observer = await place.open(undefined, { role: 'observer' });
    assert.is((await observer.usage()).held, 0);
  });

  test('whoever coordinates may come back; a number that left is free to join again', async () => {
    await using place = await ground(what, plain);
    const first = await place.open(0);
    await using other = await place.open(1);
    const one = await other.allocate(100_000);
    await first.close();
    // What it has it can use without asking anybody.
    const small = await other.allocate(4096);
    await using _again = await place.open(0);
    const more = await other.allocate(200_000);
    for (const allocation of [one, small, more]) await allocation.free();
    assert.equal(await other.run(other.allocator.validate()), []);
  });

  test('nobody is declared dead', async () => {
    await using place = await ground(what, { ...plain, revoke: 'none' });
    await using first = await place.open(0);
    await using _other = await place.open(1);
    assert.is(await refusal(() => place.open(1)), 'Unproven');
    await (await first.allocate(4096)).free();
  });
  test.run();
}

const test = suite('a member number that joins again');
test('shuts out who had it and did not leave, and brings back what that held', async () => {
  await using place = await ground('tcp', plain);
  await using first = await place.open(0);
  const lost = await place.open(1);
  await lost.allocate(300_000);
  const { free } = await first.usage();
  await using next = await place.open(1);
  assert.ok((await first.usage()).free > free);
  assert.is(next.member.incarnation, 2);
  assert.is(await refusal(() => lost.allocate(300_000)), 'Fenced');
  await lost.close();
  const one = await next.allocate(300_000);
  await one.write(0, new Uint8Array(300_000).fill(7));
  await mine([one], 7);
  await one.free();
  assert.equal(await first.run(first.allocator.validate()), []);
});
test.run();
