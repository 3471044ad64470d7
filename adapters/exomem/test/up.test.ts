// deadline: 180s
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fuseNative, isMounted, unmount } from '@exomem/mount';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder, Running, Server } from './fixtures/command.js';

const test = suite('up and mount');
const obstacle = await fuseNative().obstacle();
/** A test that mounts; where that is impossible it is skipped. */
const mounting = (name: string, body: () => Promise<void>): void => {
  if (obstacle === undefined) test(name, body);
  else test.skip(name, `${obstacle.what}; ${obstacle.advice}`);
};

interface Up {
  readonly url: string;
  readonly dir?: string;
  readonly size: number;
  readonly pid?: number;
}

const gone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

mounting('up: a directory whose bytes are the region, and after Ctrl-C nothing is left', async () => {
  await using running = new Running(['up', '--json', '--size', '64M']);
  const { url, dir, pid } = await running.json<Up>();
  await writeFile(join(dir!, 'a'), 'through the mount');
  assert.is(String((await exomem(['cat', `${url}/a`])).stdout), 'through the mount');
  assert.is((await exomem(['put', '-', `${url}/b`], { stdin: 'by command' })).code, 0);
  assert.is(await readFile(join(dir!, 'b'), 'utf8'), 'by command');
  assert.is((await running.kill('SIGINT')).code, 0);
  assert.not(existsSync(dir!));
  assert.ok(gone(pid!));
  assert.is((await exomem(['ls', url])).code, 6);
});

mounting('up says what it chose, what to try, and at its end what is lost', async () => {
  using folder = new Folder();
  await using running = new Running(['up', folder.at('new'), '--size', '64M']);
  await running.line((line) => line.startsWith('Other sizes'));
  const text = running.lines.join('\n');
  assert.match(text, /64 MiB of memory/);
  assert.match(text, /tcp:\/\/127\.0\.0\.1:\d+\/default/);
  assert.match(text, /exomem put/);
  await writeFile(folder.at('new', 'x'), 'x');
  assert.is((await running.kill('SIGTERM')).code, 0);
  assert.match(running.stderr, /lost with it: 1 file, 4 KiB/);
  // It was made by the command, and goes with it; one that was there stays.
  assert.not(existsSync(folder.at('new')));
  mkdirSync(folder.at('old'));
  await using second = new Running(['up', folder.at('old'), '--size', '64M', '--json']);
  await second.json();
  assert.is((await second.kill('SIGINT')).code, 0);
  assert.ok(existsSync(folder.at('old')));
});

mounting('up that is killed leaves no mount and no process', async () => {
  await using running = new Running(['up', '--json', '--size', '64M']);
  const { dir, pid } = await running.json<Up>();
  await running.kill('SIGKILL');
  for (let tries = 0; tries < 300 && (!gone(pid!) || (await isMounted(dir!))); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(gone(pid!));
  assert.not(await isMounted(dir!));
  // Nobody was left to remove the empty directory.
  assert.is((await stat(dir!)).isDirectory(), true);
  await import('node:fs/promises').then(({ rmdir }) => rmdir(dir!));
});

test('up without a mount, and where mounting is impossible, runs the rest', async () => {
  await using running = new Running(['up', '--no-mount', '--size', '64M', '--json']);
  const { url, dir } = await running.json<Up>();
  assert.is(dir, undefined);
  assert.is((await exomem(['put', '-', `${url}/x`], { stdin: 'x' })).code, 0);
  assert.is((await running.kill('SIGINT')).code, 0);
  assert.is((await exomem(['up', '--size', '12x'])).code, 2);
});

mounting('without /dev/fuse up says what to do, and appliance and library run', async () => {
  // A mount namespace of its own, in which there is no /dev/fuse.
  const script = 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"';
  const { bin } = await import('./fixtures/command.js');
  const child = spawn(
    'unshare',
    ['-m', 'sh', '-c', script, 'sh', process.execPath, bin, 'up', '--size', '64M', '--json'],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stderr = '';
  child.stderr.on('data', (bytes) => {
    stderr += bytes;
  });
  try {
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (bytes) => resolve(String(bytes)));
      child.once('close', () => reject(new Error(stderr)));
    });
    const { url, dir } = JSON.parse(line) as Up;
    assert.is(dir, undefined);
    assert.match(stderr, /no directory is mounted: there is no \/dev\/fuse: modprobe fuse/);
    assert.is((await exomem(['put', '-', `${url}/x`], { stdin: 'x' })).code, 0);
  } finally {
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGINT');
    await closed;
  }
});

