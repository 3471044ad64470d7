import { faulty } from '@exomem/conformance';
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { type Allocation, Client, format, type Reservation, runSync, Steward } from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('reservation');

async function region(bytes = 8 * 1024 * 1024) {
  const transport = sharedArrayBuffer({ r: createRegion(bytes) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease: 1000, wait: 1200 }), { session, surroundings });
  return () => Client.open({ transport, url: 'sab:r', surroundings, patience: 0 });
}

async function held(client: Client): Promise<number> {
  return (await client.usage()).held;
}

test('hands out and takes back without a step, and all of it goes when it is closed', async () => {
  const open = await region();
  await using client = await open();
  const reservation = await client.reserve(20, 5000);
  assert.is(reservation.units, 20);
  assert.is(await held(client), 40);
  const units = Array.from({ length: 20 }, () => reservation.take());
  assert.is(reservation.available, 0);
  assert.is(new Set(units.map(({ offset }) => offset)).size, 20);
  assert.ok(units.every(({ length, name }) => length === 5000 && name === undefined));
  assert.is(await code(() => reservation.take()), 'RegionFull');
  assert.is(await code(() => reservation.takeZeroed()), 'RegionFull');
  await units[3]!.write(4999, new Uint8Array([7]));
  assert.is(await code(() => units[3]!.write(5000, new Uint8Array([7]))), 'OutOfRange');
  for (const unit of units) await unit.free();
  assert.is(await code(() => units[0]!.free()), 'StaleHandle');
  assert.is(await code(() => units[0]!.read(0, new Uint8Array(1))), 'StaleHandle');
  assert.is(reservation.available, 20);
  const last = reservation.take();
  await reservation.close();
  await reservation.close();
  assert.is(await held(client), 0);
  assert.is(await code(() => reservation.take()), 'Closed');
  assert.is(await code(() => reservation.grow(1)), 'Closed');
  assert.is(await code(() => last.free()), 'StaleHandle');
  await last[Symbol.asyncDispose]();
});

test('is all or nothing, and grows', async () => {
  const open = await region();
  await using client = await open();
  const { total } = await client.usage();
  assert.is(await code(() => client.reserve(total + 1, 4096)), 'OutOfRange');
  assert.is(await code(() => client.reserve(0, 4096)), 'OutOfRange');
  assert.is(await code(() => client.reserve(1, 0)), 'OutOfRange');
  const other = await client.allocate(1);
  assert.is(await code(() => client.reserve(total, 4096)), 'RegionFull');
  assert.is(await held(client), 1);
  await using reservation = await client.reserve(10, 4096);
  assert.is(await code(() => reservation.grow(total - 10)), 'RegionFull');
  await reservation.grow(100);
  assert.is(reservation.units, 110);
  assert.is(await held(client), 111);
  await other.free();
});

test('a unit of zeros is zeros, whoever of this program had it before', async () => {
  const open = await region();
  await using client = await open();
  await using stranger = await open();
  for (const one of await stranger.allocateMany(50, 4096)) (await one.map()).fill(0xee);
  for (const initialise of ['zero', 'none'] as const) {
    await using reservation = await client.reserve(3, 10_000, { initialise });
    const own = new Uint8Array(10_000).fill(0xaa);
    for (let round = 0; round < 10; round++) {
      await using zeroed = await reservation.takeZeroed();
      assert.ok((await zeroed.map()).every((byte) => byte === 0));
      await using any = reservation.take();
      assert.ok((await any.map()).every((byte) => byte === 0 || byte === 0xaa));
      for (const unit of [zeroed, any]) await unit.write(0, own);
    }
  }
});

test('ends with its client, and nobody else gets a unit meanwhile', async () => {
  const open = await region();
  await using client = await open();
  const other = await open();
  const reservation = await other.reserve(100, 4096);
  const unit = reservation.take();
  const mine = await client.allocateMany(100, 4096);
  const theirs = new Set(Array.from({ length: 99 }, () => reservation.take().offset)).add(unit.offset);
  assert.is(theirs.size, 100);
  assert.ok(mine.every(({ offset }) => !theirs.has(offset)));
  await other.close();
  assert.is(await held(client), 100);
  assert.is(await code(() => reservation.take()), 'Closed');
  assert.is(await code(() => unit.read(0, new Uint8Array(1))), 'Closed');
  await reservation.close();
});

