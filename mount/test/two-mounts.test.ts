import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '@exomem/testing';
import { type ApplianceProcess, errno, mountSuite, needing, python, run, World } from './fixtures/world.js';

const test = await mountSuite('two mounts of one region');
const program = needing(test, 'python3');
const MiB = 1024 * 1024;
let world: World;
let appliance: ApplianceProcess;
let a: string;
let b: string;

test.before(async () => {
  world = new World();
  appliance = await world.appliance(64 * MiB);
  [a, b] = [(await world.mount(appliance.url)).dir, (await world.mount(appliance.url)).dir];
});
test.after(async () => world[Symbol.asyncDispose]());

test('what one has closed, the other opens: new, grown, shrunk, overwritten', async () => {
  for (let round = 0; round < 20; round++) {
    const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
    const size = [1, 5000, 300_000, 4096, 0, 70_000][round % 6]!;
    const bytes = Buffer.alloc(size, 65 + round);
    await fs.writeFile(join(from, 'f'), bytes);
    const seen = await fs.readFile(join(to, 'f'));
    assert.is(Buffer.compare(seen, bytes), 0, `round ${round}: ${seen.length} bytes of ${size}`);
    assert.is((await fs.stat(join(to, 'f'))).size, size);
  }
  // The same size again: a page that was cached is not taken for the new one.
  for (let round = 0; round < 10; round++) {
    const [from, to] = round % 2 === 0 ? [a, b] : [b, a];
    await fs.writeFile(join(from, 'g'), String(round).repeat(9000));
    assert.is((await fs.readFile(join(to, 'g'), 'utf8'))[8999], String(round));
  }
});

program('what one appends and closes, a program of the other that opens again reads to its end', async () => {
  await python(
    `
a, b = sys.argv[1:3]
expected = b''
for n in range(30):
    with open((a, b)[n % 2] + '/log', 'ab') as f: f.write(b'line %d\\n' % n * 100)
    expected += b'line %d\\n' % n * 100
    with open((b, a)[n % 2] + '/log', 'rb') as f: assert f.read() == expected, n
`,
    a,
    b,
  );
});

test('fsync publishes too, while the file stays open', async () => {
  const file = await fs.open(join(a, 's'), 'w');
  await file.write('synced');
  await file.sync();
  assert.is(await fs.readFile(join(b, 's'), 'utf8'), 'synced');
  await file.close();
});

test('names: made, removed and moved in one, at once so in the other', async () => {
  await fs.mkdir(join(a, 'd/e'), { recursive: true });
  await fs.writeFile(join(a, 'd/e/f'), 'f');
  assert.is(await fs.readFile(join(b, 'd/e/f'), 'utf8'), 'f');
  await fs.rename(join(b, 'd/e'), join(b, 'd/x'));
  assert.is(await errno(fs.stat(join(a, 'd/e/f'))), 'ENOENT');
  assert.is(await fs.readFile(join(a, 'd/x/f'), 'utf8'), 'f');
  await fs.unlink(join(b, 'd/x/f'));
  assert.is(await errno(fs.open(join(a, 'd/x/f'))), 'ENOENT');
  await fs.rmdir(join(b, 'd/x'));
  assert.equal(await fs.readdir(join(a, 'd')), []);
  assert.is(await errno(fs.stat(join(a, 'd/x'))), 'ENOENT');
  await fs.symlink('there', join(a, 'd/s'));
  assert.is(await fs.readlink(join(b, 'd/s')), 'there');
  for (let round = 0; round < 20; round++) {
    await fs.writeFile(join(a, 'd/new'), String(round));
    await fs.rename(join(a, 'd/new'), join(a, 'd/current'));
    assert.is(await fs.readFile(join(b, 'd/current'), 'utf8'), String(round));
  }
  await fs.rm(join(b, 'd'), { recursive: true });
  assert.is(await errno(fs.stat(join(a, 'd'))), 'ENOENT');
});

test('a file that the other one removed under an open handle keeps its bytes until it is closed', async () => {
  await fs.writeFile(join(a, 'f'), 'a'.repeat(100_000));
  const file = await fs.open(join(b, 'f'));
  await fs.unlink(join(a, 'f'));
  for (let n = 0; n < 20; n++) await fs.writeFile(join(a, `other${n}`), 'o'.repeat(100_000));
  // Another mount learns of it when it looks at a name.
  await errno(fs.stat(join(b, 'f')));
  const bytes = Buffer.alloc(10);
  await file.read(bytes, 0, 10, 50_000);
  assert.is(bytes.toString(), 'a'.repeat(10), 'and never the bytes of another file');
  await file.close();
});

program('a tree that one has written, the other reads, byte for byte', async () => {
  await python(
    `
import random
r = random.Random(1)
for n in range(150):
    p = d + '/tree/%d/%d' % (n % 7, n % 3)
    os.makedirs(p, exist_ok=True)
    with open(p + '/f%d' % n, 'wb') as f: f.write(r.randbytes(r.choice([0, 1, 100, 4096, 10000, 200000])))
    os.symlink('f%d' % n, p + '/s%d' % n)
`,
    a,
  );
  await run('diff', ['-r', '--no-dereference', join(a, 'tree'), join(b, 'tree')]);
  assert.is(
    await run('sh', ['-c', 'find . | sort | sha256sum'], a),
    await run('sh', ['-c', 'find . | sort | sha256sum'], b),
  );
});

test('both make and remove names in one directory at once, and agree in the end', async () => {
  await fs.mkdir(join(a, 'shared'));
  await Promise.all(
    [a, b].map(async (dir, who) => {
      for (let n = 0; n < 60; n++) {
        await fs.writeFile(join(dir, 'shared', `${who}-${n}`), `${who}`);
        if (n % 3 === 0) await fs.unlink(join(dir, 'shared', `${who}-${n}`));
        await fs.writeFile(join(dir, 'shared', 'both'), `${who}-${n}`).catch(() => undefined);
      }
    }),
  );
  const names = (await fs.readdir(join(a, 'shared'))).sort();
  assert.equal((await fs.readdir(join(b, 'shared'))).sort(), names);
  assert.is(names.length, 81);
  assert.match(await fs.readFile(join(a, 'shared/both'), 'utf8'), /^[01]-59$/);
});
test.run();
