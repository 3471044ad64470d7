import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '@exomem/testing';
import { errno, mountSuite, needing, python, World } from './fixtures/world.js';

const test = await mountSuite('mount, operations');
const program = needing(test, 'python3');
const MiB = 1024 * 1024;
let world: World;
let dir: string;

test.before(async () => {
  world = new World();
});
test.before.each(async () => {
  dir ??= (await world.mounted(64 * MiB)).dir;
});
test.after(async () => world[Symbol.asyncDispose]());

test('files and directories as anywhere', async () => {
  await fs.mkdir(join(dir, 'a/b/c'), { recursive: true });
  await fs.writeFile(join(dir, 'a/b/c/f'), 'text');
  await fs.appendFile(join(dir, 'a/b/c/f'), ' and more');
  assert.is(await fs.readFile(join(dir, 'a/b/c/f'), 'utf8'), 'text and more');
  const stat = await fs.stat(join(dir, 'a/b/c/f'));
  assert.equal([stat.size, stat.mode, stat.nlink], [13, 0o100644, 1]);
  assert.ok(Math.abs(stat.mtimeMs - Date.now()) < 60_000);
  assert.equal(await fs.readdir(join(dir, 'a/b')), ['c']);
  const [entry] = await fs.readdir(join(dir, 'a'), { withFileTypes: true });
  assert.ok(entry!.isDirectory());
  assert.is(await errno(fs.rmdir(join(dir, 'a'))), 'ENOTEMPTY');
  assert.is(await errno(fs.readFile(join(dir, 'none'))), 'ENOENT');
  assert.is(await errno(fs.mkdir(join(dir, 'a'))), 'EEXIST');
  assert.is(await errno(fs.readdir(join(dir, 'a/b/c/f'))), 'ENOTDIR');
  assert.is(await errno(fs.writeFile(join(dir, 'a'), '')), 'EISDIR');
  assert.is(await errno(fs.writeFile(join(dir, 'x'.repeat(256)), '')), 'ENAMETOOLONG');
  await fs.writeFile(join(dir, 'é'.repeat(127)), '');
  await fs.rm(join(dir, 'é'.repeat(127)));
  await fs.rm(join(dir, 'a'), { recursive: true });
  assert.equal(await fs.readdir(dir), []);
});

test('names with blanks, quotes and other letters', async () => {
  for (const name of [
    'a b',
    "it's",
    '"',
    '日本語',
    'ñ',
    '-rf',
    '$(x)',
    '\\',
    'a\nb',
    '.hidden',
    '.fuse_hidden0000000100000001',
  ]) {
    await fs.writeFile(join(dir, name), name);
    assert.is(await fs.readFile(join(dir, name), 'utf8'), name);
    assert.equal(await fs.readdir(dir), [name]);
    await fs.unlink(join(dir, name));
  }
});

test('renames: elsewhere, over a file, over an empty directory, not over a full one', async () => {
  await fs.mkdir(join(dir, 'd'));
  await fs.writeFile(join(dir, 'one'), '1');
  await fs.writeFile(join(dir, 'two'), '2');
  await fs.rename(join(dir, 'one'), join(dir, 'd/one'));
  await fs.rename(join(dir, 'two'), join(dir, 'd/one'));
  assert.is(await fs.readFile(join(dir, 'd/one'), 'utf8'), '2');
  await fs.mkdir(join(dir, 'empty'));
  assert.is(await errno(fs.rename(join(dir, 'empty'), join(dir, 'd'))), 'ENOTEMPTY');
  await fs.rename(join(dir, 'd'), join(dir, 'empty'));
  assert.equal(await fs.readdir(dir), ['empty']);
  assert.is(await errno(fs.rename(join(dir, 'empty'), join(dir, 'empty/inside'))), 'EINVAL');
  await fs.rm(join(dir, 'empty'), { recursive: true });
});

test('symbolic and hard links', async () => {
  await fs.writeFile(join(dir, 'f'), 'text');
  await fs.symlink('f', join(dir, 's'));
  await fs.symlink('/nowhere/at all', join(dir, 'dangling'));
  assert.is(await fs.readFile(join(dir, 's'), 'utf8'), 'text');
  assert.is(await fs.readlink(join(dir, 'dangling')), '/nowhere/at all');
  assert.is((await fs.lstat(join(dir, 's'))).size, 1);
  assert.is(await errno(fs.readFile(join(dir, 'dangling'))), 'ENOENT');
  await fs.link(join(dir, 'f'), join(dir, 'h'));
  await fs.writeFile(join(dir, 'h'), 'changed');
  assert.is(await fs.readFile(join(dir, 'f'), 'utf8'), 'changed');
  assert.is((await fs.stat(join(dir, 'f'))).nlink, 2);
  await fs.unlink(join(dir, 'f'));
  assert.is(await fs.readFile(join(dir, 'h'), 'utf8'), 'changed');
  for (const name of ['s', 'dangling', 'h']) await fs.unlink(join(dir, name));
});

