import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { fuseNative } from '@exomem/mount';
import { assert } from '@exomem/testing';
import { type ApplianceProcess, errno, mountSuite, needing, python, run, World } from './fixtures/world.js';

const test = await mountSuite('limits of the host fuse-native, as declared');
const program = needing(test, 'python3');
const declared = new Map(fuseNative().limits.map((limit) => [limit.name, limit]));
const tested = new Set<string>();
let world: World;
let appliance: ApplianceProcess;
let dir: string;

test.before(async () => {
  world = new World();
  appliance = await world.appliance(32 << 20);
  dir = (await world.mount(appliance.url)).dir;
});
test.after(async () => world[Symbol.asyncDispose]());

/** A limit that turns out not to be one is to be struck from the list. */
function limit(name: string, body: () => Promise<void>): void {
  tested.add(name);
  program(`${name}: ${declared.get(name)?.effect ?? 'is not declared'}`, async () => {
    assert.ok(declared.has(name));
    await body();
  });
}

limit('utimens', async () => {
  const path = join(dir, 'times');
  await fs.writeFile(path, '');
  await fs.utimes(path, new Date(1_000_000_000_000), new Date(1_100_000_000_000));
  assert.is((await fs.stat(path)).mtimeMs, 1_000_000_000_000);
  await python(`os.utime(d, ns=(5, 5))`, path);
  await run('touch', ['-m', '-d', '2001-01-01', path]);
  assert.is.not((await fs.stat(path)).mtime.getFullYear(), 2001);
});

limit('milliseconds', async () => {
  const path = join(dir, 'ms');
  await fs.writeFile(path, '');
  await python(`os.utime(d, ns=(1_600_000_000_123_456_789,) * 2)`, path);
  assert.is((await fs.stat(path, { bigint: true })).mtimeNs, 1_600_000_000_123_000_000n);
});

limit('atime', async () => {
  const path = join(dir, 'atime');
  await fs.writeFile(path, 'x');
  await fs.utimes(path, new Date(1000), new Date(1000));
  await fs.readFile(path);
  assert.is((await fs.stat(path)).atimeMs, 1000);
});

limit('owner', async () => {
  assert.is(await errno(run('mkfifo', [join(dir, 'pipe')]).catch(() => fs.stat(join(dir, 'pipe')))), 'ENOENT');
});

limit('append', async () => {
  const other = (await world.mount(appliance.url)).dir;
  await python(
    `
a = os.open(d + '/append', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
b = os.open(sys.argv[2] + '/append', os.O_WRONLY | os.O_APPEND)
os.write(a, b'one'); os.fsync(a)
os.write(b, b'two'); os.fsync(b)
os.close(a); os.close(b)
with open(d + '/append', 'rb') as f: assert f.read() == b'two'
`,
    dir,
    other,
  );
});

limit('inodes', async () => {
  await fs.writeFile(join(dir, 'i'), '');
  await fs.link(join(dir, 'i'), join(dir, 'j'));
  assert.is.not((await fs.stat(join(dir, 'i'))).ino, (await fs.stat(join(dir, 'j'))).ino);
  assert.is((await fs.stat(join(dir, 'j'))).nlink, 2);
});

limit('removed-directory', async () => {
  await fs.mkdir(join(dir, 'rd'));
  await fs.writeFile(join(dir, 'rd/f'), '');
  const file = await fs.open(join(dir, 'rd/f'));
  await fs.unlink(join(dir, 'rd/f'));
  assert.is(await errno(fs.rmdir(join(dir, 'rd'))), 'ENOTEMPTY');
  await file.close();
  // The kernel tells the host that it was closed a little after the program.
  for (let n = 0; n < 100 && (await errno(fs.rmdir(join(dir, 'rd')))) === 'ENOTEMPTY'; n++) await errno(fs.stat(dir));
  assert.is(await errno(fs.stat(join(dir, 'rd'))), 'ENOENT');
});

limit('holes', async () => {
  await python(
    `
f = os.open(d + '/h', os.O_CREAT | os.O_RDWR)
try:
    os.posix_fallocate(f, 0, 10)
except OSError as e: assert e.errno == errno.EOPNOTSUPP, e
try:
    os.setxattr(d + '/h', 'user.a', b'b')
    raise AssertionError
except OSError as e: assert e.errno == errno.EOPNOTSUPP, e
`,
    dir,
  );
});

limit('renameat2', async () => {
  await fs.writeFile(join(dir, 'r'), '');
  await python(
    `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.renameat2(-100, (d + '/r').encode(), -100, (d + '/r2').encode(), 1) == -1
assert ctypes.get_errno() == errno.EINVAL, ctypes.get_errno()
`,
    dir,
  );
});

limit('live', async () => {
  const other = (await world.mount(appliance.url)).dir;
  await python(
    `
path = d + '/live'
with open(path, 'wb') as f: f.write(b'old' * 100)
f = os.open(path, os.O_RDONLY)
m = mmap.mmap(f, 300, prot=mmap.PROT_READ)
assert m[:3] == b'old'
g = os.open(sys.argv[2] + '/live', os.O_WRONLY)
os.write(g, b'new')
os.close(g)
assert m[:3] == b'old' and os.pread(f, 3, 0) == b'old'
os.close(os.open(path, os.O_RDONLY))
assert os.pread(f, 3, 0) == b'new' and m[:3] == b'new'
`,
    dir,
    other,
  );
});

limit('removed-elsewhere', async () => {
  const other = (await world.mount(appliance.url)).dir;
  const file = await fs.open(join(dir, 'elsewhere'), 'w+');
  await file.write('text');
  await file.sync();
  await fs.unlink(join(other, 'elsewhere'));
  assert.is(await errno(file.stat()), 'ENOENT');
  const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
  assert.is(buffer.toString(), 'text');
  await file.close();
});

test('what is declared and not held against the host here is what needs a race, another user or a full region', () => {
  const rest = [...declared.keys()].filter((name) => !tested.has(name)).sort();
  assert.equal(rest, [
    'directories',
    'exclusive',
    'locks',
    'names',
    'partial-write',
    'rename-over-open',
    'replaced',
    'threads',
  ]);
});
test.run();
