import type { Allocation, Application, Client } from '@exomem/core';
import type { Fact, Operation, Victim } from '../operation.js';
import { facts } from '../operation.js';
import { differs, pattern } from '../pattern.js';
import type { Scene } from '../scene.js';

const kept = { keep: 3_600_000 };
const lengths = [5000, 4096, 300_000];

interface Holding {
  readonly offset: number;
  readonly length: number;
  readonly seed: number;
}

/** An application with something in it. */
async function furnish(client: Client): Promise<{ application: Application; held: Holding[] }> {
  const application = await client.register(kept);
  const held: Holding[] = [];
  for (const [seed, length] of lengths.entries()) {
    const memory = await application.allocate(length);
    await memory.write(0, pattern(seed, length));
    held.push({ offset: memory.offset, length, seed });
  }
  return { application, held };
}

async function mustHold(holdings: readonly Allocation[], held: readonly Holding[]): Promise<void> {
  for (const { offset, length, seed } of held) {
    const found = holdings.find((one) => one.offset === offset);
    if (found === undefined || found.length < length) throw new Error(`${length} bytes at ${offset} are not held`);
    const bytes = new Uint8Array(length);
    await found.read(0, bytes);
    const at = differs(bytes, seed);
    if (at >= 0) throw new Error(`byte ${at} of what is held at ${offset} is ${bytes[at]}`);
  }
}

/** Whoever adopts it finds what was there; when it ends, nothing is left. */
async function takeOver(scene: Scene, principal: number, held: readonly Holding[], by?: Client): Promise<void> {
  const client = by ?? (await scene.join('adopter'));
  const application = await client.adopt(principal);
  scene.kept.delete(principal);
  const holdings = await application.holdings();
  await mustHold(holdings, held);
  const [more, ...others] = holdings.filter(({ offset }) => !held.some((one) => one.offset === offset));
  if (others.length > 0) throw new Error(`${others.length} runs too many are held`);
  // One that the dead had been given, or was about to be.
  await more?.free();
  for (const one of holdings) if (one !== more) await one.free();
  await application.end();
}

/** That is kept for two seconds, and condemned then. */
export const register: Operation = {
  name: 'register',
  keeper: 'steward',
  async act(victim: Victim) {
    const client = await victim.open();
    await victim.ready();
    const application = await client.register({ keep: 1000 });
    const memory = await application.allocate(50_000);
    await memory.write(0, pattern(1, 50_000));
    await application.end();
    await client.register({ keep: 1000 });
  },
};

/** Handed over to another client, willingly. */
export const migrate: Operation = {
  name: 'migrate',
  keeper: 'steward',
  async before(scene) {
    const target = await scene.join('target');
    scene.memo.target = target;
    return { slot: target.member.slot, incarnation: target.member.incarnation };
  },
  async act(victim) {
    const client = await victim.open();
    const { application, held } = await furnish(client);
    victim.tell({ note: 'application', principal: application.principal, held });
    await victim.ready();
    await application.migrate(victim.given as { slot: number; incarnation: number });
  },
  kept: (_scene, told) => facts<{ principal: number }>(told, 'application').map(({ principal }) => principal),
  async after(scene, told) {
    const [fact] = facts<{ principal: number; held: Holding[] }>(told, 'application');
    // Handed over or left behind: the target can take it in either case.
    await takeOver(scene, fact!.principal, fact!.held, scene.memo.target as Client);
  },
};

/** Taken over from a dead client, by one that dies in turn. */
export const adopt: Operation = {
  name: 'adopt',
  keeper: 'steward',
  async before(scene) {
    const client = await scene.join('first');
    const { application, held } = await furnish(client);
    await scene.kill(client);
    scene.memo.held = held;
    scene.kept.add(application.principal);
    return application.principal;
  },
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    const application = await client.adopt(victim.given as number);
    const holdings = await application.holdings();
    if (holdings.length !== lengths.length) throw new Error(`${holdings.length} runs are held`);
    const more = await application.allocate(9000);
    await more.write(0, pattern(9, 9000));
    victim.tell({ note: 'more', offset: more.offset, length: 9000, seed: 9 });
  },
  async after(scene: Scene, told: readonly Fact[]) {
    const [principal] = scene.kept;
    await takeOver(scene, principal!, [...(scene.memo.held as Holding[]), ...facts<Holding>(told, 'more')]);
  },
};

export { furnish, type Holding, takeOver };
