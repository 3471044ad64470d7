import { Steward } from '@exomem/core';
import type { Operation } from '../operation.js';
import { pattern } from '../pattern.js';
import { mustBe, type Scene } from '../scene.js';
import { furnish, type Holding, takeOver } from './applications.js';

const length = 30_000;

/** Somebody who has something of every kind, and is declared dead. Nobody is there to recover it. */
export async function leaveRemains(scene: Scene): Promise<void> {
  const client = await scene.join('dead');
  const { application, held } = await furnish(client);
  scene.memo.held = held;
  scene.kept.add(application.principal);
  const file = await client.namespace.open('/f', { create: true });
  await file.write(0, pattern(1, length));
  await file.flush();
  const open = await client.namespace.open('/open', { create: true });
  await open.write(0, pattern(2, length));
  await open.flush();
  await client.namespace.unlink('/open');
  await open.write(length, pattern(2, length));
  const late = await client.namespace.open('/late', { create: true });
  await late.write(0, pattern(3, length));
  for (const bytes of [100, 5000, 200_000, 500_000]) await (await client.allocate(bytes)).write(0, pattern(4, bytes));
  await (await (await client.register()).allocate(100_000)).write(0, pattern(5, 100_000));
  await client.snapshot();
  await scene.kill(client);
}

export async function findRemains(scene: Scene): Promise<void> {
  mustBe('/f', await scene.read('/f'), 1, length);
  if ((await scene.read('/open')) !== undefined) throw new Error('a name that was removed is back');
  const late = await scene.read('/late');
  // What waits longer than a second is published unasked.
  if (late?.length !== 0) mustBe('/late', late, 3, length);
  const [principal] = scene.kept;
  await takeOver(scene, principal!, scene.memo.held as Holding[]);
}

/** The victim is the recoverer; when it is dead, another goes on. */
export const recover: Operation = {
  name: 'recover',
  keeper: 'nobody',
  before: leaveRemains,
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    await new Steward(client).round();
    await client.tidy();
    victim.tell({ note: 'recovered' });
  },
  after: findRemains,
};

/** The victim takes in what another hands over on leaving, and merges it into its own. */
export const receive: Operation = {
  name: 'receive',
  keeper: 'nobody',
  async before(scene) {
    const client = await scene.join('leaver');
    scene.memo.leaver = client;
    const file = await client.namespace.open('/f', { create: true });
    await file.write(0, pattern(1, length));
    await file.close();
    await (await client.allocate(300_000, { name: '/long' })).file!.close();
    await client.snapshot();
  },
  async act(victim) {
    const client = await victim.open('steward');
    await victim.ready();
    const steward = new Steward(client);
    for (let round = 0; round < 3; round++) await steward.round();
  },
  async during(scene) {
    const leaver = scene.memo.leaver as Parameters<Scene['part']>[0];
    await scene.part(leaver);
  },
  async after(scene) {
    mustBe('/f', await scene.read('/f'), 1, length);
    if ((await scene.read('/long'))?.length !== 300_000) throw new Error('/long is not whole');
  },
};
