import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  atomic,
  Client,
  type ClientOptions,
  decodeRequest,
  decodeSeat,
  encodeLetter,
  encodeRequest,
  exchange,
  format,
  groupWordOffset,
  isExomemError,
  message,
  requestBodyOffset,
  requestLimit,
  requestWordOffset,
  runSync,
  type Session,
  Steward,
  seatOffset,
  type Transport,
  userGroups,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('policy message');

async function region(bytes: number) {
  const transport = sharedArrayBuffer({ r: createRegion(bytes) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const options = { zeroed: true, lease: 1000, policy: message };
  const { geometry } = runSync(format(session.size, options), { session, surroundings });
  const seat = () => decodeSeat(session.load(seatOffset(geometry)) as bigint);
  const open = (more: Partial<ClientOptions> = {}) => Client.open({ transport, url: 'sab:r', surroundings, ...more });
  return { transport, session, open, seat, geometry };
}

/** Counts steps, compareExchanges above all, on the words of groups for users, of all lanes. */
function exchanges(
  inner: Transport,
  from: number,
  to: number,
  which: readonly string[] = ['compareExchange', 'fetchAdd'],
): { transport: Transport; count: () => number } {
  let count = 0;
  const of = (offset: number) => {
    if (offset >= from && offset < to) count++;
  };
  const connect: Transport['connect'] = async (url, options) => {
    const session = await inner.connect(url, options);
    return new Proxy(session, {
      get(target, key) {
        const value = Reflect.get(target, key, target) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          if (which.includes(key as string)) of(args[0] as number);
          if (key === 'batch') {
            for (const step of args[0] as { op: string; offset: number }[]) {
              if (which.includes(step.op)) of(step.offset);
            }
          }
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    }) as Session;
  };
  return { transport: { ...inner, connect }, count: () => count };
}

test('a region says that its groups are granted by messages, and refuses another policy', async () => {
  const { open, geometry } = await region(8 * MiB);
  assert.ok(geometry.mailboxBytes > 0);
  try {
    await open({ policy: atomic });
    assert.unreachable();
  } catch (error) {
    assert.ok(isExomemError(error, 'Incompatible'));
    assert.match(error.message, 'message');
  }
});

test('whoever comes first coordinates; when it leaves, somebody else does', async () => {
  const { open, seat } = await region(8 * MiB);
  const first = await open();
  const one = await first.allocate(4096);
  assert.is(seat().slot, first.member.slot);
  const second = await open();
  const two = await second.allocate(4096);
  assert.is(seat().slot, first.member.slot);
  await one.free();
  await first.close();
  const more = await second.allocate(20 * 65_536);
  assert.is(seat().slot, second.member.slot);
  assert.is(seat().incarnation, second.member.incarnation);
  for (const allocation of [two, more]) await allocation.free();
  assert.equal(await second.run(second.allocator.validate()), []);
  await second.close();
});

test('no word of a group is changed by compareExchange', async () => {
  const { transport, open, geometry } = await region(32 * MiB);
  const from = geometry.groupOffset;
  const { transport: counted, count } = exchanges(transport, from, groupWordOffset(geometry, userGroups(geometry)));
  const keeper = await open({ role: 'steward', transport: counted });
  const steward = new Steward(keeper);
  const a = await open({ transport: counted });
  const b = await open({ transport: counted });
  const pieces = await Promise.all([a, b].map((client) => client.allocateMany(200, 9000)));
  const file = await b.namespace.open('/x', { create: true });
  const data = new Uint8Array(300_001).map((_, i) => i * 7);
  await file.write(0, data);
  await file.close();
  await a.freeMany(pieces[0]!);
  const long = await a.allocate((requestLimit + 5) * 65_536);
  await long.free();
  await b.close();
  const back = await a.namespace.open('/x');
  const read = new Uint8Array(data.length);
  assert.is(await back.read(0, read), data.length);
  assert.equal(Buffer.compare(read, data), 0);
  await back.close();
  await steward.round();
  assert.equal(await a.run(a.allocator.validate()), []);
  await a.close();
  await keeper.close();
  assert.is(count(), 0);
});

test('who has handed an application on writes none of its words by itself any more', async () => {
  const { transport, session, open, geometry } = await region(8 * MiB);
  const end = groupWordOffset(geometry, userGroups(geometry));
  const { transport: counted, count } = exchanges(transport, geometry.groupOffset, end, ['write']);
  const keeper = await open();
  const [a, b] = [await open({ transport: counted }), await open()];
  const application = await a.register({ keep: 3_600_000 });
  const { offset } = await application.allocate(4096);
  const at = groupWordOffset(geometry, Math.floor((offset - geometry.dataOffset) / 65_536));
  await application.allocate(4096);
  const before = count();
  assert.ok(before > 0, 'as long as it acts for it');
  await application.migrate(b.member);
  const word = session.load(at) as bigint;
  assert.is(await code(a.run(exchange(at, word, word))), 'Fenced');
  assert.is(count(), before);
  for (const client of [b, a, keeper]) await client.close();
});

test('what is written into a mailbox by mistake is passed over', async () => {
  const { session, open, geometry } = await region(8 * MiB);
  await using client = await open();
  const { slot, incarnation } = client.member;
  const changes = [{ group: userGroups(geometry), expected: 0n, desired: 1n }];
  const word = encodeLetter({ incarnation, sequence: 77, count: 1 });
  const body = encodeRequest(word, { changes, stop: false });
  assert.is(decodeRequest(body, word, userGroups(geometry)), undefined);
  assert.equal(decodeRequest(body, word, userGroups(geometry) + 1)?.changes, changes);
  assert.is(decodeRequest(body, word + 256n, userGroups(geometry) + 1), undefined);
  const other = (slot + 1) % geometry.memberSlots;
  for (const at of [0, 5, 20, 39]) {
    const damaged = body.slice();
    damaged[at]! ^= 1;
    assert.is(decodeRequest(damaged, word, userGroups(geometry) + 1), undefined);
  }
  // Of nobody who is alive, of more changes than there can be, and of nothing at all.
  for (const one of [word, word | 0xffn]) {
    session.write(requestBodyOffset(geometry, other), body);
    session.write(requestWordOffset(geometry, other), new Uint8Array(BigUint64Array.of(one).buffer));
    await (await client.allocate(40 * 65_536)).free();
  }
});

test.run();
