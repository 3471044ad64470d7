// deadline: 240s
import { faulty } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { judge, readImage } from '../src/audit/index.js';
import {
  Client,
  ExomemError,
  encodeState,
  format,
  isExomemError,
  runSync,
  type Session,
  Steward,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('namespace');

function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

/** What an independent reading finds: no damage, and at rest nothing that somebody should have tidied up. */
function audit(session: Session, atRest: boolean): void {
  const image = runSync(readImage(session.size), { session, surroundings });
  const findings = judge(image, undefined, { atRest });
  assert.equal(
    findings.filter(({ severity }) => severity === 'damage'),
    [],
  );
}

async function chaos(seed: number, rate: number, deaths: number): Promise<void> {
  const chance = generator(seed);
  const inner = sharedArrayBuffer({ r: createRegion(6 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(
    format(session.size, {
      zeroed: true,
      lease: deaths > 0 ? 400 : 20_000,
      logSlots: 64,
      arenaBytes: 32 * 1024,
      memberSlots: 24,
    }),
    {
      session,
      surroundings,
    },
  );
  const transport = faulty(inner, { weather: { seed, rate } }, { revoke: true });
  const steady = transport.steady();
  const calm = {
    ...surroundings,
    sleep: (milliseconds: number, signal?: AbortSignal) => surroundings.sleep(Math.min(milliseconds, 20), signal),
  };
  const open = () => Client.open({ transport, url: 'sab:r', surroundings: calm, patience: 100 });
  const keeper = await Client.open({ transport: steady, url: 'sab:r', surroundings: calm, role: 'steward' });
  const steward = new Steward(keeper, { interval: 10, records: 40 });
  steward.start();
  const dead: Client[] = [];
  const others = new Map<number, Client>();
  const acknowledged = new Map<string, number>();
  const work = async (name: number): Promise<void> => {
    let client = await open();
    for (let step = 0; step < 40; step++) {
      others.set(name, client);
      const pick = <T>(...from: T[]): T => from[Math.floor(chance() * from.length)]!;
      const path = () => `/${pick('a', 'b')}/${pick('p', 'q', 'r', 's')}`;
      try {
        switch (Math.floor(chance() * 9)) {
          case 0:
            await client.namespace.mkdir(`/${pick('a', 'b')}`);
            break;
          case 1:
          case 2:
          case 3: {
            const lifetime = chance() < 0.3 ? 'owner' : undefined;
            const file = await client.namespace.open(path(), { create: true, lifetime });
            try {
              await file.write(
                Math.floor(chance() * 30_000),
                new Uint8Array(1 + Math.floor(chance() * 20_000)).fill(name),
              );
            } finally {
              await file.close();
            }
            break;
          }
          case 4:
            if (chance() < 0.5) {
              // Whatever becomes of its names, a file that is open has its bytes, on this client and at this moment.
              const own = `/open-${name}-${step}`;
              const file = await client.namespace.open(own, { create: true });
              const bytes = new Uint8Array(1 + Math.floor(chance() * 30_000)).fill(step + 1);
              try {
                await file.write(0, bytes);
                await file.flush();
                const other = others.get((name % 3) + 1);
                if (other !== undefined && chance() < 0.7) await other.namespace.unlink(own).catch(() => undefined);
                else await client.namespace.unlink(own);
                for (let look = 0; look < 3; look++) {
                  await client.refresh();
                  const back = new Uint8Array(bytes.length);
                  assert.is(await file.read(0, back), bytes.length);
                  assert.is(Buffer.compare(back, bytes), 0, 'an open file without a name has lost its bytes');
                  await surroundings.sleep(Math.floor(chance() * 30));
                }
              } finally {
                await file.close();
              }
            } else {
              await client.namespace.unlink(path());
            }
            break;
          case 5:
            await client.namespace.rename(path(), path());
            break;
          case 6:
            await client.namespace.link(path(), path());
            break;
          case 7: {
            const mine = `/only-${name}-${step}`;
            await client.namespace.symlink(mine, mine);
            acknowledged.set(mine, name);
            break;
          }
          case 8:
            if (chance() < deaths) {
              const doomed = client;
              dead.push(doomed);
              const last = [
                doomed.allocate(1 + Math.floor(chance() * 100_000)),
                doomed.namespace.symlink('x', `/dying-${name}-${step}`),
              ];
              for (const one of last) one.catch(() => undefined);
              for (let wait = Math.floor(chance() * 20); wait > 0; wait--) {
                await new Promise<void>((resolve) => setImmediate(resolve));
              }
              transport.kill(doomed.session);
              client = await open();
            } else if (chance() < 0.2) {
              await client.close();
              client = await open();
            }
            break;
        }
      } catch (error) {
        if (!(error instanceof ExomemError)) throw error;
        if (error.code === 'Fenced' && deaths > 0) {
          // Declared dead by mistake, on a machine that is busy: what was acknowledged stays, and we join again.
          await client.close();
          client = await open();
          continue;
        }
        const expected = [
          'NotFound',
          'Exists',
          'NotDirectory',
          'IsDirectory',
          'NotEmpty',
          'StaleHandle',
          'PermissionDenied',
          'RegionFull',
        ];
        if (!expected.includes(error.code)) throw error;
      }
    }
    await client.close();
  };
  await Promise.all([1, 2, 3].map(work));
  transport.calm = true;
  const late = await open();
  await keeper.refresh();
  await late.refresh();
  audit(session, false);
  assert.is(Buffer.compare(encodeState(late.state), encodeState(keeper.state)), 0, 'two clients see the same tree');
  for (const path of acknowledged.keys()) assert.is(late.namespace.readlinkOf(late.namespace.walk(path, false)), path);
  await late.close();
  for (let wait = 0; wait < 3000; wait++) {
    await steward.round();
    await keeper.tidy();
    const { withheld, held } = await keeper.usage();
    if (
      withheld === keeper.state.pages &&
      held === 0 &&
      (await keeper.members()).principals.filter(({ state }) => state !== 0).length === 1
    )
      break;
    await surroundings.sleep(20);
  }
  audit(session, true);
  assert.equal(await keeper.run(keeper.allocator.validate()), []);
  assert.is((await keeper.usage()).held, 0, 'anonymous pages of the dead are free');
  assert.is(keeper.state.owned.size, 0, 'nobody is there with whom a file could end');
  await steward.stop();
  await keeper.close();
  audit(session, true);
  for (const client of dead) await client.close().catch(() => undefined);
}

const runs = Number(process.env.EXOMEM_RUNS ?? 20);

test('a tree that three clients change over a network that loses answers is one tree, and loses no page', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.constantFrom(0, 0.01, 0.05), (seed, rate) => chaos(seed, rate, 0)),
    { numRuns: runs, endOnFailure: true },
  );
});

test('and so it is when clients die at any step: their names stay, their memory comes back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.constantFrom(0, 0.01), (seed, rate) => chaos(seed, rate, 0.5)),
    { numRuns: runs, endOnFailure: true },
  );
});

test('a region whose tree has no room for another name says so, and still lets names go', async () => {
  const transport = sharedArrayBuffer({ r: createRegion(2 * 1024 * 1024) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true }), { session, surroundings });
  const client = await Client.open({ transport, url: 'sab:r', surroundings });
  let made = 0;
  let refusal = '';
  while (refusal === '') {
    try {
      await client.namespace.create(1, `${made}`.padStart(200, 'x'), { kind: 'directory' });
      made++;
    } catch (error) {
      if (!isExomemError(error)) throw error;
      refusal = error.code;
    }
  }
  assert.is(refusal, 'NamespaceFull');
  assert.ok(made > 50, `${made} names`);
  await client.snapshot();
  for (let n = 0; n < made; n++) await client.namespace.removeEntry(1, `${n}`.padStart(200, 'x'), true);
  assert.is(client.state.inodes.size, 1);
  await client.close();
});
test.run();
