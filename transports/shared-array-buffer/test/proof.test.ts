// deadline: 180s
import { once } from 'node:events';
import {
  bindingOf,
  decodePrincipal,
  encodeMember,
  isExomemError,
  memberState,
  principalWordOffset,
} from '@exomem/core';
import { assert, code, suite } from '@exomem/testing';
import { supervise } from '@exomem/transport-shared-array-buffer';
import { ThreadRegion, told } from './fixtures/thread-region.js';

// Nobody can be shut out of shared memory: a member is dead when its thread is known to have ended, and not before.

const test = suite('death of threads');
const MiB = 1024 * 1024;

test('a thread that is busy is not dead, however long its heart stands still, and goes on', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const worker = region.spawn({ work: 'block', name: 'a' });
  const [message] = await once(worker, 'message');
  const { slot, gate } = message as { slot: number; gate: Int32Array };
  const before = (await keeper.members()).members[slot]!;
  // What it would be declared dead after, over a transport that can shut it out.
  const until = performance.now() + 1.5 * keeper.superblock.wait;
  await region.until('that time is over', async () => performance.now() > until);
  const after = (await keeper.members()).members[slot]!;
  assert.is(after.word, before.word);
  assert.is(await code(keeper.kick(slot)), 'Unproven');
  const answer = told(worker);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  assert.equal(await answer, { whole: 1 });
  await region.until(
    'its slot is free',
    async () => (await keeper.members()).members[slot]!.state === memberState.free,
  );
  await region.rest();
});

test('a thread that was ended is recovered: memory is freed, files and what is kept stay', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const { free } = await keeper.usage();
  const worker = region.spawn({ work: 'hold', name: 'f' });
  const { slot, principal } = (await told(worker)) as { slot: number; principal: number };
  assert.is(await code(keeper.kick(slot)), 'Unproven');
  // Not by the thread that spawned it: the proof is there for all.
  const other = await region.join();
  assert.is(await code(other.adopt(principal)), 'Busy');
  await worker.terminate();
  await region.until('it is recovered', async () => (await other.members()).members[slot]!.state === memberState.free);
  const application = await other.adopt(principal);
  const [kept] = await application.holdings();
  const bytes = new Uint8Array(50_000);
  await kept!.read(0, bytes);
  assert.ok(bytes.every((byte) => byte === 5));
  await application.end();
  const file = await other.namespace.open('/f');
  const content = new Uint8Array(30_000);
  assert.is(await file.read(0, content), 30_000);
  assert.ok(content.every((byte) => byte === 7));
  await file.close();
  await other.namespace.unlink('/f');
  await other.close();
  const whole = async () => {
    await keeper.tidy();
    return (await keeper.usage()).free >= free - keeper.geometry.groupPages;
  };
  await region.until('everything is free again', whole);
  await region.rest();
});

test('who takes over at once need not wait for the recovery', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  await region.steward.stop();
  const { keeper } = region;
  const worker = region.spawn({ work: 'hold', name: 'f' });
  const { slot, principal } = (await told(worker)) as { slot: number; principal: number };
  await worker.terminate();
  assert.is(await keeper.kick(slot), true);
  const application = await keeper.adopt(principal);
  assert.is((await application.holdings()).length, 1);
});

test('a thread that nobody supervises is never proven dead', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const worker = region.spawn({ work: 'hold', name: 'f' }, false);
  const { slot } = (await told(worker)) as { slot: number };
  await worker.terminate();
  assert.is(await code(keeper.kick(slot)), 'Unproven');
  assert.throws(
    () => supervise(worker, region.region),
    (error: unknown) => isExomemError(error, 'InvalidArgument'),
  );
});

test('a thread that closes its client leaves nothing to prove, and its slot is used again', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const worker = region.spawn({ work: 'hold', name: 'f' });
  const { slot } = (await told(worker)) as { slot: number };
  worker.postMessage('close');
  assert.equal(await told(worker), { closed: 1 });
  await region.until(
    'its slot is free',
    async () => (await keeper.members()).members[slot]!.state === memberState.free,
  );
  // Slots are used in turn: all of them, and that one once more, while the first thread lives.
  for (let turn = 0; turn <= keeper.geometry.memberSlots; turn++) await (await region.join()).close();
  const next = await region.join();
  await next.allocate(100_000);
  assert.is(await code(keeper.kick(next.member.slot)), 'Unproven');
  await next.close();
});

