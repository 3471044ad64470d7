// deadline: 240s
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from '@exomem/core';
import type { SupervisedMount } from '@exomem/mount';
import { assert } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { Program } from './fixtures/program.js';
import { surroundings } from './fixtures/surroundings.js';
import { type ApplianceProcess, errno, mountSuite, needing, World } from './fixtures/world.js';

const test = await mountSuite('mounts that die, and files without a name');
const program = needing(test, 'python3');
const MiB = 1024 * 1024;
const pageSize = 4096;
let world: World;
let appliance: ApplianceProcess;
let a: SupervisedMount;
let b: SupervisedMount;
/** Pages of the region, all of them free. */
let all: number;

test.before.each(async () => {
  world = new World();
  appliance = await world.appliance(64 * MiB);
  all = await appliance.free();
  [a, b] = [await world.mount(appliance.url), await world.mount(appliance.url)];
});
test.after.each(async () => world[Symbol.asyncDispose]());

/** Until exactly so many pages are taken: no more are, and no fewer. */
async function taken(pages: number): Promise<void> {
  for (let left = 600; ; left--) {
    const now = all - (await appliance.free());
    if (now === pages) return;
    if (left === 0) assert.unreachable(`${now} pages stay taken, and files need ${pages}`);
    await sleep(50);
  }
}
async function kill(mount: SupervisedMount): Promise<void> {
  process.kill(mount.pid, 'SIGKILL');
  await mount.ended;
}

/** The files below a directory: path and blocks of 512 bytes. */
async function tree(dir: string): Promise<Map<string, { size: number; pages: number }>> {
  const found = new Map<string, { size: number; pages: number }>();
  for (const entry of await fs.readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    const { size, blocks } = await fs.stat(path);
    found.set(path.slice(dir.length + 1), { size, pages: Math.ceil((blocks * 512) / pageSize) });
  }
  return found;
}

/** Writes the files of its third of a tree, and says of each that it is closed, in the order of their closing. */
const copier = `
import random
part = int(sys.argv[2])
r = random.Random(part)
for n in range(part, 4000, 3):
    p = '%s/%d/%d' % (d, n % 40, n % 3)
    os.makedirs(p, exist_ok=True)
    size = r.choice([0, 1, 100, 4096, 5000, 20000, 60000]) if n % 60 else 700000
    path = '%d/%d/f%d' % (n % 40, n % 3, n)
    try:
        with open(d + '/' + path, 'wb') as f:
            left = size
            while left:
                left -= f.write(bytes([1 + n % 255]) * min(left, 65536))
    except OSError: sys.exit()
    print(path, n, size)
`;

program(
  'the process that serves is killed while a tree is copied: what was closed is there, the rest comes back',
  async () => {
    const copiers = [0, 1, 2].map((part) => new Program(copier, a.dir, String(part)));
    const closed: string[] = [];
    try {
      await Promise.all(
        copiers.map(async (one, part) => {
          for (let n = 0; n < 300 + 100 * part; n++) closed.push(await one.line());
        }),
      );
      await kill(a);
      for (const one of copiers) closed.push(...(await one.rest()));
    } finally {
      for (const one of copiers) await one.kill();
    }
    assert.ok(closed.length >= 1200 && closed.length < 4000, `${closed.length} files were closed`);
    for (const line of closed) {
      const [path, n, size] = line.split(' ') as [string, string, string];
      const bytes = await fs.readFile(join(b.dir, path));
      assert.is(
        Buffer.compare(bytes, Buffer.alloc(Number(size), 1 + (Number(n) % 255))),
        0,
        `${path}, ${bytes.length}`,
      );
    }
    const files = await tree(b.dir);
    assert.ok(
      files.size >= closed.length && files.size <= closed.length + 3,
      `${files.size} of ${closed.length} files`,
    );
    const pages = [...files.values()].reduce((sum, file) => sum + file.pages, 0);
    for (const [path, file] of files)
      assert.is(
        file.pages,
        Math.ceil(file.size / pageSize),
        `${path} has pages for its ${file.size} bytes, and no more`,
      );
    await taken(pages);
    for (const name of await fs.readdir(b.dir)) await fs.rm(join(b.dir, name), { recursive: true });
    assert.equal(await fs.readdir(b.dir), []);
    await taken(0);
  },
);

