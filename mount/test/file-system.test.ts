import { rootInode } from '@exomem/core';
import { FileSystem } from '@exomem/mount';
import { assert, code, suite } from '@exomem/testing';
import { contents, TestRegion, text } from './fixtures/region.js';

const test = suite('file system');
const mode = 0o644;

test('makes, writes, reads, lists, removes', async () => {
  await using region = await TestRegion.make();
  const fs = await region.open();
  const directory = await fs.mkdir(rootInode, 'd', { mode: 0o750, uid: 7, gid: 8 });
  const { inode, handle } = await fs.create(directory, 'f', { mode });
  await fs.write(handle, 0, text('hello'));
  await fs.write(handle, 5, text(' world'));
  assert.is(fs.stat(inode).size, 11);
  assert.is(await contents(fs, handle), 'hello world');
  await fs.flush(handle);
  await fs.release(handle);
  const made = await fs.lookup(rootInode, 'd');
  assert.equal([made.kind, made.mode, made.uid, made.gid], ['directory', 0o750, 7, 8]);
  assert.equal(await fs.list(directory), [{ name: 'f', inode, kind: 'file' }]);
  const listing = await fs.opendir(directory);
  await fs.mknod(directory, 'later', { mode });
  assert.is(fs.readdir(listing).length, 1, 'an open directory stays as it was');
  fs.releasedir(listing);
  assert.is(await code(() => fs.rmdir(rootInode, 'd')), 'NotEmpty');
  await fs.unlink(directory, 'f');
  await fs.unlink(directory, 'later');
  await fs.rmdir(rootInode, 'd');
  assert.is(await code(() => fs.lookup(rootInode, 'd')), 'NotFound');
  assert.is(await code(() => fs.read(handle, 0, new Uint8Array(1))), 'StaleHandle');
});

test('symbolic and hard links', async () => {
  await using region = await TestRegion.make();
  const fs = await region.open();
  const link = await fs.symlink(rootInode, 's', '../elsewhere/ü');
  assert.is(fs.readlink(link), '../elsewhere/ü');
  assert.is((await fs.getattr(link)).size, 15);
  assert.is(await code(() => fs.open(link)), 'InvalidArgument');
  const file = await fs.mknod(rootInode, 'a', { mode });
  assert.is(await code(async () => fs.readlink(file)), 'NotSymlink');
  await fs.link(file, rootInode, 'b');
  assert.is((await fs.lookup(rootInode, 'b')).links, 2);
  await fs.unlink(rootInode, 'a');
  assert.is((await fs.lookup(rootInode, 'b')).links, 1);
  assert.is(await code(() => fs.link(rootInode, rootInode, 'c')), 'PermissionDenied');
});

test('attributes: mode, owner, times, size', async () => {
  await using region = await TestRegion.make();
  const fs = await region.open();
  const { inode, handle } = await fs.create(rootInode, 'f', { mode });
  await fs.write(handle, 0, text('0123456789'));
  const changed = await fs.setattr(inode, { mode: 0o4755, uid: 3, gid: 4, mtime: 123_456_789n, size: 4 });
  assert.equal([changed.mode, changed.uid, changed.gid, changed.mtime, changed.size], [0o4755, 3, 4, 123_456_789n, 4]);
  assert.is(await contents(fs, handle), '0123');
  await fs.setattr(inode, { size: 8 });
  assert.is(await contents(fs, handle), '0123\0\0\0\0');
  assert.is(await code(() => fs.setattr(rootInode, { size: 0 })), 'IsDirectory');
  assert.ok(fs.access(inode, 4, { uid: 3, gids: [] }));
  assert.ok(fs.access(inode, 2, { uid: 3, gids: [] }));
  assert.not(fs.access(inode, 2, { uid: 9, gids: [4] }));
  assert.ok(fs.access(inode, 5, { uid: 9, gids: [4] }));
  await fs.setattr(inode, { mode: 0o600 });
  assert.not(fs.access(inode, 1, { uid: 0, gids: [] }), 'nobody executes what nobody may');
  await fs.release(handle);
});

test('opening with truncation empties the file for everybody', async () => {
  await using region = await TestRegion.make();
  const a = await region.open();
  const b = await region.open();
  const { inode, handle } = await a.create(rootInode, 'f', { mode });
  await a.write(handle, 0, text('long'));
  await a.release(handle);
  const again = await b.open(inode, { truncate: true });
  await b.write(again, 0, text('s'));
  await b.release(again);
  const last = await a.open(inode);
  assert.is(await contents(a, last), 's');
  await a.release(last);
});

test('renames: over a file, without replacing, into itself', async () => {
  await using region = await TestRegion.make();
  const fs = await region.open();
  const a = await fs.mknod(rootInode, 'a', { mode });
  await fs.mknod(rootInode, 'b', { mode });
  assert.is(await code(() => fs.rename(rootInode, 'a', rootInode, 'b', false)), 'Exists');
  await fs.rename(rootInode, 'a', rootInode, 'b');
  assert.is((await fs.lookup(rootInode, 'b')).inode, a);
  assert.is(await code(() => fs.lookup(rootInode, 'a')), 'NotFound');
  await fs.rename(rootInode, 'b', rootInode, 'c', false);
  const directory = await fs.mkdir(rootInode, 'd', { mode });
  assert.is(await code(() => fs.rename(rootInode, 'd', directory, 'x')), 'InvalidArgument');
  assert.is(await code(() => fs.rename(rootInode, 'c', rootInode, 'd')), 'IsDirectory');
});

