import { type Allocation, isExomemError } from '@exomem/core';
import type { Operation } from '../operation.js';
import { facts } from '../operation.js';
import { pattern } from '../pattern.js';
import { mustBe } from '../scene.js';

const page = 4096;
/** More than a group has. */
const long = 75 * page + 5;

/** What the dead had for itself is free: `rest` holds the table against that, `clear` looks for what it wrote. */
const gone: Pick<Operation, 'keeper'> = { keeper: 'steward' };

export const allocateSmall: Operation = {
  ...gone,
  name: 'allocate-small',
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    const one = await client.allocate(3 * page);
    await one.write(0, pattern(1, one.length));
    const other = await client.allocate(page);
    await other.write(0, pattern(2, page));
  },
};

export const allocateLong: Operation = {
  ...gone,
  name: 'allocate-long',
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    const one = await client.allocate(long);
    await one.write(0, pattern(1, long));
  },
};

/** Pages that somebody wrote to before, which are zeroed between their claim and their commit. */
export const allocateZeroed: Operation = {
  ...gone,
  name: 'allocate-zeroed',
  async before(scene) {
    // All that there is but a little: whatever is given out next has been written to.
    const client = await scene.join();
    const all: Allocation[] = [];
    try {
      for (let pages = 1024; ; pages = Math.max(16, Math.floor(pages / 2))) {
        const one = await client.allocate(pages * page, { initialise: 'none' }).catch((error) => {
          if (pages > 16 && (isExomemError(error, 'Fragmented') || isExomemError(error, 'RegionFull')))
            return undefined;
          throw error;
        });
        if (one === undefined) continue;
        await one.write(0, pattern(7, one.length));
        all.push(one);
      }
    } catch (error) {
      if (!isExomemError(error, 'RegionFull') && !isExomemError(error, 'Fragmented')) throw error;
    }
    for (const one of all) await one.free();
    await scene.part(client);
  },
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    for (const length of [2 * page, long]) {
      const one = await client.allocate(length);
      const bytes = new Uint8Array(length);
      await one.read(0, bytes);
      if (bytes.some((byte) => byte !== 0)) throw new Error('a fresh page shows bytes of another');
      await one.write(0, pattern(1, length));
    }
  },
};

export const allocateNamed: Operation = {
  ...gone,
  name: 'allocate-named',
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    for (const length of [2 * page, long]) {
      const path = `/named-${length}`;
      const one = await client.allocate(length, { name: path });
      victim.tell({ note: 'made', path, length });
      await one.write(0, pattern(1, length));
      await one.file!.flush();
      victim.tell({ note: 'written', path, length });
    }
  },
  async after(scene, told) {
    for (const { path, length } of facts<{ path: string; length: number }>(told, 'made')) {
      const found = await scene.read(path);
      if (found?.length !== length) throw new Error(`${path} has ${found?.length} bytes, not ${length}`);
    }
    for (const { path, length } of facts<{ path: string; length: number }>(told, 'written')) {
      mustBe(path, await scene.read(path), 1, length);
    }
  },
};

export const free: Operation = {
  ...gone,
  name: 'free',
  async act(victim) {
    const client = await victim.open();
    const all = [await client.allocate(3 * page), await client.allocate(page), await client.allocate(long)];
    for (const one of all) await one.write(0, pattern(1, one.length));
    await victim.ready();
    for (const one of all) await one.free();
    const again = await client.allocate(long);
    const bytes = new Uint8Array(long);
    await again.read(0, bytes);
    if (bytes.some((byte) => byte !== 0)) throw new Error('a page that was freed shows what it held');
  },
};