/** Has a file open and mapped, and says what it reads, whenever it is asked. */
const reader = `
f = os.open(d + '/f', os.O_RDONLY)
os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)
size = os.fstat(f).st_size
m = mmap.mmap(f, size, mmap.MAP_SHARED, mmap.PROT_READ)
print('open')
for line in sys.stdin:
    if line == 'read\\n': print(set(os.pread(f, size, 0)) == {97})
    if line == 'map\\n': print(set(m[:]) == {97})
    if line == 'close\\n':
        m.close()
        os.close(f)
        print('closed')
`;
const filePages = 200;

/** A file that B has open, and that A has removed. Everything else of the region is full of other bytes. */
async function unlinked(): Promise<Program> {
  await fs.writeFile(join(a.dir, 'f'), 'a'.repeat(filePages * pageSize));
  const reading = new Program(reader, b.dir);
  assert.is(await reading.line(), 'open');
  await fs.unlink(join(a.dir, 'f'));
  assert.is(await errno(fs.stat(join(b.dir, 'f'))), 'ENOENT');
  return reading;
}

program(
  'what one removes, a program of the other reads on: through a descriptor and a mapping, in a full region',
  async () => {
    await using reading = await unlinked();
    // Whoever takes all that there is does not get those.
    for (let n = 0, full = ''; full !== 'ENOSPC'; n++) {
      full = await errno(fs.writeFile(join(a.dir, `other${n}`), 'o'.repeat(2 * MiB)));
      assert.ok(full === 'none' || full === 'ENOSPC', full);
    }
    for (const how of ['map', 'read', 'map']) {
      reading.say(how);
      assert.is(await reading.line(), 'True', how);
    }
    const files = [...(await tree(a.dir)).values()].reduce((sum, { pages }) => sum + pages, 0);
    await taken(files + filePages);
    reading.say('close');
    assert.is(await reading.line(), 'closed');
    await taken(files);
    for (const name of await fs.readdir(a.dir)) await fs.unlink(join(a.dir, name));
    await taken(0);
  },
);

program('a program that is killed lets go of what it had open', async () => {
  await using reading = await unlinked();
  await taken(filePages);
  await reading.kill();
  await taken(0);
});

program('what is removed where it is open is read on there, and is gone when its mount dies', async () => {
  await fs.writeFile(join(a.dir, 'f'), 'a'.repeat(filePages * pageSize));
  await using reading = new Program(reader, a.dir);
  assert.is(await reading.line(), 'open');
  await fs.unlink(join(a.dir, 'f'));
  assert.equal(await fs.readdir(b.dir), []);
  reading.say('read');
  assert.is(await reading.line(), 'True');
  await taken(filePages);
  await kill(a);
  await taken(0);
  assert.equal(await fs.readdir(b.dir), []);
});

program(
  'what ends with a program that is no mount is read on where it is open, and gone where it is listed',
  async () => {
    const client = await Client.open({ transport: tcp(), url: appliance.url, surroundings });
    const memory = await client.allocate(filePages * pageSize, { name: '/f', lifetime: 'owner' });
    await memory.write(0, Buffer.alloc(filePages * pageSize, 'a'));
    await memory.file!.close();
    await using reading = new Program(reader, b.dir);
    assert.is(await reading.line(), 'open');
    assert.equal(await fs.readdir(a.dir), ['f']);
    await client.close();
    for (const { dir } of [a, b]) {
      assert.equal(await fs.readdir(dir), []);
      assert.is(await errno(fs.stat(join(dir, 'f'))), 'ENOENT');
    }
    await taken(filePages);
    reading.say('read');
    assert.is(await reading.line(), 'True');
    reading.say('close');
    assert.is(await reading.line(), 'closed');
    await taken(0);
  },
);

program(
  'so does a mount whose process is killed, after the wait; and the one that removed it may die, too',
  async () => {
    await using reading = await unlinked();
    await kill(a);
    // Silence, and then the death of A, change nothing for who reads on B.
    a = await world.mount(appliance.url);
    for (let n = 0; n < 20; n++) await fs.writeFile(join(a.dir, `other${n}`), 'o'.repeat(filePages * pageSize));
    await taken(21 * filePages);
    for (const how of ['map', 'read']) {
      reading.say(how);
      assert.is(await reading.line(), 'True', how);
    }
    await kill(b);
    await taken(20 * filePages);
  },
);
test.run();
