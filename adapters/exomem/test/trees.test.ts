import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ExomemError } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { MiB, open } from 'exomem';
import { Service } from '../src/serving/service.js';
import { copyTree } from '../src/tree/copy.js';
import { RegionSink } from '../src/tree/region-sink.js';
import { RegionSource } from '../src/tree/region-source.js';
import type { TreeEntry } from '../src/tree/tree.js';
import { Folder, Server } from './fixtures/command.js';

const test = suite('trees by command');

let server: Server;
test.before(async () => {
  server = await Server.start();
});
test.after(() => server[Symbol.asyncDispose]());

async function fine(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await server.run(args);
  assert.is(code, 0, `exomem ${args.join(' ')}: ${stderr}`);
  return String(stdout);
}
async function fails(code: number, args: readonly string[]): Promise<string> {
  const ran = await server.run(args);
  assert.is(ran.code, code, `exomem ${args.join(' ')}: ${ran.stderr}`);
  assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
  return ran.stderr;
}

/** Files of many sizes, directories within directories, links of both kinds, odd modes, times and names. */
function grow(top: string): void {
  mkdirSync(join(top, 'a/b/c/empty'), { recursive: true });
  for (let at = 0; at < 40; at++) writeFileSync(join(top, `a/small${at}`), randomBytes(at * 97));
  writeFileSync(join(top, 'a/b/long'), randomBytes(9_000_001));
  writeFileSync(join(top, 'a/b/Ünï\ncode "quoted" $name'), 'odd');
  writeFileSync(join(top, 'a/b/c/program'), '#!/bin/sh\n', { mode: 0o4755 });
  chmodSync(join(top, 'a/b/c/program'), 0o4755);
  chmodSync(join(top, 'a/b/c/empty'), 0o1777);
  linkSync(join(top, 'a/b/long'), join(top, 'a/again'));
  linkSync(join(top, 'a/b/long'), join(top, 'zz-again'));
  symlinkSync('b/long', join(top, 'a/to-long'));
  symlinkSync('/nowhere at all', join(top, 'dangling'));
  symlinkSync('..', join(top, 'a/b/up'));
  let time = 1_000_000_000;
  for (const path of ['a/small3', 'a/b/long', 'a/b/c/program', 'a/b/c/empty', 'a/b/c', 'a/b', 'a']) {
    utimesSync(join(top, path), time, time);
    time += 1000;
  }
  lutimesSync(join(top, 'dangling'), 12_345, 12_345);
}

/** Everything that is carried, by path. */
function listing(top: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const names = new Map<string, string>();
  const visit = (path: string): void => {
    const local = join(top, path);
    const stats = lstatSync(local);
    const about = {
      mode: stats.mode & 0o7777,
      owner: `${stats.uid}:${stats.gid}`,
      // To the microsecond: this is as exact as the system calls of Node.
      time: stats.isFile() || stats.isDirectory() || stats.isSymbolicLink() ? Math.round(stats.mtimeMs) : 0,
    };
    if (stats.isDirectory()) {
      found[path] = { ...about, kind: 'directory' };
      for (const name of readdirSync(local)) visit(join(path, name));
    } else if (stats.isSymbolicLink()) found[path] = { ...about, kind: 'symlink', target: readlinkSync(local) };
    else {
      const first = names.get(String(stats.ino)) ?? path;
      names.set(String(stats.ino), first);
      const bytes = readFileSync(local);
      found[path] = { ...about, kind: 'file', links: stats.nlink, first, bytes: bytes.toString('base64') };
    }
  };
  visit('.');
  return found;
}

test('a tree comes back as it went: bytes, permissions, owners, times, both kinds of links', async () => {
  using folder = new Folder();
  mkdirSync(folder.at('tree'));
  grow(folder.at('tree'));
  const whole = listing(folder.at('tree'));
  const put = JSON.parse(await fine(['put', '-r', folder.at('tree'), '/', '--json']));
  assert.equal([put.files, put.symlinks, put.links, put.path], [43, 3, 2, '/tree']);
  await fine(['get', '-r', '/tree', folder.at('back')]);
  assert.equal(listing(folder.at('back')), whole);
  // Into a directory that exists, under its own name; again, over what is there.
  mkdirSync(folder.at('into'));
  await fine(['get', '-r', '/tree', folder.at('into')]);
  await fine(['get', '-r', '/tree', folder.at('into')]);
  assert.equal(listing(folder.at('into/tree')), whole);
  assert.equal(readdirSync(folder.at('into')), ['tree']);

  // What is in it, without its name; and over what is there, where a link becomes a file and the reverse.
  await fine(['put', '-r', `${folder.at('tree')}/.`, '/other']);
  writeFileSync(folder.at('tree/a/new'), 'new');
  spawnSync('rm', [folder.at('tree/dangling'), folder.at('tree/a/small5'), folder.at('tree/zz-again')]);
  writeFileSync(folder.at('tree/dangling'), 'no link any more');
  symlinkSync('small4', folder.at('tree/a/small5'));
  linkSync(folder.at('tree/a/small4'), folder.at('tree/zz-again'));
  await fine(['put', '-r', `${folder.at('tree')}/.`, '/other']);
  await fine(['get', '-r', '/other', folder.at('other')]);
  assert.equal(listing(folder.at('other')), listing(folder.at('tree')));
  assert.equal((await fine(['fsck', '--at-rest'])).slice(0, 5), 'clean');
  await fine(['rm', '-r', '/tree', '/other']);
});

