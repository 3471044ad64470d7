import { type ChildProcess, fork, spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, isExomemError, memberState } from '@exomem/core';
import { isMounted, unmount } from '@exomem/mount';
import { assert } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { surroundings } from './fixtures/surroundings.js';
import { type ApplianceProcess, errno, mountSuite, World } from './fixtures/world.js';

const test = await mountSuite('mount, life');
let world: World;
let appliance: ApplianceProcess;

test.before.each(async () => {
  world = new World();
  appliance = await world.appliance(16 << 20);
});
test.after.each(async () => world[Symbol.asyncDispose]());

/** A program that keeps writing to a file of the mount, and to no end without one. */
async function writer(dir: string): Promise<ChildProcess> {
  const program = `
const { openSync, writeSync } = require('node:fs');
const file = openSync(process.argv[1] + '/busy', 'w');
process.stdout.write('on', () => {
  for (;;) writeSync(file, Buffer.alloc(4096), 0, 4096, 0);
});
`;
  const child = spawn(process.execPath, ['-e', program, dir], { stdio: ['ignore', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child;
}

const gone = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(what: string, condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  for (let left = seconds * 20; left > 0; left--) {
    if (await condition()) return;
    await sleep(50);
  }
  assert.unreachable(`${what} did not come about`);
}

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isExomemError(error)) return error.code;
    throw error;
  }
  return 'none';
}

