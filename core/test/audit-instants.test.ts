// deadline: 240s
import { faulty } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { judge, readImage } from '../src/audit/index.js';
import { type Allocation, Client, ExomemError, type FormatOptions, format, runSync, Steward } from '../src/index.js';
import { Witness, witnessed } from './fixtures/witness.js';
import { surroundings } from './surroundings.js';

const test = suite('audit at every instant');

function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return state / 2 ** 32;
  };
}

interface Weather {
  readonly losses: number;
  readonly deaths: number;
  readonly steward: boolean;
  readonly shape: FormatOptions;
}

/** Clients do all that there is to do, some of them die at any step, and whenever one looks nothing is damaged. */
async function storm(seed: number, { losses, deaths, steward: withSteward, shape }: Weather): Promise<void> {
  const chance = generator(seed);
  const pick = <T>(...from: T[]): T => from[Math.floor(chance() * from.length)]!;
  const below = (most: number): number => Math.floor(chance() * most);
  const inner = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024) });
  const session = inner.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const lease = deaths > 0 ? 300 : 20_000;
  const options = { lease, logSlots: 64, arenaBytes: 32 * 1024, memberSlots: 12, principalSlots: 32, ...shape };
  runSync(format(session.size, options), { session, surroundings });
  const witness = new Witness(session, generator(seed + 1), share);
  const transport = faulty(witnessed(inner, witness), { weather: { seed, rate: losses } }, { revoke: true });
  const steady = transport.steady();
  const calm = {
    ...surroundings,
    sleep: (milliseconds: number, signal?: AbortSignal) => surroundings.sleep(Math.min(milliseconds, 20), signal),
  };
  const open = () => Client.open({ transport, url: 'sab:r', surroundings: calm, patience: 50 });
  const keeper = await Client.open({
    transport: steady,
    url: 'sab:r',
    surroundings: calm,
    role: withSteward ? 'steward' : 'member',
  });
  const steward = new Steward(keeper, { interval: 10, records: 30 });
  if (withSteward) steward.start();
  const orphans: number[] = [];
  const gone: Client[] = [];

  const work = async (name: number): Promise<void> => {
    let client = await open();
    let held: Allocation[] = [];
    const path = () => `/${pick('a', 'b', 'c')}${below(4)}`;
    for (let step = 0; step < 30 && witness.damage.length === 0; step++) {
      try {
        switch (below(12)) {
          case 0:
          case 1:
            held.push(await client.allocate(1 + below(chance() < 0.4 ? 300_000 : 20_000)));
            break;
          case 2:
          case 3:
            await held.splice(below(held.length), 1)[0]?.free();
            break;
          case 4:
            held.push(await client.allocate(1 + below(100_000), { name: path(), lifetime: pick(undefined, 'owner') }));
            break;
          case 5: {
            await using file = await client.namespace.open(path(), { create: true });
            await file.write(below(50_000), new Uint8Array(1 + below(60_000)).fill(name));
            if (chance() < 0.5) await file.flush();
            if (chance() < 0.3) await file.truncate(below(60_000));
            if (chance() < 0.3) await client.namespace.unlink(path());
            if (chance() < 0.3) await file.write(0, new Uint8Array(1 + below(5000)));
            break;
          }
          case 6:
            await client.namespace.unlink(path());
            break;
          case 7:
            if (chance() < 0.5) await client.namespace.rename(path(), path());
            else await client.namespace.mkdir(`/${pick('d', 'e')}`);
            break;
          case 8:
            if (chance() < 0.3) await client.snapshot();
            else await client.namespace.link(path(), path());
            break;
          case 9: {
            const application = await client.register({ keep: pick(0, 60_000) });
            for (let count = below(3); count > 0; count--) await application.allocate(1 + below(150_000));
            if (chance() < 0.5) await application.allocate(1 + below(9000), { name: path(), lifetime: 'owner' });
            if (chance() < 0.3) await application.end();
            else orphans.push(application.principal);
            break;
          }
          case 10: {
            const application = await client.adopt(orphans.splice(below(orphans.length), 1)[0] ?? 0);
            for (const one of await application.holdings()) if (chance() < 0.5) await one.free();
            orphans.push(application.principal);
            break;
          }
          case 11:
            if (chance() < deaths) {
              const doomed = client;
              gone.push(doomed);
              const last = [
                doomed.allocate(1 + below(300_000)),
                doomed.namespace.symlink('x', path()),
                ...held.splice(0, 2).map((one) => one.free()),
              ];
              for (const one of last) one.catch(() => undefined);
              for (let wait = below(20); wait > 0; wait--) await new Promise<void>((resolve) => setImmediate(resolve));
              transport.kill(doomed.session);
            } else {
              await client.close();
            }
            held = [];
            client = await open();
            break;
        }
      } catch (error) {
        if (!(error instanceof ExomemError)) throw error;
        if (error.code === 'Damaged') throw error;
        if (error.code !== 'Fenced' && error.code !== 'Closed' && error.code !== 'Busy') continue;
        gone.push(client);
        await client.close().catch(() => undefined);
        held = [];
        client = await open();
      }
    }
    await client.close();
  };
  const works = await Promise.allSettled([1, 2, 3].map(work));
  transport.calm = true;
  await steward.stop();
  await keeper.close();
  for (const client of gone) await client.close().catch(() => undefined);
  assert.equal(witness.damage, [], `after ${witness.looks} looks`);
  for (const each of works) if (each.status === 'rejected') throw each.reason;
  assert.ok(witness.looks > 10, `${witness.looks} looks`);
  const image = runSync(readImage(session.size), { session, surroundings });
  assert.equal(
    judge(image).filter(({ severity }) => severity === 'damage'),
    [],
  );
}

// For a longer hunt: more storms, and a look at more of the instants (1 is all).
const runs = Number(process.env.EXOMEM_RUNS ?? 8);
const share = Number(process.env.EXOMEM_LOOK ?? 0.1);
const shapes: FormatOptions[] = [{}, { groupPages: 4, zeroed: true }, { groupPages: 1 }, { groupPages: 13 }];

test('a network that loses answers', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.constantFrom(0, 0.03),
      fc.boolean(),
      fc.constantFrom(...shapes),
      async (seed, losses, steward, shape) => {
        await storm(seed, { losses, deaths: 0, steward, shape });
      },
    ),
    { numRuns: runs, endOnFailure: true },
  );
});

test('deaths at any step', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.constantFrom(0, 0.02),
      fc.boolean(),
      fc.constantFrom(...shapes),
      async (seed, losses, steward, shape) => {
        await storm(seed, { losses, deaths: 0.6, steward, shape });
      },
    ),
    { numRuns: runs, endOnFailure: true },
  );
});
test.run();