test('close-to-open: what one has closed, the other opens; what one removed, the other does not find', async () => {
  await using region = await TestRegion.make();
  const a = await region.open();
  const b = await region.open();
  const { inode, handle } = await a.create(rootInode, 'f', { mode });
  await a.write(handle, 0, text('one'));
  await a.flush(handle);
  const theirs = await b.open((await b.lookup(rootInode, 'f')).inode);
  assert.is(await contents(b, theirs), 'one');
  await a.write(handle, 3, text(' and two'));
  await a.release(handle);
  const again = await b.open(inode);
  assert.is(await contents(b, again), 'one and two');
  await a.unlink(rootInode, 'f');
  assert.is(await code(() => b.lookup(rootInode, 'f')), 'NotFound');
  assert.is(await contents(b, again), 'one and two', 'but who has it open goes on reading it');
  await code(() => b.release(again));
  await code(() => b.release(theirs));
});

test('a file that is removed while it is open is readable until it is closed, then its space is free', async () => {
  await using region = await TestRegion.make();
  const a = await region.open();
  const b = await region.open();
  const { inode, handle } = await a.create(rootInode, 'f', { mode });
  await a.write(handle, 0, text('still here'));
  const second = await a.open(inode);
  await a.unlink(rootInode, 'f');
  assert.is(await code(() => a.lookup(rootInode, 'f')), 'NotFound');
  assert.is(a.stat(inode).links, 0);
  assert.equal(await b.list(rootInode), []);
  await a.write(handle, 6, text('HERE!'));
  await a.release(handle);
  assert.is(await contents(a, second), 'still HERE!');
  await a.release(second);
  assert.is(await code(async () => a.stat(inode)), 'StaleHandle');
});

test('a file that is replaced while it is open likewise, and the new one is there at once', async () => {
  await using region = await TestRegion.make();
  const a = await region.open();
  const b = await region.open();
  const old = await a.create(rootInode, 'f', { mode });
  await a.write(old.handle, 0, text('old'));
  const replacement = await a.create(rootInode, 'f.new', { mode });
  await a.write(replacement.handle, 0, text('new'));
  await a.release(replacement.handle);
  await a.rename(rootInode, 'f.new', rootInode, 'f');
  const theirs = await b.open((await b.lookup(rootInode, 'f')).inode);
  assert.is(await contents(b, theirs), 'new');
  await b.release(theirs);
  assert.is(await contents(a, old.handle), 'old');
  await a.release(old.handle);
  assert.is(await code(() => b.getattr(old.inode)), 'StaleHandle');
});

test('a file without a name is gone with the mount that had it open', async () => {
  await using region = await TestRegion.make();
  const other = await region.open();
  const client = await region.client();
  const gone = new FileSystem(client);
  const before = (await other.statfs()).free;
  const lost = await gone.create(rootInode, 'lost', { mode });
  await gone.write(lost.handle, 0, new Uint8Array(4 << 20));
  await gone.flush(lost.handle);
  await gone.unlink(rootInode, 'lost');
  // It leaves without closing what it had open.
  await client.close();
  assert.is(await code(() => other.getattr(lost.inode)), 'StaleHandle');
  const again = await other.create(rootInode, 'again', { mode });
  await other.write(again.handle, 0, new Uint8Array((before - 64) * 4096));
  await other.release(again.handle);
});

test('a full region: a write fails and leaves earlier bytes alone, removing makes room for as much again', async () => {
  await using region = await TestRegion.make(8 << 20);
  const fs = await region.open();
  const page = new Uint8Array(4096);
  const fill = async (name: string): Promise<number> => {
    const { handle } = await fs.create(rootInode, name, { mode });
    let pages = 0;
    for (; ; pages++) {
      page.fill(pages);
      if ((await code(() => fs.write(handle, pages * 4096, page))) !== 'none') break;
    }
    assert.is(await code(() => fs.write(handle, pages * 4096, page)), 'RegionFull');
    const back = new Uint8Array(4096);
    for (let at = 0; at < pages; at += 97) {
      await fs.read(handle, at * 4096, back);
      assert.is(back[0], at & 255);
      assert.is(back[4095], at & 255);
    }
    await fs.release(handle);
    return pages;
  };
  const first = await fill('a');
  assert.ok(first > 1500, `${first} pages`);
  const { free } = await fs.statfs();
  assert.ok(free <= first, `${free} pages are said to be free`);
  await fs.unlink(rootInode, 'a');
  assert.is(await fill('b'), first);
});

test('a large write that does not fit is not in the file, and what it took is given back', async () => {
  await using region = await TestRegion.make(8 << 20);
  const fs = await region.open();
  const { inode, handle } = await fs.create(rootInode, 'f', { mode });
  await fs.write(handle, 0, text('before'));
  assert.is(await code(() => fs.write(handle, 6, new Uint8Array(9 << 20))), 'RegionFull');
  assert.is(fs.stat(inode).size, 6);
  await fs.write(handle, 6, new Uint8Array(5 << 20));
  assert.is(fs.stat(inode).size, 6 + (5 << 20));
  await fs.release(handle);
});

test('an operation that nobody answers fails within the I/O timeout', async () => {
  await using region = await TestRegion.make();
  const fs = await region.open({ ioTimeout: 50 });
  const { handle } = await fs.create(rootInode, 'f', { mode });
  const { refresh } = fs.client;
  fs.client.refresh = () => new Promise(() => undefined);
  try {
    assert.is(await code(() => fs.lookup(rootInode, 'f')), 'DeadlineExceeded');
  } finally {
    fs.client.refresh = refresh;
  }
  await fs.release(handle);
  assert.is(await code(() => region.open({ ioTimeout: 0 })), 'InvalidArgument');
});
test.run();