test('a slot that was won by one who ended before it bound a lane comes back after the wait', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const free = (await keeper.members()).members.find(({ state }) => state === memberState.free)!;
  const { offset } = bindingOf(keeper.geometry, free.slot, free.incarnation);
  const joining = encodeMember({ state: memberState.joining, incarnation: free.incarnation + 1, beat: 5 });
  assert.is(await keeper.session.compareExchange(offset, free.word, joining), free.word);
  await region.until('it is free', async () => (await keeper.members()).members[free.slot]!.state === memberState.free);
  assert.is((await keeper.members()).members[free.slot]!.incarnation, free.incarnation + 1);
});

test('what a thread had spawned is proven to end with it', async () => {
  await using region = await ThreadRegion.create(8 * MiB);
  const { keeper } = region;
  const worker = region.spawn({ work: 'spawn', name: 'f' });
  const { slot, principal } = (await told(worker)) as { slot: number; principal: number };
  await worker.terminate();
  await region.until('it is recovered', async () => (await keeper.members()).members[slot]!.state === memberState.free);
  const word = await keeper.session.load(principalWordOffset(keeper.geometry, principal));
  assert.is(decodePrincipal(word).member, slot);
  assert.equal((await (await keeper.adopt(principal)).holdings()).length, 1);
});

test('threads are ended at random while others allocate: no byte is held twice, and none is lost', async () => {
  await using region = await ThreadRegion.create(16 * MiB);
  const { keeper } = region;
  const { free } = await keeper.usage();
  const files = new Map<string, { length: number; mark: number }>();
  let seed = 20;
  const chance = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  /** One thread after another, each ended after some of its steps. */
  const generations = async (lane: string): Promise<void> => {
    for (let generation = 0; generation < 6; generation++) {
      const worker = region.spawn({
        work: 'storm',
        name: `${lane}${generation}`,
        seed: 1 + Math.floor(chance() * 1e6),
      });
      let left = 10 + Math.floor(chance() * 120);
      await new Promise<void>((resolve, reject) => {
        worker.once('error', reject);
        worker.on('message', ({ path, length, mark }: { path?: string; length: number; mark: number }) => {
          if (path !== undefined) files.set(path, { length, mark });
          if (--left > 0) return;
          resolve();
        });
      });
      // Some spins of the processor later: in the midst of whatever it does then.
      for (let spin = Math.floor(chance() * 3e5); spin > 0; spin--) Math.sqrt(spin);
      await worker.terminate();
    }
  };
  await Promise.all(['a', 'b', 'c'].map(generations));
  await region.until('all are recovered', async () => {
    const { members, principals } = await keeper.members();
    const there = [...members, ...principals].filter(({ state }) => state !== 0);
    return there.length === 2;
  });
  await keeper.refresh();
  let pages = 0;
  for (const [path, { length, mark }] of files) {
    let bytes: Uint8Array;
    try {
      const file = await keeper.namespace.open(path);
      bytes = new Uint8Array(length);
      assert.is(await file.read(0, bytes), length, path);
      await file.close();
    } catch (error) {
      // Every third one is removed by who made it.
      if (isExomemError(error, 'NotFound') && Number(path.split('-')[1]) % 21 === 0) continue;
      throw error;
    }
    assert.ok(
      bytes.every((byte) => byte === mark),
      path,
    );
    pages++;
  }
  assert.ok(pages > 0);
  for (const { name } of await keeper.namespace.list('/')) await keeper.namespace.unlink(`/${name}`);
  await region.until('everything is free again', async () => {
    await keeper.tidy();
    return (await keeper.usage()).free >= free - keeper.geometry.groupPages;
  });
  await region.rest();
});

test.run();
