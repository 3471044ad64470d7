// deadline: 120s
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { auditRegion } from '../src/audit/index.js';
import { Client, format, memberState, run, runSync, Steward } from '../src/index.js';
import { Brake, LateTransport, maxDelay } from './fixtures/late-transport.js';
import { surroundings } from './surroundings.js';

// A transport that can shut nobody out, but says how late a step of it may land: then it is the wait that makes a death safe.

const test = suite('death by waiting');

async function region(delay = maxDelay, wait = 3000) {
  const inner = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024).segments });
  const session = inner.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  // No less than a lease and that delay, and some for a machine that is busy.
  const times = { lease: 2000, delay, wait };
  runSync(format(session.size, { zeroed: true, ...times }), { session, surroundings });
  const open = (brake: Brake, role: 'member' | 'steward' = 'member') =>
    Client.open({ transport: new LateTransport(inner, brake), url: 'sab:r', surroundings, role });
  const keeper = await open(new Brake(), 'steward');
  const steward = new Steward(keeper, { interval: 50 });
  const rest = async (): Promise<void> => {
    for (const end = performance.now() + 30_000; ; ) {
      const { findings } = await run(auditRegion(session.size, { atRest: true }), { session, surroundings });
      const damage = findings.filter(({ severity }) => severity === 'damage');
      if (damage.length === 0) return;
      if (performance.now() > end) throw new Error(damage.map(({ what }) => what).join('; '));
      await surroundings.sleep(50);
    }
  };
  return { open, keeper, steward, rest };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 60_000; !(await condition()); ) {
    if (performance.now() > end) throw new Error('it does not come about');
    await surroundings.sleep(20);
  }
}

test('who stands still is declared dead, recovered and adopted; what it sends on waking lands nowhere', async () => {
  const { open, keeper, steward, rest } = await region();
  steward.start();
  const brake = new Brake();
  const a = await open(brake);
  const b = await open(new Brake());
  const application = await a.register({ keep: 600_000 });
  const kept = await application.allocate(20_000);
  await kept.write(0, new Uint8Array(20_000).fill(1));
  const { offset } = kept;
  const own = await a.allocate(30_000);
  await own.write(0, new Uint8Array(30_000).fill(2));
  const { slot } = a.member;
  const { principal } = application;
  assert.is(await code(keeper.kick(slot)), 'Unproven');
  assert.is(await code(b.adopt(principal)), 'Busy');

  brake.stop();
  // Under way when it stops, of three kinds: data, a claim, a record.
  const late = [
    code(kept.write(0, new Uint8Array(20_000).fill(9))),
    code(application.allocate(4096)),
    code(a.namespace.mkdir('/late')),
  ];
  await until(async () => (await keeper.members()).members[slot]!.state === memberState.free);
  const adopted = await b.adopt(principal);
  assert.is(adopted.identity.incarnation, application.identity.incarnation + 1);
  const [found] = await adopted.holdings();
  assert.is(found!.offset, offset);
  await found!.write(0, new Uint8Array(20_000).fill(3));
  const other = await b.allocate(30_000);
  await other.write(0, new Uint8Array(30_000).fill(4));

  brake.release();
  assert.equal(await Promise.all(late), ['Fenced', 'Fenced', 'Fenced']);
  assert.is(await code(own.write(0, new Uint8Array(30_000).fill(9))), 'Fenced');
  const bytes = new Uint8Array(20_000);
  await found!.read(0, bytes);
  assert.ok(bytes.every((byte) => byte === 3));
  const others = new Uint8Array(30_000);
  await other.read(0, others);
  assert.ok(others.every((byte) => byte === 4));
  assert.equal(await b.namespace.list('/'), []);

  // Adopted again, in the one incarnation more.
  await b.close();
  await until(async () => (await keeper.members()).members[b.member.slot]!.state === memberState.free);
  const again = await keeper.adopt(principal);
  assert.is(again.identity.incarnation, application.identity.incarnation + 2);
  assert.is((await again.holdings())[0]!.offset, offset);
  await again.end();
  await a.close();
  await rest();
  await steward.stop();
  await keeper.close();
});

test('where steps may land later than the region reckons with, nobody is declared dead', async () => {
  const { open, keeper } = await region(maxDelay - 1);
  const a = await open(new Brake());
  assert.is(keeper.exclusion, 'none');
  assert.is(await code(keeper.kick(a.member.slot)), 'UnsupportedCapability');
  await a.close();
  await keeper.close();
  const hasty = await region(maxDelay, 2500);
  assert.is(hasty.keeper.exclusion, 'none');
  await hasty.keeper.close();
});
test.run();
