// deadline: 120s
import { setTimeout as sleep } from 'node:timers/promises';
import {
  compatible,
  decodeSuperblock,
  groupWordOffset,
  pageBits,
  type RegionMemory,
  repeatBits,
  superblockBytes,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { setAside } from '@exomem/transport-tcp';
import { type Memory, open } from 'exomem';
import { loadMemory } from '../src/image/memory-file.js';
import { scrubMemory } from '../src/serving/scrub.js';
import { Service } from '../src/serving/service.js';
import { exomem, Folder } from './fixtures/command.js';

const test = suite('how memory begins');
const size = 16 * 2 ** 20;
const listen = '127.0.0.1:0';

/** Groups that belong to nobody and are not all clean. */
async function dirtyGroups({ client }: Memory): Promise<number> {
  const { groupCount, groupPages } = client.geometry;
  const words = new BigUint64Array(groupCount);
  await client.readBytes(groupWordOffset(client.geometry, 0), new Uint8Array(words.buffer));
  const clean = BigInt(repeatBits(groupPages, pageBits.clean));
  return words.filter((word) => word >> 48n === 0n && word !== clean).length;
}

async function soil(memory: Memory): Promise<void> {
  const allocation = await memory.allocate(2 ** 20);
  await allocation.write(0, new Uint8Array(allocation.length).fill(1));
  await allocation.free();
}

test('pages that are to be zero before they are free are zeroed by who frees them', async () => {
  await using service = await Service.start({ size, listen, initialise: 'before', clean: 0 });
  assert.is(service.superblock.compat, compatible.wipe);
  await using memory = await open(service.url);
  await soil(memory);
  assert.is(await dirtyGroups(memory), 0);
  await memory.writeFile('/f', new Uint8Array(100_000).fill(2));
  await memory.files.unlink('/f');
  while ((await memory.usage()).withheld > 0) await sleep(20);
  assert.is(await dirtyGroups(memory), 0);
});

test('what the dead have left is zeroed by the steward, and so is what is free where it was told to', async () => {
  await using service = await Service.start({ size, listen, initialise: 'before' });
  await using memory = await open(service.url);
  const dying = await open(service.url);
  const allocation = await dying.allocate(2 ** 20);
  await allocation.write(0, new Uint8Array(allocation.length).fill(3));
  const { offset } = allocation;
  assert.ok(await memory.client.kick(dying.client.member.slot));
  await dying.close();
  // It may have been recovered just now, or not yet.
  const bytes = new Uint8Array(2 ** 20);
  do {
    await sleep(20);
    await memory.client.readBytes(offset, bytes);
  } while (bytes.some((byte) => byte !== 0));

  await using lazy = await Service.start({ size, listen, clean: 2 ** 26 });
  assert.is(lazy.superblock.compat, 0n);
  await using other = await open(lazy.url);
  await soil(other);
  while ((await dirtyGroups(other)) > 0) await sleep(20);
});

test('lazily, nothing is zeroed that nobody asks for', async () => {
  await using service = await Service.start({ size, listen });
  await using memory = await open(service.url);
  await soil(memory);
  const dirty = await dirtyGroups(memory);
  assert.ok(dirty > 0);
  await service.steward!.client!.clean(0);
  assert.is(await dirtyGroups(memory), dirty);
});

test('a region that is scrubbed leaves nothing in memory', async () => {
  using folder = new Folder();
  const image = folder.at('image');
  {
    await using service = await Service.start({ size, listen, scrub: true, save: image });
    assert.is(service.superblock.compat, compatible.wipe);
    await using memory = await open(service.url);
    await memory.writeFile('/f', new Uint8Array(100_000).fill(2));
  }
  await using backing = await setAside({ size });
  await loadMemory(image, backing.memory, () => undefined);
  const { geometry } = superblockOf(backing.memory);
  assert.ok(!isZero(backing.memory));
  await scrubMemory(backing.memory, geometry);
  assert.ok(isZero(backing.memory));
});

test('a region begins as it was formatted, or not at all', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  await (await Service.start({ size, listen, file })).close();
  const serve = (...args: string[]) => exomem(['serve', '--size', '16M', '--listen', listen, ...args]);
  for (const args of [['--scrub'], ['--initialise', 'before']]) {
    const { code, stderr } = await serve('--file', file, ...args);
    assert.is(code, 2);
    assert.match(stderr, /^exomem: [^\n]*when they are given out[^\n]*\n$/);
  }
  for (const args of [
    ['--initialise', 'soon'],
    ['--scrub', '--initialise', 'lazily'],
    ['--clean', '-1'],
  ]) {
    assert.is((await serve(...args)).code, 2, args.join(' '));
  }
});

function superblockOf(memory: RegionMemory) {
  const bytes = new Uint8Array(superblockBytes);
  memory.read(0, bytes);
  return decodeSuperblock(bytes, memory.size).block;
}

function isZero(memory: RegionMemory): boolean {
  return memory.segments.every((segment) => new BigUint64Array(segment).every((word) => word === 0n));
}

test.run();