test('mode, owner, times, truncation, the size of a hole', async () => {
  const path = join(dir, 'f');
  await fs.writeFile(path, '0123456789');
  await fs.chmod(path, 0o600);
  await fs.chown(path, 12, 34);
  const when = new Date('2021-02-03T04:05:06.789Z');
  await fs.utimes(path, when, when);
  const stat = await fs.stat(path);
  assert.equal([stat.mode & 0o7777, stat.uid, stat.gid, stat.mtimeMs], [0o600, 12, 34, when.getTime()]);
  await fs.truncate(path, 3);
  assert.is(await fs.readFile(path, 'utf8'), '012');
  await fs.truncate(path, 5);
  assert.is(await fs.readFile(path, 'utf8'), '012\0\0');
  const file = await fs.open(path, 'r+');
  await file.truncate(1);
  await file.write('end', 3 * MiB);
  await file.sync();
  await file.close();
  const sparse = await fs.stat(path);
  assert.is(sparse.size, 3 * MiB + 3);
  assert.ok(sparse.blocks * 512 < MiB, `a hole takes no room: ${sparse.blocks} blocks`);
  const bytes = await fs.readFile(path);
  assert.is(bytes.subarray(0, 1).toString() + bytes.subarray(-3).toString(), '0end');
  assert.ok(bytes.subarray(1, -3).every((byte) => byte === 0));
  await fs.access(path, constants.R_OK);
  await fs.unlink(path);
});

test('a file that is removed or replaced while it is open is read to its end, and nothing stays of it', async () => {
  await fs.writeFile(join(dir, 'f'), 'old');
  const open = await fs.open(join(dir, 'f'), 'r+');
  await fs.writeFile(join(dir, 'new'), 'new');
  await fs.rename(join(dir, 'new'), join(dir, 'f'));
  assert.is(await fs.readFile(join(dir, 'f'), 'utf8'), 'new');
  await open.write('OLD', 0);
  const bytes = Buffer.alloc(3);
  await open.read(bytes, 0, 3, 0);
  assert.is(bytes.toString(), 'OLD');
  const second = await fs.open(join(dir, 'f'), 'r+');
  await fs.unlink(join(dir, 'f'));
  assert.equal(await fs.readdir(dir), []);
  assert.is((await second.stat()).size, 3);
  await second.chmod(0o640);
  await second.truncate(1);
  assert.is((await second.read(Buffer.alloc(3), 0, 3, 0)).bytesRead, 1);
  for (const file of [open, second]) await file.close();
  assert.equal(await fs.readdir(dir), []);
});

program('mappings: shared by two programs, private, grown by truncation', async () => {
  await python(
    `
import subprocess
p = d + '/m'
f = os.open(p, os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 3 << 20)
m = mmap.mmap(f, 0)
m[:5] = b'first'
m[(3 << 20) - 4:] = b'last'
other = subprocess.run([sys.executable, '-c', '''
import mmap, os, sys
f = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(f, 0)
assert m[:5] == b"first" and m[-4:] == b"last" and m[5:4096] == bytes(4091)
m[1 << 20:(1 << 20) + 5] = b"other"
''', p])
assert other.returncode == 0
assert m[1 << 20:(1 << 20) + 5] == b'other'
m.flush()
assert os.pread(f, 5, 1 << 20) == b'other'
p2 = mmap.mmap(f, 0, flags=mmap.MAP_PRIVATE)
p2[:5] = b'mine!'
assert m[:5] == b'first' and os.pread(f, 5, 0) == b'first'
m.close(); p2.close(); os.close(f)
with open(p, 'rb') as again:
    b = again.read()
assert len(b) == 3 << 20 and b[:5] == b'first' and b[1 << 20:(1 << 20) + 5] == b'other' and b[-4:] == b'last'
os.unlink(p)
`,
    dir,
  );
});

program('random reads, writes, mappings and truncations give what a plain file gives', async () => {
  await python(
    `
import random, tempfile
r = random.Random(7)
with tempfile.TemporaryDirectory() as t:
    paths = [d + '/x', t + '/x']
    fs = [os.open(p, os.O_RDWR | os.O_CREAT) for p in paths]
    for step in range(600):
        what = r.random()
        at = r.randrange(600000)
        n = r.choice([1, 100, 4095, 4096, 4097, 70000, 200000])
        if what < 0.4:
            b = r.randbytes(n)
            for f in fs: assert os.pwrite(f, b, at) == n
        elif what < 0.7:
            a = [os.pread(f, n, at) for f in fs]
            assert a[0] == a[1], (step, at, n)
        elif what < 0.85:
            for f in fs: os.ftruncate(f, at)
        elif what < 0.92:
            size = os.fstat(fs[1]).st_size
            assert os.fstat(fs[0]).st_size == size, step
            if size > 0:
                at %= size
                b = r.randbytes(min(n, size - at))
                for f in fs:
                    m = mmap.mmap(f, size)
                    m[at:at + len(b)] = b
                    m.flush()
                    m.close()
        elif what < 0.96:
            for i in range(2):
                os.close(fs[i])
                fs[i] = os.open(paths[i], os.O_RDWR)
        else:
            for f in fs: os.fsync(f)
    size = os.fstat(fs[1]).st_size
    assert os.fstat(fs[0]).st_size == size
    assert os.pread(fs[0], size, 0) == os.pread(fs[1], size, 0)
    for f in fs: os.close(f)
    os.unlink(paths[0])
`,
    dir,
  );
});

test('statfs tells of the region', async () => {
  const { blocks, bsize, bfree, ffree } = await fs.statfs(dir);
  assert.ok(blocks * bsize > 50 * MiB && blocks * bsize <= 64 * MiB);
  assert.ok(bfree > 0 && bfree <= blocks);
  assert.ok(ffree > 1000);
});
test.run();
