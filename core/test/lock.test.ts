import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import {
  Client,
  type ConnectOptions,
  encodeHold,
  format,
  lastTurn,
  runSync,
  type Session,
  type Transport,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('locks by name');

async function region(lease = 60_000) {
  const inner = sharedArrayBuffer({ r: createRegion(4 * 2 ** 20) });
  const session = inner.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease }), { session, surroundings });
  const open = async () => {
    const sessions: Session[] = [];
    const transport: Transport = {
      ...inner,
      connect: async (url: string, options: ConnectOptions) => {
        const opened = await inner.connect(url, options);
        sessions.push(opened);
        return opened;
      },
    };
    const client = await Client.open({ transport, url: 'sab:r', surroundings });
    /** Its sessions end, and with them what proves that it may act still. */
    const die = async () => {
      for (const one of sessions) await one.close();
    };
    return { client, die };
  };
  return { open, session };
}

test('one holds it, others wait; tokens grow', async () => {
  const { open } = await region();
  const [{ client: a }, { client: b }] = [await open(), await open()];
  const first = await a.lock('/lock');
  first.check();
  assert.is(await code(b.lock('/lock', { timeout: 30 })), 'DeadlineExceeded');
  assert.is(await code(a.lock('/lock', { timeout: 30 })), 'DeadlineExceeded');
  assert.is(await code(b.lock('/lock', { signal: AbortSignal.abort() })), 'Aborted');
  const stop = new AbortController();
  const aborted = code(b.lock('/lock', { signal: stop.signal }));
  stop.abort();
  assert.is(await aborted, 'Aborted');
  const waiting = b.lock('/lock');
  await first.release();
  await first.release();
  assert.not(first.held);
  const second = await waiting;
  assert.ok(second.held && second.token > first.token);
  assert.throws(() => first.check(), /released/);
  // In one client, those who wait come in their order.
  const order: number[] = [];
  const all = [1, 2, 3].map(async (number) => {
    await using _ = await b.lock('/lock');
    order.push(number);
  });
  await second[Symbol.asyncDispose]();
  await Promise.all(all);
  assert.equal(order, [1, 2, 3]);
  assert.is(await code(a.lock('/none/lock')), 'NotFound');
  await (await a.namespace.open('/file', { create: true })).close();
  assert.is(await code(a.lock('/file')), 'InvalidArgument');
  await a.close();
  await b.close();
});

test('it ends with its holder: who leaves, and who is known to be dead', async () => {
  const { open } = await region();
  const { client: a } = await open();
  const leaving = await open();
  const left = await leaving.client.lock('/lock');
  await leaving.client.close();
  const mine = await a.lock('/lock');
  assert.ok(mine.token > left.token);
  await mine.release();
  const dying = await open();
  const held = await dying.client.lock('/lock');
  assert.is(await code(a.lock('/lock', { timeout: 50 })), 'DeadlineExceeded');
  await dying.die();
  assert.ok(await a.kick(dying.client.member.slot));
  const taken = await a.lock('/lock');
  assert.ok(taken.token > held.token);
  await a.lookAfter();
  await taken.release();
  await (await a.lock('/lock')).release();
  await dying.client.close().catch(() => undefined);
  await a.close();
});

test('the file of a lock that is removed: its holder has lost it, and the next one has a higher token', async () => {
  const { open } = await region();
  const [{ client: a }, { client: b }] = [await open(), await open()];
  const held = await a.lock('/lock');
  await b.namespace.unlink('/lock');
  const other = await b.lock('/lock');
  assert.ok(other.token > held.token);
  await a.refresh();
  assert.ok(held.lost.aborted);
  assert.throws(() => held.check(), /removed/);
  assert.is(await code(held.release()), 'Fenced');
  assert.is(await code(a.lock('/lock', { timeout: 30 })), 'DeadlineExceeded');
  await other.release();
  await a.close();
  await b.close();
});

test('a lock that is worn out gives way to another of its name', async () => {
  const { open, session } = await region();
  const { client } = await open();
  await (await client.lock('/lock')).release();
  const { offset } = client.openFile(await client.namespace.resolve('/lock'));
  const worn = encodeHold({ turn: lastTurn, slot: 0, incarnation: 0 });
  session.compareExchange(offset, session.load(offset) as bigint, worn);
  const next = await client.lock('/lock');
  assert.is(next.token & 0xfff_ffffn, 1n);
  await client.close();
});

test('whatever they do, and whoever dies: one at a time, and each token is higher than the one before', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(fc.nat(5), { minLength: 8, maxLength: 8 }), { minLength: 3, maxLength: 3 }),
      async (plans) => {
        const { open } = await region();
        const guardian = (await open()).client;
        let holder = '';
        let last = 0n;
        const live = async (name: string, plan: readonly number[]): Promise<void> => {
          let life = await open();
          for (const deed of plan) {
            const held = await life.client.lock('/lock');
            assert.is(holder, '', `${name} has what ${holder} has`);
            assert.ok(held.token > last);
            [holder, last] = [name, held.token];
            if (deed === 1) await surroundings.sleep(1);
            if (deed === 2) await guardian.usage();
            holder = '';
            if (deed > 0) {
              await held.release();
              continue;
            }
            await life.die();
            await guardian.kick(life.client.member.slot, life.client.member.incarnation);
            await life.client.close().catch(() => undefined);
            await guardian.lookAfter();
            life = await open();
          }
          await life.client.close();
        };
        await Promise.all(plans.map((plan, at) => live(`${at}`, plan)));
        await guardian.close();
      },
    ),
    { numRuns: 10, endOnFailure: true },
  ));

test.run();
