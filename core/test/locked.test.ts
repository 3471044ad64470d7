import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  type AllocationPolicy,
  atomic,
  Client,
  type ClientOptions,
  controlFields,
  decodeLock,
  encodeLock,
  encodeRedo,
  format,
  groupWordOffset,
  locked,
  lockState,
  type Protocol,
  redoPlace,
  runSync,
  type Session,
  Steward,
  type Transport,
  watch,
} from '../src/index.js';
import { Watcher } from '../src/protocol/watcher.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('policy locked');

async function region(bytes: number, policy: AllocationPolicy = locked) {
  const transport = sharedArrayBuffer({ r: createRegion(bytes) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const block = runSync(format(session.size, { zeroed: true, lease: 1000, policy }), { session, surroundings });
  const lock = () => decodeLock(session.load(block.geometry.controlOffset + controlFields.lock) as bigint);
  const open = (options: Partial<ClientOptions> = {}) =>
    Client.open({ transport, url: 'sab:r', surroundings, ...options });
  return { transport, open, lock, geometry: block.geometry };
}

/** Counts the calls of the main lane: each of them would be a round trip over a network. */
function counting(inner: Transport): { readonly transport: Transport; readonly trips: () => number } {
  let trips = 0;
  const counted = new Set(['load', 'read', 'write', 'compareExchange', 'fetchAdd', 'batch']);
  const transport: Transport = {
    ...inner,
    connect: async (url, options) => {
      const session = await inner.connect(url, options);
      if (options.lane !== 0) return session;
      return new Proxy(session, {
        get(target, key) {
          const value = Reflect.get(target, key, target) as unknown;
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            if (counted.has(String(key))) trips++;
            return (value as (...args: unknown[]) => unknown).apply(target, args);
          };
        },
      }) as Session;
    },
  };
  return { transport, trips: () => trips };
}

test('a region says by which policy it is coordinated, and refuses others', async () => {
  for (const [mine, other] of [
    [locked, atomic],
    [atomic, locked],
  ] as const) {
    const { open, geometry } = await region(8 * MiB, mine);
    assert.is(await code(open({ policy: other })), 'Incompatible');
    assert.is(geometry.redoBytes > 0, mine === locked);
    await using client = await open({ policy: mine });
    await (await client.allocate(5000)).free();
  }
});

test('a section is three round trips', async () => {
  const { transport, open, lock } = await region(8 * MiB);
  const { transport: counted, trips } = counting(transport);
  await using client = await open({ transport: counted });
  const first = client.allocateSync(4096, { initialise: 'none' });
  const { token } = lock();
  let before = trips();
  const second = client.allocateSync(4096, { initialise: 'none' });
  assert.is(trips() - before, 3);
  before = trips();
  second.freeSync();
  assert.is(trips() - before, 3);
  before = trips();
  // As many groups as it may be: they are taken at one moment.
  const long = client.allocateSync(30 * 65_536, { initialise: 'none' });
  assert.is(trips() - before, 3);
  assert.equal(lock(), { token: token + 3, state: lockState.free, holder: 0 });
  long.freeSync();
  first.freeSync();
});

test('files, applications, leavers and a steward work as ever', async () => {
  const { open, lock } = await region(16 * MiB);
  const keeper = await open({ role: 'steward' });
  const steward = new Steward(keeper);
  await using a = await open();
  const b = await open();
  await b.namespace.mkdir('/models');
  const file = await b.namespace.open('/models/x', { create: true });
  const data = new Uint8Array(300_001).map((_, i) => i * 7);
  await file.write(0, data);
  await file.close();
  await b.snapshot();
  await b.close();
  const again = await a.namespace.open('/models/x');
  const back = new Uint8Array(data.length);
  assert.is(await again.read(0, back), data.length);
  assert.equal(Buffer.compare(back, data), 0);
  await again.close();
  await steward.round();
  assert.equal(await a.run(a.allocator.validate()), []);
  assert.is(lock().state, lockState.free);
  await keeper.close();
});

/** The lock as another would leave it that stops. */
async function stopped(state: number, committed?: (group: bigint) => bigint) {
  const { transport, open, lock, geometry } = await region(8 * MiB);
  const client = await open();
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16).fill(1), lane: 0 });
  const offset = geometry.controlOffset + controlFields.lock;
  const token = lock().token + 1;
  const holder = (client.member.slot + 1) % geometry.memberSlots;
  const group = 40;
  const at = groupWordOffset(geometry, group);
  if (committed !== undefined) {
    const before = session.load(at) as bigint;
    const record = { token, incarnation: 0, exchanges: [{ group, before, after: committed(before) }] };
    session.write(redoPlace(geometry, holder, token).offset, encodeRedo(record));
  }
  const word = encodeLock({ token, state, holder });
  session.compareExchange(offset, encodeLock({ ...lock() }), word);
  return { client, lock, word: () => session.load(at) as bigint, wait: client.superblock.wait, token };
}

