import { faulty } from '@exomem/conformance';
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  type BatchAnswer,
  Client,
  type ClientEvent,
  format,
  handOver,
  memberState,
  migratePrincipal,
  type Protocol,
  runSync,
  type Session,
  Steward,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('application');

/** Where a client that stopped is declared dead by others in an hour, or when one says so. */
async function region(lease = 20_000) {
  const inner = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease, wait: 3_600_000 }), { session, surroundings });
  const transport = faulty(inner, {}, { revoke: true });
  const open = (role: 'member' | 'steward' = 'member') => Client.open({ transport, url: 'sab:r', surroundings, role });
  const keeper = await open('steward');
  const steward = new Steward(keeper, { interval: 20 });
  steward.start();
  const end = async () => {
    await steward.stop();
    await keeper.close();
  };
  return { transport, open, keeper, end };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let wait = 0; wait < 3000; wait++) {
    if (await condition()) return;
    await surroundings.sleep(20);
  }
  assert.unreachable('it did not come about within a minute');
}

const bytesOf = (value: number) => new Uint8Array(100_000).fill(value);

test('moves from one living client to another, and no byte moves', async () => {
  const { open, keeper, end } = await region();
  const a = await open();
  const b = await open();
  const handed: number[] = [];
  const events = b.events.subscribe((event: ClientEvent) => {
    if (event.type === 'handed') handed.push(event.principal);
  });
  const application = await a.register({ keep: 60_000 });
  const first = await application.allocate(100_000);
  const second = await application.allocate(10);
  await first.write(0, bytesOf(1));
  await second.write(0, new Uint8Array(10).fill(2));
  const offsets = [first.offset, second.offset].sort((x, y) => x - y);
  application.onMigrate = (to) => void application.migrate(to);
  assert.ok(await keeper.askToMigrate(application.principal, b.member.slot), 'the request was left');
  await until(() => handed.length > 0);
  assert.is(await code(application.allocate(1)), 'Fenced');
  assert.is(await code(first.free()), 'Fenced');
  const moved = await b.adopt(handed[0]!);
  const holdings = await moved.holdings();
  assert.equal(
    holdings.map(({ offset }) => offset),
    offsets,
  );
  const back = new Uint8Array(100_000);
  await holdings.find(({ length }) => length >= 100_000)!.read(0, back);
  assert.equal(back, bytesOf(1));
  for (const one of holdings) await one.free();
  await moved.end();
  assert.is((await keeper.usage()).held, 0);
  events.unsubscribe();
  await a.close();
  await b.close();
  await end();
});

test('is adopted after its client was killed; what was not committed is freed', async () => {
  const { transport, open, keeper, end } = await region();
  const a = await open();
  const application = await a.register({ keep: 3_600_000 });
  const memory = await application.allocate(300_000);
  await memory.write(0, bytesOf(7));
  const other = await a.allocate(50_000);
  await other.write(0, bytesOf(9).subarray(0, 50_000));
  const b = await open();
  assert.is(await code(b.adopt(application.principal)), 'Busy', 'as long as its member lives');
  transport.kill(a.session);
  assert.ok(await keeper.kick(a.member.slot));
  await until(async () => (await keeper.members()).members[a.member.slot]?.state === memberState.free);
  const adopted = await b.adopt(application.principal);
  const [held] = await adopted.holdings();
  assert.is(held!.offset, memory.offset);
  const back = new Uint8Array(100_000);
  await held!.read(0, back);
  assert.equal(back, bytesOf(7));
  const usage = await keeper.usage();
  assert.is(usage.held, Math.ceil(300_000 / 4096), 'what a had for itself is free');
  const more = await adopted.allocate(1);
  await more.free();
  await held!.free();
  await adopted.end();
  await b.close();
  await a.close().catch(() => undefined);
  await end();
});

test('that is kept by nobody dies with its client, and so does one whose time is over', async () => {
  const { transport, open, keeper, end } = await region();
  const a = await open();
  const fleeting = await a.register();
  const short = await a.register({ keep: 1000 });
  await fleeting.allocate(5000);
  await short.allocate(5000);
  assert.is((await keeper.usage()).held, 4);
  transport.kill(a.session);
  assert.ok(await keeper.kick(a.member.slot));
  await until(async () => (await keeper.members()).principals.filter(({ state }) => state !== 0).length === 1);
  assert.is((await keeper.usage()).held, 0);
  const b = await open();
  assert.is(await code(b.adopt(short.principal)), 'NotFound');
  assert.is(await code(b.adopt(b.identity.principal)), 'NotFound');
  await b.close();
  await a.close().catch(() => undefined);
  await end();
});