test('moves with an application: whoever takes it over sees every unit, handed out or not', async () => {
  const open = await region();
  await using from = await open();
  await using to = await open();
  const application = await from.register({ keep: 60_000 });
  const reservation = await application.reserve(40, 8192);
  const unit = reservation.take();
  const { offset } = unit;
  await unit.write(0, new TextEncoder().encode('still here'));
  await application.migrate(to.member);
  assert.is(await code(() => reservation.take()), 'Fenced');
  assert.is(await code(() => unit.read(0, new Uint8Array(1))), 'Fenced');
  await reservation.close();
  const here = await to.adopt(application.principal);
  const holdings = await here.holdings();
  assert.is(holdings.length, 40);
  assert.ok(holdings.every(({ length }) => length === 8192));
  const bytes = new Uint8Array(10);
  await holdings.find((one) => one.offset === offset)!.read(0, bytes);
  assert.is(new TextDecoder().decode(bytes), 'still here');
  await to.freeMany(holdings);
  assert.is(await held(to), 0);
});

test('ends with the death of its client, or waits to be adopted, unit by unit', async () => {
  const inner = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease: 1000, wait: 1200 }), { session, surroundings });
  const transport = faulty(inner, {}, { revoke: true });
  const open = (role: 'member' | 'steward') => Client.open({ transport, url: 'sab:r', surroundings, role });
  const keeper = await open('steward');
  const steward = new Steward(keeper, { interval: 20 });
  steward.start();
  const victim = await open('member');
  const application = await victim.register({ keep: 3_600_000 });
  const [own, kept] = [await victim.reserve(50, 4096), await application.reserve(30, 12_000)];
  const unit = kept.take();
  await unit.write(0, new Uint8Array([42]));
  own.take();
  assert.is(await held(keeper), 140);
  transport.kill(victim.session);
  // Three pages for each unit of the application are left.
  for (let wait = 0; (await held(keeper)) !== 90; wait++) {
    assert.ok(wait < 3000, 'it was not recovered within a minute');
    await surroundings.sleep(20);
  }
  const heir = await open('member');
  const adopted = await heir.adopt(application.principal);
  const holdings = await adopted.holdings();
  assert.is(holdings.length, 30);
  assert.ok(holdings.every(({ length }) => length === 3 * 4096));
  const back = new Uint8Array(1);
  await holdings.find(({ offset }) => offset === unit.offset)!.read(0, back);
  assert.is(back[0], 42);
  await heir.freeMany(holdings);
  await adopted.end();
  await heir.close();
  await steward.stop();
  assert.is(await held(keeper), 0);
  await keeper.close();
  await victim.close().catch(() => undefined);
});

test('what is given up half way leaves nothing behind', async () => {
  const open = await region();
  await using client = await open();
  assert.is(await code(() => client.allocateMany(10, 4096, { signal: AbortSignal.abort() })), 'Aborted');
  const abort = new AbortController();
  const work = code(() => client.reserve(1000, 4096, { signal: abort.signal }));
  abort.abort();
  assert.is(await work, 'Aborted');
  // It is finished and undone behind the scenes.
  for (let wait = 0; (await held(client)) !== 0; wait++) {
    assert.ok(wait < 3000, 'it was not undone within a minute');
    await surroundings.sleep(20);
  }
});

test('many of a client are freed at once: its own, those of its applications, units of reservations', async () => {
  const open = await region();
  await using client = await open();
  await using other = await open();
  const application = await client.register();
  await using reservation = await client.reserve(4, 4096);
  const all: Allocation[] = [
    ...(await client.allocateMany(33, 100)),
    ...(await application.allocateMany(9, 20_000)),
    reservation.take(),
    reservation.take(),
    await client.allocate(200_000),
  ];
  assert.ok(all.slice(0, 33).every(({ length }) => length === 100));
  const file = await client.allocate(10, { name: '/f' });
  const foreign = await other.allocate(10);
  const before = await held(client);
  assert.is(await code(() => client.freeMany([...all, file])), 'InvalidArgument');
  assert.is(await code(() => client.freeMany([...all, foreign])), 'PermissionDenied');
  assert.is(await held(client), before);
  await client.freeMany(all);
  assert.is(reservation.available, 4);
  assert.is(await held(client), 5);
  assert.is(await code(() => client.freeMany(all)), 'StaleHandle');
  await client.freeMany([]);
  await file.free();
});

test('whatever is taken and given back, no two have the same unit', async () => {
  const open = await region();
  await using client = await open();
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(9), { maxLength: 60 }), async (deeds) => {
      await using reservation: Reservation = await client.reserve(4, 4096);
      const out: Allocation[] = [];
      let units = 4;
      for (const deed of deeds) {
        if (deed === 0) {
          await reservation.grow(2);
          units += 2;
        } else if (deed < 5) {
          if (out.length === units) assert.is(await code(() => reservation.take()), 'RegionFull');
          else out.push(deed === 1 ? await reservation.takeZeroed() : reservation.take());
        } else if (out.length > 0) {
          out.splice(deed % out.length, 1)[0]!.freeSync();
        }
        assert.is(new Set(out.map(({ offset }) => offset)).size, out.length);
        assert.is(reservation.available, units - out.length);
        assert.is(reservation.units, units);
      }
    }),
    { numRuns: 60, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true },
  );
});

test.run();
