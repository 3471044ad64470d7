// deadline: 120s
import { setTimeout as sleep } from 'node:timers/promises';
import type { QuotaLine } from '@exomem/core';
import { assert, code, suite } from '@exomem/testing';
import { KiB, MiB, open } from 'exomem';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('quotas');

test('a principal gets what its quota allows, of memory, files and runs at once', async () => {
  await using server = await Server.start();
  await using memory = await open(server.url);
  const { client } = memory;
  const before = await memory.allocate(MiB);
  await client.quotas.set(client.identity, 2 * MiB);
  assert.is(await code(memory.allocate(2 * MiB)), 'QuotaExceeded');
  // Who has no room left sets quotas all the same, several at once, too.
  await client.quotas.set(client.identity, 0);
  await Promise.all([MiB, undefined].map((bytes) => client.quotas.set('default', bytes)));
  await client.quotas.set(client.identity, 2 * MiB);
  const more = await memory.allocate(512 * KiB);
  assert.is(await code(memory.allocateMany(10, 100 * KiB)), 'QuotaExceeded');
  assert.is(await code(memory.writeFile('/big', new Uint8Array(MiB))), 'QuotaExceeded');
  // At the same time, too, no more than that.
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => memory.allocate(100 * KiB)));
  assert.ok(all.filter(({ status }) => status === 'fulfilled').length <= 5);
  await more.free();
  await before.free();
  await memory.allocate(512 * KiB);
  await client.quotas.set(client.identity, undefined);
  await memory.allocate(4 * MiB);
  // Another principal has none, unless there is a default; the steward has none then.
  await using other = await open(server.url);
  await other.allocate(4 * MiB);
  await client.quotas.set('default', 5 * MiB);
  assert.equal((await other.client.quotas.get()).default, 5 * MiB);
  // It follows with its next heartbeat.
  const tryMore = async () => await (await other.allocate(2 * MiB)).free();
  while ((await code(tryMore())) !== 'QuotaExceeded') await sleep(20);
  // Also if somebody writes another table in its place.
  {
    await using file = await memory.files.open('/.exomem/quotas');
    const bytes = new Uint8Array(file.size);
    await file.read(0, bytes);
    const text = new TextDecoder().decode(bytes).replace(String(5 * MiB), String(9 * MiB));
    await file.write(0, new TextEncoder().encode(text));
  }
  while ((await code(tryMore())) !== 'none') await sleep(20);
  await client.quotas.set('default', 5 * MiB);
  const application = await client.register();
  await application.allocate(4 * MiB);
  assert.is(await code(application.allocate(2 * MiB)), 'QuotaExceeded');
  await application.end();
  // Whoever comes knows it from the first on.
  await using newcomer = await open(server.url);
  assert.is(await code(newcomer.allocate(6 * MiB)), 'QuotaExceeded');
});

test('`exomem quota` sets and shows, and fsck tells who is over', async () => {
  using folder = new Folder();
  await using server = await Server.start(['--size', '64M', '--file', folder.at('region')]);
  await using memory = await open(server.url, { label: 'greedy' });
  await memory.allocate(8 * MiB);
  const { principal } = memory.client.identity;
  const run = async (...args: string[]) => {
    const ran = await server.run(args);
    assert.is(ran.code, 0, ran.stderr);
    return String(ran.stdout);
  };
  await run('quota', 'set', 'default', '1G');
  await run('quota', 'set', String(principal), '4M');
  assert.match(await run('quota', 'show'), /default: 1 GiB/);
  const shown = JSON.parse(await run('quota', 'show', '--json'));
  const line = shown.principals.find((one: { principal: number }) => one.principal === principal);
  assert.equal([line.limit, line.over, line.name, line.used >= 8 * MiB], [4 * MiB, true, 'greedy', true]);
  const over = JSON.parse(await run('fsck', '--json')).overQuota;
  assert.equal(
    over.map((one: { principal: number }) => one.principal),
    [principal],
  );
  assert.match(await run('fsck'), /uses 8(\.\d+)? MiB, and its quota is 4 MiB/);
  // The tools that show who has how much show it, too.
  for (const command of ['members', 'map', 'top']) {
    const once = command === 'top' ? ['--once'] : [];
    assert.match(
      await run(command, ...once),
      /principal \d+ \(greedy\) uses 8(\.\d+)? MiB of its quota of 4 MiB: over/,
    );
    const [told] = JSON.parse(await run(command, ...once, '--json')).quotas.filter(
      ({ over }: { over: boolean }) => over,
    );
    assert.equal([told.principal, told.limit], [principal, 4 * MiB]);
  }
  await run('quota', 'set', String(principal), 'none');
  assert.equal(JSON.parse(await run('fsck', '--json')).overQuota, []);
  // What is no table limits nobody, and that is said. Whoever was over its quota hears with its next heartbeat that it has none.
  const write = () => memory.writeFile('/.exomem/quotas', new TextEncoder().encode('much'));
  while ((await code(write())) === 'QuotaExceeded') await sleep(20);
  assert.is(JSON.parse(await run('fsck', '--json')).overQuota, null);
  assert.match(await run('fsck'), /quotas is no table of quotas: it limits nobody/);
  for (const [whom, size, expected] of [
    ['nobody', '1M', 2],
    ['60000', '1M', 3],
    ['default', 'much', 2],
  ] as const) {
    assert.is((await server.run(['quota', 'set', whom, size])).code, expected, `${whom} ${size}`);
  }
});

test('the default is not about a steward, nor when it has ended', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--size', '64M', '--file', file]);
    await using memory = await open(server.url);
    await memory.writeFile('/big', new Uint8Array(8 * MiB));
    await memory.client.quotas.set('default', 4 * MiB);
    // The steward receives the file, and leaves it behind when there is nobody else.
    await memory.close();
    const shown = JSON.parse(String((await server.run(['quota', 'show', '--json'])).stdout));
    assert.ok(shown.principals.some(({ used, limit }: QuotaLine) => used >= 8 * MiB && limit === undefined));
  }
  const checked = await exomem(['fsck', file, '--json']);
  assert.equal(JSON.parse(String(checked.stdout)).overQuota, []);
});

test.run();
