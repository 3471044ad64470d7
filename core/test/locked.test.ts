import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  type AllocationPolicy,
  atomic,
  Client,
  type ClientOptions,
  controlFields,
  decodeLock,
  format,
  isExomemError,
  locked,
  lockState,
  runSync,
  type Session,
  Steward,
  type Transport,
} from '../src/index.js';
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

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isExomemError(error)) return error.code;
    throw error;
  }
  return 'none';
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

test.run();