test('a link to a directory is followed where it is named, and nowhere else', async () => {
  using folder = new Folder();
  mkdirSync(folder.at('tree'));
  writeFileSync(folder.at('tree/file'), 'x');
  symlinkSync('tree', folder.at('link'));
  symlinkSync('.', folder.at('tree/self'));
  await fine(['put', '-r', folder.at('link'), '/']);
  assert.is(await fine(['ls', '/link']), 'file\nself\n');
  assert.is(JSON.parse(await fine(['stat', '--json', '/link/self'])).target, '.');
  // On the way back a link that is in the way of a directory is not followed.
  mkdirSync(folder.at('in'));
  symlinkSync('../tree', folder.at('in/link'));
  assert.match(await fails(3, ['get', '-r', '/link', folder.at('in')]), /in\/link is no directory/);
  assert.equal(readdirSync(folder.at('tree')), ['file', 'self']);
  await fine(['rm', '-r', '/link']);
});

test('the root of a region is got as the directory that is named', async () => {
  using folder = new Folder();
  await server.run(['put', '-', '/one'], { stdin: 'one' });
  assert.match(await fails(2, ['get', '-r', '/']), /no name/);
  await fine(['get', '-r', '/', folder.at('all')]);
  assert.is(readFileSync(folder.at('all/one'), 'utf8'), 'one');
  assert.match(await fails(3, ['get', '-r', '/one', folder.at('x')]), /no directory/);
  assert.match(await fails(2, ['get', '-r', '/', '-']), /tree is no stream/);
  await fine(['rm', '/one']);
});

test('what cannot be carried, or is in the way, is named before anything is copied', async () => {
  using folder = new Folder();
  mkdirSync(folder.at('tree/d'), { recursive: true });
  writeFileSync(folder.at('tree/file'), 'x');
  spawnSync('mkfifo', [folder.at('tree/d/pipe')]);
  const listener = createServer().listen(folder.at('tree/socket'));
  await new Promise((resolve) => listener.once('listening', resolve));
  writeFileSync(Buffer.concat([Buffer.from(folder.at('tree/')), Buffer.from([0x62, 0xff])]), 'x');
  const refused = await fails(2, ['put', '-r', folder.at('tree'), '/']);
  assert.match(refused, /d\/pipe \(a pipe\)/);
  assert.match(refused, /socket \(a socket\)/);
  assert.match(refused, /b(ÿ|\\xff) \(a name that is no UTF-8\)/);
  assert.is(await fine(['ls']), '');
  const { code, stderr } = await server.run(['put', '-r', '--skip', folder.at('tree'), '/']);
  assert.is(code, 0);
  assert.is(stderr.trim().split('\n').length, 3);
  assert.is(await fine(['ls', '/tree']), 'd\nfile\n');
  assert.is(await fine(['ls', '/tree/d']), '');
  listener.close();

  mkdirSync(folder.at('plain/d'), { recursive: true });
  writeFileSync(folder.at('plain/file'), 'y');
  const contents = `${folder.at('plain')}/.`;
  assert.match(await fails(4, ['put', '-rn', contents, '/tree']), /file exists/);
  assert.is(await fine(['cat', '/tree/file']), 'x');
  await fine(['rm', '-r', '/tree/d']);
  await server.run(['put', '-', '/tree/d'], { stdin: 'in the way' });
  assert.match(await fails(3, ['put', '-r', contents, '/tree']), /d is no directory there/);
  assert.is(await fine(['cat', '/tree/d']), 'in the way');
  assert.is(await fine(['cat', '/tree/file']), 'x');
  await fails(3, ['put', '-r', folder.at('none'), '/']);
  await fails(3, ['put', '-r', folder.at('plain'), '/no/such']);
  await fine(['rm', '-r', '/tree']);
});

test('a tree that does not fit says how far it came, and the files that are there are whole', async () => {
  using folder = new Folder();
  mkdirSync(folder.at('big'));
  for (let at = 0; at < 5; at++) {
    writeFileSync(folder.at(`big/${at}`), '');
    truncateSync(folder.at(`big/${at}`), 20 * MiB);
  }
  const said = await fails(5, ['put', '-r', folder.at('big'), '/']);
  const [, done] = /; (\d) of 5 files \([^)]+ of 100 MiB\) are in tcp:.*the same command again/.exec(said)!;
  const listed = JSON.parse(await fine(['ls', '--json', '/big'])) as { size: number }[];
  assert.is(listed.length, Number(done));
  for (const { size } of listed) assert.is(size, 20 * MiB);
  await fine(['rm', '-r', '/big']);
});

