import type { Client, RegionFile } from '@exomem/core';
import type { Operation } from '../operation.js';
import { pattern } from '../pattern.js';
import { mustBe, type Scene } from '../scene.js';

const length = 30_000;

async function readWhole(file: RegionFile): Promise<Uint8Array> {
  const bytes = new Uint8Array(file.size);
  await file.read(0, bytes);
  return bytes;
}

async function make(client: Client): Promise<RegionFile> {
  const file = await client.namespace.open('/f', { create: true });
  await file.write(0, pattern(1, length));
  await file.flush();
  return file;
}

/** The victim has a file open whose last name another client removes. */
export const keep: Operation = {
  name: 'keep',
  keeper: 'steward',
  async before(scene) {
    scene.memo.other = await scene.join();
  },
  async act(victim) {
    const client = await victim.open();
    const file = await make(client);
    await victim.ready();
    await client.refresh();
    mustBe('a file without a name', await readWhole(file), 1, length);
    await file.write(length, pattern(1, 9000, length));
    await client.refresh();
    mustBe('a file without a name', await readWhole(file), 1, length + 9000);
    await file.close();
  },
  async during(scene) {
    await (scene.memo.other as Client).namespace.unlink('/f');
  },
};

/** The victim removes the last name of a file that another client has open, and that it had custody of. */
export const removeOpen: Operation = {
  name: 'unlink-open',
  keeper: 'steward',
  async before(scene) {
    scene.memo.other = await scene.join();
  },
  async act(victim) {
    const client = await victim.open();
    const file = await make(client);
    await file.close();
    await victim.ready();
    await client.namespace.unlink('/f');
    await client.tidy();
    await client.refresh();
    await client.tidy();
  },
  async during(scene) {
    scene.memo.file = await (scene.memo.other as Client).namespace.open('/f');
  },
  async after(scene) {
    const file = scene.memo.file as RegionFile;
    mustBe('an open file', await readWhole(file), 1, length);
    await file.close();
  },
};

/** The victim frees pages of a file of its own that another client removed. */
export const sweep: Operation = {
  name: 'sweep',
  keeper: 'steward',
  async before(scene) {
    scene.memo.other = await scene.join();
  },
  async act(victim) {
    const client = await victim.open();
    const file = await make(client);
    await file.close();
    const whole = await client.allocate(200_000, { name: '/whole' });
    await whole.file!.close();
    await victim.ready();
    await client.refresh();
    for (let round = 0; client.allocator.dismissed > 0 && round < 100; round++) {
      await client.tidy();
      await client.surroundings.sleep(20);
    }
  },
  async during(scene: Scene) {
    const { namespace } = scene.memo.other as Client;
    await namespace.unlink('/f');
    await namespace.unlink('/whole');
  },
};
