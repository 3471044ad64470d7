import type { Client } from '@exomem/core';
import type { Operation, Victim } from '../operation.js';
import { facts } from '../operation.js';
import { pattern } from '../pattern.js';
import { mustBe } from '../scene.js';

const length = 30_000;

export const join: Operation = {
  name: 'join',
  keeper: 'steward',
  outside: true,
  async act(victim) {
    await victim.ready();
    const client = await victim.open();
    await client.allocate(5000);
  },
};

/** Something of every kind: named, not flushed, anonymous, an application's. */
async function settleIn(client: Client): Promise<void> {
  const file = await client.namespace.open('/f', { create: true });
  await file.write(0, pattern(1, length));
  await file.flush();
  const late = await client.namespace.open('/late', { create: true });
  await late.write(0, pattern(2, length));
  await (await client.allocate(5000)).write(0, pattern(3, 5000));
  await (await client.allocate(200_000)).write(0, pattern(3, 200_000));
  const application = await client.register();
  await (await application.allocate(5000)).write(0, pattern(4, 5000));
}

const leaving: Pick<Operation, 'outside' | 'act' | 'after'> = {
  outside: true,
  async act(victim: Victim) {
    const client = await victim.open();
    await settleIn(client);
    await victim.ready();
    await client.close();
    victim.tell({ note: 'left' });
  },
  async after(scene, told) {
    mustBe('/f', await scene.read('/f'), 1, length);
    const late = await scene.read('/late');
    if (late?.length !== 0 || facts(told, 'left').length > 0) mustBe('/late', late, 2, length);
  },
};

export const leave: Operation = { ...leaving, name: 'leave', keeper: 'steward' };
/** What it hands over goes to an ordinary member. */
export const leaveToMember: Operation = { ...leaving, name: 'leave-to-member', keeper: 'member' };
/** Nobody is there: it leaves everything as it is, and whoever comes next recovers it. */
export const leaveAlone: Operation = { ...leaving, name: 'leave-alone', keeper: 'nobody' };

/** A group with a page of a file and room goes to somebody who asked for room. */
export const giveRoom: Operation = {
  name: 'give-room',
  keeper: 'steward',
  async before(scene) {
    const taker = await scene.join('taker');
    scene.memo.taker = taker;
    return { principal: taker.identity.principal, incarnation: taker.identity.incarnation };
  },
  async act(victim) {
    const client = await victim.open();
    await using file = await client.namespace.open('/f', { create: true });
    await file.write(0, pattern(1, length));
    await file.flush();
    await victim.ready();
    const gift = client.allocator.giveRoom(victim.given as { principal: number; incarnation: number }, 1);
    victim.tell({ note: 'gave', gave: await client.run(gift) });
  },
  async after(scene) {
    mustBe('/f', await scene.read('/f'), 1, length);
    // The custodian, whoever it is, finds what it has.
    await (await (scene.memo.taker as Client).allocate(4096)).free();
    await scene.rest();
  },
};