test('du counts pages that are held: holes take none, a file with two names counts once', async () => {
  using folder = new Folder();
  mkdirSync(folder.at('d/e'), { recursive: true });
  writeFileSync(folder.at('d/two'), randomBytes(5000));
  linkSync(folder.at('d/two'), folder.at('d/e/two'));
  writeFileSync(folder.at('d/e/one'), 'x');
  await fine(['put', '-r', folder.at('d'), '/']);
  {
    await using memory = await open(server.url);
    await using sparse = await memory.open('/d/sparse', { create: true });
    await sparse.write(10 * MiB, new Uint8Array(1));
  }
  assert.is(await fine(['du', '/d']), '12288  /d/e\n16384  /d\n');
  assert.is(await fine(['du', '-s', '/d']), '16384  /d\n');
  assert.is(await fine(['du', '-sh', '/d']), '16 KiB  /d\n');
  assert.is(await fine(['du', '/d/sparse']), '4096  /d/sparse\n');
  const [below, all] = JSON.parse(await fine(['du', '--json', '/d'])) as Record<string, unknown>[];
  assert.equal(below, { path: '/d/e', held: 12_288, size: 5001, files: 2 });
  assert.equal(all, { path: '/d', held: 16_384, size: 5001 + 10 * MiB + 1, files: 3 });
  await fails(3, ['du', '/none']);
  assert.match(await fine(['du', '--help']), /-h, --human-readable/);
  await fine(['rm', '-r', '/d']);
});

test('a file that goes while the tree is copied is named, and nothing of it is left', async () => {
  await using service = await Service.start({ size: 16 * MiB, listen: '127.0.0.1:0' });
  await using memory = await open(service.url);
  await using other = await open(service.url, { role: 'observer' });
  for (const name of ['a', 'b', 'c']) await memory.writeFile(`/from/${name}`.replace('/from', ''), randomBytes(10_000));
  await memory.files.link('/b', '/b2');
  await memory.files.mkdir('/to');
  await other.client.refresh();
  const { signal } = new AbortController();
  const source = new RegionSource(other.client, 1, signal);
  const entries = (await source.scan()).filter(({ path }) => path !== 'to');
  await memory.files.unlink('/b');
  await memory.files.unlink('/b2');
  await other.client.refresh();
  const to = memory.client.namespace.walk('/to');
  const options = { signal, onProgress: () => undefined, to: 'x' };
  const copied = await copyTree(source, new RegionSink(memory.client, to, 'copy'), entries, options);
  assert.equal([copied.files, copied.gone], [2, ['b', 'b2']]);
  assert.equal(
    (await memory.files.list('/to/copy')).map(({ name }) => name),
    ['a', 'c'],
  );
  assert.ok(Buffer.from(await memory.readFile('/to/copy/a')).equals(await memory.readFile('/a')));
});

test('interrupted, it ends with what was under way, and says how far it came', async () => {
  const names = Array.from({ length: 50 }, (_, number) => `f${number}`);
  const about = { mode: 0o644, uid: 0, gid: 0, mtime: 0n };
  const entries: TreeEntry[] = [
    { ...about, path: '', kind: 'directory', size: 0 },
    ...names.map((path) => ({ ...about, path, kind: 'file' as const, size: 1000 })),
  ];
  const stop = new AbortController();
  let under = 0;
  let whole = 0;
  const none = async (): Promise<void> => undefined;
  const file = async ({ path }: TreeEntry): Promise<boolean> => {
    under++;
    await none();
    if (path === 'f20') stop.abort();
    under--;
    whole++;
    return true;
  };
  const sink = { directory: none, symlink: none, link: none, finish: none, file };
  const source = { scan: async () => entries, read: async () => true };
  try {
    await copyTree(source, sink, entries, { signal: stop.signal, onProgress: () => undefined, to: 'there' });
    assert.unreachable();
  } catch (error) {
    assert.is((error as ExomemError).code, 'Aborted');
    assert.is((error as ExomemError).message.split(' (')[0], `${whole} of 50 files`);
  }
  assert.is(under, 0);
  assert.ok(whole > 20 && whole < 50);
});

test('after a failure nothing more is begun, and all that was under way has ended', async () => {
  const entries: TreeEntry[] = ['', 'a', 'b', 'c', 'd'].map((path) => ({
    path,
    kind: path === '' ? 'directory' : 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtime: 0n,
    size: 20 * MiB,
  }));
  let under = 0;
  const begun: string[] = [];
  const none = async (): Promise<void> => undefined;
  const file = async ({ path }: TreeEntry): Promise<boolean> => {
    begun.push(path);
    under++;
    await none();
    under--;
    if (path === 'b') throw new ExomemError('RegionFull', 'no room');
    return true;
  };
  const sink = { directory: none, symlink: none, link: none, finish: none, file };
  const source = { scan: async () => entries, read: async () => true };
  const { signal } = new AbortController();
  try {
    await copyTree(source, sink, entries, { signal, onProgress: () => undefined, to: 'here' });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ExomemError);
    assert.match((error as Error).message, /^b: no room; \d of 4 files/);
  }
  assert.is(under, 0);
  assert.not.ok(begun.includes('d'));
});

test.run();