test('two who adopt at once: one gets it', async () => {
  const { open, keeper, end } = await region();
  const a = await open();
  const application = await a.register({ keep: 3_600_000 });
  await application.allocate(1);
  assert.ok(await keeper.kick(a.member.slot));
  assert.is(await code(a.allocate(1)), 'Fenced');
  const [b, c] = [await open(), await open()];
  const outcomes = await Promise.all([code(b.adopt(application.principal)), code(c.adopt(application.principal))]);
  assert.equal(outcomes.sort(), ['Busy', 'none']);
  await b.close();
  await c.close();
  await a.close().catch(() => undefined);
  await end();
});
test('what was seen of an application is held against what it is when it is adopted', async () => {
  const { open, keeper, end } = await region();
  const a = await open();
  const application = await a.register({ keep: 3_600_000 });
  const memory = await application.allocate(1);
  const [b, c] = [await open(), await open()];
  assert.ok(await b.kick(a.member.slot));
  for (const one of [b, c]) await one.members();
  const [first] = await (await c.adopt(application.principal)).holdings();
  assert.is(first!.offset, memory.offset);
  assert.is(await code(b.adopt(application.principal)), 'Busy', 'it has somebody else now');
  assert.ok(await keeper.kick(c.member.slot));
  await b.members();
  const [second] = await (await b.adopt(application.principal)).holdings();
  assert.is(second!.offset, memory.offset);
  await b.close();
  for (const dead of [a, c]) await dead.close().catch(() => undefined);
  await end();
});

test('nothing is handed to who is gone, however it was seen', async () => {
  const { open, keeper, end } = await region();
  const [a, b] = [await open(), await open()];
  const application = await a.register();
  await application.allocate(1);
  const seen = (await a.members()).members[b.member.slot]!;
  await b.close();
  for (const to of [seen, { slot: seen.slot, incarnation: seen.incarnation }, { ...seen, word: 0n }])
    assert.is(await code(application.migrate(to)), 'Busy');
  await (await application.allocate(1)).free();
  const now = (await a.members()).members[keeper.member.slot]!;
  await application.migrate({ ...now, word: seen.word });
  assert.is(await code(application.allocate(1)), 'Fenced');
  await a.close();
  await end();
});

/**
 * Takes the first steps of a protocol, up to and with the first that `last` says yes to: there its client dies. Of a batch so
 * many steps happen.
 */
async function begin<T>(
  session: Session,
  protocol: Protocol<T>,
  last: (op: string) => boolean,
  parts?: number,
): Promise<void> {
  let state = protocol.next();
  for (;;) {
    const step = state.value as { op: string };
    const { offset, expected, desired, steps } = step as never as {
      offset: number;
      expected: bigint;
      desired: bigint;
      steps: [];
    };
    let answer: bigint | BatchAnswer | undefined;
    if (step.op === 'batch') answer = await session.batch(steps.slice(0, parts));
    else if (step.op === 'load') answer = await session.load(offset);
    else if (step.op === 'compareExchange') answer = await session.compareExchange(offset, expected, desired);
    else assert.is(step.op, 'drain');
    if (last(step.op)) return;
    state = protocol.next(answer);
  }
}

test('that ends gives back what a dead predecessor had begun to build', async () => {
  const { transport, open, keeper, end } = await region();
  const a = await open();
  const application = await a.register({ keep: 3_600_000 });
  await (await application.allocate(20_000)).free();
  // Pages that were written to are zeroed between the claim and the commit.
  const building = application.allocator.allocate({ pages: 3, initialise: 'zero' });
  await begin(a.session, building, (op) => op === 'batch');
  assert.is((await keeper.usage()).withheld, 1, 'the head');
  transport.kill(a.session);
  assert.ok(await keeper.kick(a.member.slot));
  await until(async () => (await keeper.members()).members[a.member.slot]?.state === memberState.free);
  const b = await open();
  const adopted = await b.adopt(application.principal);
  assert.equal(await adopted.holdings(), []);
  await adopted.end();
  await until(async () => (await keeper.usage()).withheld === 0);
  assert.is((await keeper.members()).principals.filter(({ state }) => state !== 0).length, 2);
  await b.close();
  await a.close().catch(() => undefined);
  await end();
});

test('whoever is handed something learns of it, though the giver died before it could say so', async () => {
  const { transport, open, end } = await region(3000);
  await end();
  const b = await open();
  const handed: number[] = [];
  const events = b.events.subscribe((event: ClientEvent) => {
    if (event.type === 'handed') handed.push(event.principal);
  });
  const a = await open();
  await a.allocate(5000, { name: '/f' });
  const application = await a.register({ keep: 3_600_000 });
  const gaveIt = (op: string) => op === 'compareExchange';
  // The other lives, and the word is given away; what tells of it is the next step of the batch.
  await begin(a.session, migratePrincipal(a.geometry, application.identity, b.member), (op) => op === 'batch', 2);
  const { members } = await b.members();
  await begin(a.session, handOver(a.geometry, a.identity, members[b.member.slot]!), gaveIt);
  transport.kill(a.session);
  assert.ok(await b.kick(a.member.slot));
  await until(() => handed.length > 0);
  assert.equal(handed, [application.principal]);
  await until(async () => (await b.members()).principals.filter(({ state }) => state !== 0).length === 2);
  await b.namespace.unlink('/f');
  await until(async () => (await b.usage()).withheld === 0);
  await (await b.adopt(application.principal)).end();
  assert.equal(handed, [application.principal], 'it is told once');
  events.unsubscribe();
  await b.close();
  await a.close().catch(() => undefined);
});
test.run();
