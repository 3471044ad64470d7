import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { type Allocation, Client, format, isExomemError, runSync } from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('room');

const pageSize = 4096;

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let wait = 0; wait < 3000; wait++) {
    if (await condition()) return;
    await surroundings.sleep(20);
  }
  assert.unreachable('it did not come about within a minute');
}

/** Takes all groups, half of each for a file, and gives the other half back. */
async function startAll(client: Client): Promise<void> {
  const half = (client.geometry.groupPages / 2) * pageSize;
  const anonymous: Allocation[] = [];
  try {
    for (let n = 0; ; n++) {
      await (await client.allocate(half, { name: `/${n}` })).file!.close();
      anonymous.push(await client.allocate(half));
    }
  } catch (error) {
    if (!isExomemError(error, 'RegionFull')) throw error;
  }
  await client.freeMany(anonymous);
}

test('is asked for ahead, and is there before it is missed', async () => {
  const transport = sharedArrayBuffer({ r: createRegion(2 * 1024 * 1024) });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease: 1000, wait: 1200 }), { session, surroundings });
  const open = (patience: number) => Client.open({ transport, url: 'sab:r', surroundings, patience });
  await using holder = await open(0);
  // Who has no patience takes the first no for an answer.
  await using asker = await open(0);
  const held = await asker.allocate(8 * pageSize);
  await startAll(holder);
  const room = async () => (await asker.usage()).principals.get(asker.identity.principal)!.room;
  // From here on it asks for nothing that it does not have: it looks ahead by itself.
  await asker.allocate(1);
  const before = await room();
  assert.is(before, asker.geometry.groupPages / 2 - 1);
  await until(async () => (await room()) > before);
  for (let n = 0; n < before + 2; n++) await asker.allocate(1);
  await held.free();
});

test.run();
