import { type Client, isExomemError, type RegionFile } from '@exomem/core';
import type { Operation } from '../operation.js';
import { facts, wasTold } from '../operation.js';
import { pattern } from '../pattern.js';
import { mustBe, type Scene } from '../scene.js';

const length = 30_000;
const owned = { lifetime: 'owner' } as const;

async function make(client: Client, path: string, seed: number): Promise<void> {
  await using file = await client.namespace.open(path, { create: true, ...owned });
  await file.write(0, pattern(seed, length));
}

async function mustBeGone(scene: Scene, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    if ((await scene.read(path)) !== undefined) throw new Error(`${path} is there, and its owner is not`);
  }
}

/** Somebody else has a file open that ends with the victim. */
const read: Pick<Operation, 'keeper' | 'before' | 'during'> = {
  keeper: 'steward',
  async before(scene) {
    scene.memo.other = await scene.join();
  },
  async during(scene) {
    scene.memo.file = await (scene.memo.other as Client).namespace.open('/open');
  },
};
async function readOn(scene: Scene): Promise<void> {
  const file = scene.memo.file as RegionFile;
  const bytes = new Uint8Array(file.size);
  await file.read(0, bytes);
  mustBe('an open file whose owner is gone', bytes, 1, length);
  await file.close();
}

/** Files that end with the victim are made, get second names, take the place of others, and go. */
export const own: Operation = {
  ...read,
  name: 'own',
  async act(victim) {
    const client = await victim.open();
    await make(client, '/open', 1);
    await victim.ready();
    const whole = await client.allocate(length, { name: '/whole', ...owned });
    await whole.write(0, pattern(2, length));
    await whole.file!.close();
    await (await client.namespace.open('/replaced', { create: true })).close();
    {
      await using file = await client.namespace.open('/stays', { create: true });
      await file.write(0, pattern(3, length));
    }
    victim.tell({ note: 'stays' });
    await client.namespace.link('/whole', '/linked');
    await client.namespace.rename('/whole', '/replaced');
    victim.tell({ note: 'replaced' });
    await client.namespace.unlink('/linked');
    await client.snapshot();
  },
  async after(scene, told) {
    await mustBeGone(scene, '/open', '/whole', '/linked');
    if (wasTold(told, 'replaced')) await mustBeGone(scene, '/replaced');
    if (wasTold(told, 'stays')) mustBe('/stays', await scene.read('/stays'), 3, length);
    await readOn(scene);
  },
};

/** The victim leaves in peace. */
export const leaveOwned: Operation = {
  ...read,
  name: 'leave-owned',
  outside: true,
  async act(victim) {
    const client = await victim.open();
    await make(client, '/open', 1);
    await make(client, '/more', 2);
    await client.namespace.link('/more', '/linked');
    {
      await using file = await client.namespace.open('/stays', { create: true });
      await file.write(0, pattern(3, length));
    }
    await victim.ready();
    await client.close();
  },
  async after(scene) {
    await mustBeGone(scene, '/open', '/more', '/linked');
    mustBe('/stays', await scene.read('/stays'), 3, length);
    await readOn(scene);
  },
};

/** An application that is kept has files that end with it, and ends. */
export const endOwned: Operation = {
  name: 'end-owned',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    const application = await client.register({ keep: 3_600_000 });
    victim.tell({ note: 'application', principal: application.principal });
    const first = await application.allocate(length, { name: '/first', ...owned });
    await first.write(0, pattern(1, length));
    await first.file!.close();
    await victim.ready();
    await (await application.allocate(length, { name: '/second', ...owned })).file!.close();
    victim.tell({ note: 'ends' });
    await application.end();
    victim.tell({ note: 'ended' });
  },
  kept: (_scene, told) => facts<{ principal: number }>(told, 'application').map(({ principal }) => principal),
  async after(scene, told) {
    const [fact] = facts<{ principal: number }>(told, 'application');
    if (!wasTold(told, 'ends')) mustBe('/first', await scene.read('/first'), 1, length);
    // It waits for somebody, or has ended.
    const client = await scene.join('adopter');
    try {
      await (await client.adopt(fact!.principal)).end();
    } catch (error) {
      if (!isExomemError(error, 'NotFound') || !wasTold(told, 'ends')) throw error;
    }
    scene.kept.delete(fact!.principal);
    await mustBeGone(scene, '/first', '/second');
    await scene.rest();
  },
};
