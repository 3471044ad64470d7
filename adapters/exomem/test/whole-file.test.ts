import { randomBytes } from 'node:crypto';
import { isExomemError } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { type Memory, MiB, open } from 'exomem';
import { Service } from '../src/serving/service.js';
import { WholeFile } from '../src/whole-file.js';

const test = suite('a file that comes into being whole');
const own = { mode: 0o640, uid: 1, gid: 2, replace: true };

async function region(body: (memory: Memory, other: Memory, service: Service) => Promise<void>): Promise<void> {
  await using service = await Service.start({ size: 16 * MiB, listen: '127.0.0.1:0' });
  await using memory = await open(service.url);
  await using other = await open(service.url);
  await body(memory, other, service);
}

/** Every second half group is free, in this client's hands. */
async function fragment(memory: Memory): Promise<void> {
  const pieces = [];
  try {
    for (;;) pieces.push(await memory.allocate(8 * 4096, { initialise: 'none' }));
  } catch (error) {
    assert.ok(isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented'), String(error));
  }
  for (let at = 0; at < pieces.length; at += 2) await pieces[at]!.free();
}

test('it has no name before it is whole, and replaces what had its name in one step', () =>
  region(async (memory, other) => {
    await other.writeFile('/x', new Uint8Array([1]), { mode: 0o600 });
    const bytes = randomBytes(1_000_001);
    {
      await using file = new WholeFile(memory.client, bytes.length);
      await file.write(bytes.subarray(0, 262_144));
      await file.write(bytes.subarray(262_144));
      assert.is(file.size, bytes.length);
      assert.equal([...(await other.readFile('/x'))], [1]);
      const inode = await file.commit(1, 'x', own);
      assert.is(memory.client.state.lookup(1, 'x')?.inode, inode);
    }
    assert.ok(bytes.equals(await other.readFile('/x')));
    // The mode and the owner are those of the file that it replaced.
    const { mode, uid, inode } = await other.files.statPath('/x');
    assert.equal([mode, uid], [0o600, 0]);
    assert.is(memory.client.state.file(inode).extents.length, 1);
    {
      await using file = new WholeFile(memory.client);
      await file.commit(1, 'new', own);
    }
    const { mode: fresh, uid: owner, size } = await other.files.statPath('/new');
    assert.equal([fresh, owner, size], [0o640, 1, 0]);
    assert.equal(await memory.client.run(memory.client.allocator.validate()), []);
  }));

test('what is given up, refused, or too long gives its pages back', () =>
  region(async (memory, other) => {
    const { free } = await memory.usage();
    const fails = async (
      code: string,
      act: (file: WholeFile) => Promise<unknown>,
      expected?: number,
    ): Promise<void> => {
      try {
        await using file = new WholeFile(memory.client, expected);
        await act(file);
        assert.unreachable();
      } catch (error) {
        assert.is((error as { code?: string }).code, code, String(error));
      }
      assert.ok((await memory.usage()).free >= free - 16);
      assert.equal(await memory.client.run(memory.client.allocator.validate()), []);
    };
    await other.files.mkdir('/d');
    const some = new Uint8Array(100_000);
    await fails('Exists', async (file) => {
      await file.write(some);
      await file.commit(1, 'd', { ...own, replace: false });
    });
    await fails('IsDirectory', async (file) => {
      await file.write(some);
      await file.commit(1, 'd', own);
    });
    await fails('StaleHandle', async (file) => file.commit(4711, 'x', own));
    await fails('InvalidArgument', async (file) => {
      await file.write(some);
      await file.write(some);
    });
    const endless = async (file: WholeFile): Promise<void> => {
      for (;;) await file.write(new Uint8Array(MiB));
    };
    await fails('RegionFull', endless);
    await fails('RegionFull', endless, 100 * MiB);
    // One that was not finished: nobody has said what becomes of it.
    {
      await using file = new WholeFile(memory.client, 5 * MiB);
      await file.write(new Uint8Array(MiB));
    }
    assert.ok((await memory.usage()).free >= free - 16);
  }));

test('in more pieces than a record can name it appears whole all the same', () =>
  region(async (memory, other) => {
    await fragment(memory);
    await memory.writeFile('/x', new Uint8Array([1]));
    const bytes = randomBytes(4 * MiB + 17);
    await other.client.refresh();
    const sizes = new Set<number>();
    const watching = other.events.subscribe(() => {
      const found = other.client.state.lookup(1, 'x');
      if (found !== undefined) sizes.add(found.size);
    });
    {
      await using file = new WholeFile(memory.client, bytes.length);
      await file.write(bytes);
      await file.commit(1, 'x', own);
    }
    const { inode } = await other.files.statPath('/x');
    assert.ok(other.client.state.file(inode).extents.length > 96);
    assert.ok(bytes.equals(await other.readFile('/x')));
    assert.equal(
      (await other.files.list('/')).map(({ name }) => name),
      ['x'],
    );
    watching.unsubscribe();
    sizes.delete(1);
    sizes.delete(bytes.length);
    assert.equal([...sizes], []);
    assert.equal(await memory.client.run(memory.client.allocator.validate()), []);
    await memory.files.unlink('/x');
  }));

test('more clients than there are groups of pages each find room for a page', async () => {
  await using service = await Service.start({ size: 4 * MiB, listen: '127.0.0.1:0' });
  const groups = service.superblock.geometry.groupCount;
  for (let at = 0; at < groups + 8; at++) {
    await using memory = await open(service.url);
    await using file = new WholeFile(memory.client, 100);
    await file.write(new Uint8Array(100).fill(at));
    await file.commit(1, `f${at}`, own);
  }
  await using memory = await open(service.url);
  for (let at = 0; at < groups + 8; at++) assert.is((await memory.readFile(`/f${at}`))[99], at);
});

test.run();