test('who has stopped with the lock is passed over when it has stood still for the wait, and not before', async () => {
  const { client, lock, wait, token } = await stopped(lockState.held);
  const began = performance.now();
  const memory = await client.allocate(4096);
  assert.ok(performance.now() - began >= wait);
  assert.ok(lock().token > token);
  assert.is(lock().state, lockState.free);
  await memory.free();
  await client.close();
});

test('what was committed by one who is no more is done first, and at once', async () => {
  const { client, lock, word, token } = await stopped(lockState.commit, (before) => before | (9n << 48n) | (1n << 32n));
  // A look is enough.
  await client.usage();
  assert.is(word() >> 48n, 9n);
  assert.equal(lock(), { token: token + 1, state: lockState.free, holder: 0 });
  await client.close();
});

test('a commit that is written down nowhere stops everybody, and says so', async () => {
  const { client } = await stopped(lockState.commit);
  assert.is(await code(client.usage()), 'Damaged');
  assert.is(await code(client.allocate(4096)), 'Damaged');
  await client.close().catch(() => undefined);
});

test('a call that cannot be made without a promise leaves the lock to those behind', async () => {
  const { transport, open } = await region(8 * MiB);
  let late = false;
  const lagging: Transport = {
    ...transport,
    name: 'lagging',
    schemes: ['sab'],
    apiVersion: 1,
    connect: async (url, options) =>
      new Proxy(await transport.connect(url, options), {
        get(target, key) {
          const value = Reflect.get(target, key, target) as unknown;
          if (typeof value !== 'function') return value;
          return (...args: unknown[]) => {
            const answer = (value as (...args: unknown[]) => unknown).apply(target, args);
            return late && key === 'batch' ? Promise.resolve(answer) : answer;
          };
        },
      }),
  };
  await using client = await open({ transport: lagging });
  late = true;
  assert.throws(() => client.allocateSync(4096), /not synchronous/);
  late = false;
  client.allocateSync(4096).freeSync();
});

const clock = suite('watching a word');
clock('one look says nothing, however long it takes', () => {
  const watcher = new Watcher(100);
  assert.not(watcher.saw(0, 10_000));
  // From the end of the first look to the beginning of the last.
  assert.not(watcher.saw(10_099, 20_000));
  assert.ok(watcher.saw(10_100, 10_100));
});
clock('ends as soon as the word is another one', () => {
  let looks = 0;
  let now = 0;
  const session = { load: () => (++looks > 100 ? 8n : 7n) } as unknown as Session;
  const bench = {
    session,
    surroundings: { ...surroundings, now: () => now, sleepSync: (ms: number) => void (now += ms) },
  };
  const waits = function* (): Protocol<unknown> {
    return yield watch(64, 7n, 1000);
  };
  assert.is(runSync(waits(), bench), 0);
  looks = -1e9;
  now = 0;
  assert.is(runSync(waits(), bench), 1);
  assert.ok(now >= 1000 && now < 1100);
});

test.run();
clock.run();