mounting('mount shows a region until Ctrl-C, or until it is unmounted', async () => {
  using folder = new Folder();
  await using server = await Server.start();
  mkdirSync(folder.at('m'));
  await using mounted = new Running(['mount', server.url, folder.at('m'), '--json']);
  await mounted.json();
  writeFileSync(folder.at('m', 'x'), 'x');
  assert.is(String((await server.run(['cat', '/x'])).stdout), 'x');
  const busy = await exomem(['mount', server.url, folder.at('m')]);
  assert.is(busy.code, 9, busy.stderr);
  assert.match(busy.stderr, /^exomem: [^\n]*exomem umount[^\n]*\n$/);
  assert.is((await mounted.kill('SIGINT')).code, 0);
  assert.not(await isMounted(folder.at('m')));

  await using again = new Running(['mount', server.url, folder.at('m')]);
  await again.line((line) => line.includes('is mounted on'));
  assert.is(readFileSync(folder.at('m', 'x'), 'utf8'), 'x');
  assert.is((await exomem(['umount', folder.at('m')])).code, 0);
  assert.is((await again.ended).code, 0);
  const none = await exomem(['umount', folder.at('m')]);
  assert.is(none.code, 3);
  assert.match(none.stderr, /^exomem: [^\n]+\n$/);
});

mounting('a plug-in brings the region of a mount, in the process that serves it', async () => {
  using folder = new Folder();
  await using server = await Server.start();
  mkdirSync(folder.at('m'));
  const env = { MINE_A: server.url };
  const plugin = fileURLToPath(new URL('../../test/fixtures/mine.mjs', import.meta.url));
  await using mounted = new Running(['mount', 'mine://a/r', folder.at('m'), '--plugin', plugin, '--json'], { env });
  await mounted.json();
  writeFileSync(folder.at('m', 'x'), 'x');
  assert.is(String((await server.run(['cat', '/x'])).stdout), 'x');
  assert.is((await mounted.kill('SIGINT')).code, 0);
});

mounting('what cannot be mounted on is refused in one line', async () => {
  using folder = new Folder();
  await using server = await Server.start();
  const { url } = server;
  writeFileSync(folder.at('file'), 'x');
  mkdirSync(folder.at('full', 'x'), { recursive: true });
  mkdirSync(folder.at('empty'));
  const cases: [number, string[]][] = [
    [3, [url, folder.at('none')]],
    [3, [url, folder.at('file')]],
    [4, [url, folder.at('full')]],
    [6, ['tcp://127.0.0.1:1/x', folder.at('empty')]],
    [3, [url.replace('default', 'other'), folder.at('empty')]],
    [2, ['gopher://x', folder.at('empty')]],
    [2, [url, folder.at('empty'), '--host', 'none']],
    [2, [`${url}/dir`, folder.at('empty')]],
    [2, [url, folder.at('empty'), '--io-timeout', '5']],
  ];
  for (const [code, args] of cases) {
    const ran = await exomem(['mount', ...args]);
    assert.is(ran.code, code, `${args.join(' ')}: ${ran.stderr}`);
    assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
  }
});

mounting('umount -f ends a mount whose appliance died', async () => {
  using folder = new Folder();
  await using server = await Server.start();
  mkdirSync(folder.at('m'));
  await using mounted = new Running(['mount', server.url, folder.at('m'), '--io-timeout', '2s', '--json']);
  await mounted.json();
  try {
    writeFileSync(folder.at('m', 'x'), 'x');
    await server.kill('SIGKILL');
    const denied = await readFile(folder.at('m', 'x')).then(
      () => 'read',
      (error: NodeJS.ErrnoException) => error.code,
    );
    assert.is(denied, 'EIO');
    assert.is((await exomem(['umount', '-f', folder.at('m')])).code, 0);
    assert.is((await mounted.ended).code, 0, mounted.stderr);
  } finally {
    if (await isMounted(folder.at('m'))) await unmount(folder.at('m'), { force: true });
  }
});

test.run();