test('stopping leaves no mount and no process, and what was written is in the region', async () => {
  const mount = await world.mount(appliance.url);
  await fs.writeFile(join(mount.dir, 'f'), 'kept');
  assert.ok(await isMounted(mount.dir));
  await mount.stop();
  assert.not(await isMounted(mount.dir));
  assert.not(runs(mount.pid));
  assert.is((await mount.ended).reason, 'stopped');
  const again = await world.mount(appliance.url);
  assert.is(await fs.readFile(join(again.dir, 'f'), 'utf8'), 'kept');
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} to the process that serves: it unmounts under a program that writes, and ends`, async () => {
    const mount = await world.mount(appliance.url);
    const program = await writer(mount.dir);
    process.kill(mount.pid, signal);
    const end = await mount.ended;
    assert.is(end.code, 0);
    assert.not(await isMounted(mount.dir));
    await gone(program);
  });
}

test('SIGKILL to the process that serves: its parent unmounts, nobody hangs', async () => {
  const mount = await world.mount(appliance.url);
  const program = await writer(mount.dir);
  process.kill(mount.pid, 'SIGKILL');
  assert.equal(await mount.ended, { reason: 'died', code: null, signal: 'SIGKILL' });
  assert.not(await isMounted(mount.dir));
  await gone(program);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  test(`${signal} to the parent: the child unmounts and ends`, async () => {
    const dir = await world.directory();
    const parent = fork(fileURLToPath(new URL('./fixtures/parent.js', import.meta.url)), [appliance.url, dir]);
    const { pid } = await new Promise<{ pid: number }>((resolve) => parent.once('message', resolve as () => void));
    await fs.writeFile(join(dir, 'f'), 'x');
    parent.kill(signal);
    await gone(parent);
    await until('the end of the child', () => !runs(pid));
    assert.not(await isMounted(dir));
  });
}

test('SIGKILL to both at once: a dead mount is left, which unmount() takes away and a new mount replaces', async () => {
  const parentModule = fileURLToPath(new URL('./fixtures/parent.js', import.meta.url));
  const dir = await world.directory();
  const killBoth = async (): Promise<void> => {
    const parent = fork(parentModule, [appliance.url, dir]);
    const { pid } = await new Promise<{ pid: number }>((resolve) => parent.once('message', resolve as () => void));
    process.kill(pid, 'SIGSTOP');
    parent.kill('SIGKILL');
    await gone(parent);
    process.kill(pid, 'SIGKILL');
    await until('the end of the child', () => !runs(pid));
    assert.is(await errno(fs.readdir(dir)), 'ENOTCONN');
  };
  await killBoth();
  await unmount(dir);
  assert.not(await isMounted(dir));
  await killBoth();
  const mount = world.begin(appliance.url, dir);
  await mount.ready;
  assert.equal(await fs.readdir(dir), []);
});

test('a link to a directory is as good as the directory', async () => {
  const dir = await world.directory();
  const other = await world.directory();
  await fs.symlink(dir, join(other, 'link'));
  const mount = world.begin(appliance.url, join(other, 'link'));
  await mount.ready;
  assert.ok(await isMounted(dir));
  assert.ok(await isMounted(join(other, 'link')));
  await fs.writeFile(join(dir, 'f'), 'x');
  await unmount(join(other, 'link'));
  assert.is((await mount.ended).reason, 'unmounted');
});

test('stopping before it is mounted leaves nothing either', async () => {
  const dir = await world.directory();
  for (const wait of [0, 100, 200, 400]) {
    const mount = world.begin(appliance.url, dir);
    await sleep(wait);
    await mount.stop();
    assert.not(await isMounted(dir));
    assert.not(runs(mount.pid));
  }
});

test('somebody else unmounts: the process ends by itself', async () => {
  const mount = await world.mount(appliance.url);
  await unmount(mount.dir);
  assert.equal(await mount.ended, { reason: 'unmounted', code: 0, signal: null });
  assert.is(await failure(unmount(mount.dir)), 'NotFound');
});

test('a directory in use is busy, unless it is taken away by force', async () => {
  const mount = await world.mount(appliance.url);
  const file = await fs.open(join(mount.dir, 'f'), 'w+');
  assert.is(await failure(unmount(mount.dir)), 'Busy');
  await file.write('still written');
  await unmount(mount.dir, { force: true });
  assert.not(await isMounted(mount.dir));
  await mount.ended;
  assert.match(await errno(file.read(Buffer.alloc(1), 0, 1, 0)), /ENOTCONN|ECONNABORTED|EIO/);
  await file.close().catch(() => undefined);
});

test('what cannot be mounted on, and why', async () => {
  const dir = await world.directory();
  const ready = (where: string, url = appliance.url) => failure(world.begin(url, where).ready);
  await fs.writeFile(join(dir, 'file'), '');
  assert.is(await ready(join(dir, 'file')), 'NotDirectory');
  assert.is(await ready(join(dir, 'missing')), 'NotFound');
  assert.is(await ready(join(dir, 'missing/far')), 'NotFound');
  assert.is(await ready(dir), 'NotEmpty');
  await fs.unlink(join(dir, 'file'));
  assert.is(await ready(dir, appliance.url.replace(/\/r$/, '/other')), 'NotFound');
  assert.is(await ready(dir, 'tcp://127.0.0.1:1/r'), 'Disconnected');
  const first = world.begin(appliance.url, dir);
  await first.ready;
  assert.is(await ready(dir), 'Busy');
  assert.ok(await isMounted(dir), 'and the first one is still there');
  await fs.writeFile(join(dir, 'f'), 'x');
});

test('a mount that was declared dead joins again: names and flushed files are there, lost writes are told of', async () => {
  const mount = await world.mount(appliance.url);
  const path = (name: string) => join(mount.dir, name);
  const flushed = await fs.open(path('flushed'), 'w+');
  await flushed.write('flushed');
  await flushed.sync();
  for (let life = 0; life < 2; life++) {
    const late = await fs.open(path('late'), 'w+');
    const other = await Client.open({ transport: tcp(), url: appliance.url, surroundings });
    const { members } = await other.members();
    const serving = members.find(({ label, state }) => label === 'mount' && state === memberState.active)!;
    await late.write('x'.repeat(5000));
    assert.ok(await other.kick(serving.slot));
    await other.lookAfter();
    // On a machine that is very busy the second may be over after which it is published without being asked for.
    const lost = (await other.namespace.statPath('/late')).size === 0 ? 'EIO' : 'none';
    await other.close();
    assert.is(await errno(late.sync()), lost);
    assert.equal((await fs.readdir(mount.dir)).sort(), ['flushed', 'late']);
    // An open file that had nothing to lose goes on.
    const bytes = Buffer.alloc(7);
    assert.is((await flushed.read(bytes, 0, 7, 0)).bytesRead, 7);
    assert.is(String(bytes), 'flushed');
    // One that had says so once more, whoever heard the first failure; then it goes on, too.
    assert.is(await errno(late.sync()), lost);
    await late.truncate(0);
    await late.write('again', 0);
    await late.sync();
    await late.close();
    assert.is(await fs.readFile(path('late'), 'utf8'), 'again');
    await fs.writeFile(path('new'), 'new');
    assert.is(await fs.readFile(path('new'), 'utf8'), 'new');
    await fs.unlink(path('new'));
    await fs.unlink(path('late'));
  }
  await flushed.close();
  await mount.stop();
});

test('the appliance dies under a mount: I/O errors within the timeout, and unmounting works', async () => {
  const mount = await world.mount(appliance.url, 1500);
  const file = await fs.open(join(mount.dir, 'f'), 'w+');
  await file.write('x'.repeat(10_000));
  await file.sync();
  const unpublished = await fs.open(join(mount.dir, 'u'), 'w+');
  await unpublished.write('x');
  await appliance.kill();
  const began = performance.now();
  const answers = await Promise.all([
    errno(fs.stat(join(mount.dir, 'f'))),
    errno(fs.writeFile(join(mount.dir, 'g'), 'x')),
    errno(fs.readdir(mount.dir)),
    errno(file.write('y')),
    errno(unpublished.sync()),
  ]);
  assert.equal(new Set(answers), new Set(['EIO']), answers.join());
  // An answer, on a machine that is busy, and no waiting without end.
  assert.ok(performance.now() - began < 60_000);
  for (const one of [file, unpublished]) await one.close().catch(() => undefined);
  await mount.stop();
  assert.not(await isMounted(mount.dir));
});
test.run();
