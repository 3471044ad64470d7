// deadline: 120s
import { restricted } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { isExomemError, open } from 'exomem';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('a region whose members are numbers');

/** What a program sees that cannot but read and write. */
const plain = () => restricted(tcp(), { atomics: 'none' });

test('is served, used over what only reads and writes, looked at, and served again', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--size', '16M', '--file', file, '--policy', 'message', '--configured']);
    const { url } = server;
    const programs = await Promise.all([1, 2].map((member) => open(url, { transport: plain(), member })));
    const held = await Promise.all(programs.map((memory) => memory.allocate(300_000)));
    for (const [at, one] of held.entries()) await one.write(0, new Uint8Array(300_000).fill(at + 1));
    for (const [at, one] of held.entries()) {
      const bytes = new Uint8Array(300_000);
      await one.read(0, bytes);
      assert.ok(bytes.every((byte) => byte === at + 1));
    }
    try {
      await open(url);
      assert.unreachable();
    } catch (error) {
      assert.ok(isExomemError(error, 'OutOfRange'), String(error));
    }
    for (const args of [['members'], ['map'], ['dump'], ['ls'], ['fsck']]) {
      const ran = await server.run(args);
      assert.is(ran.code, 0, `${args}: ${ran.stderr}${ran.stdout}`);
    }
    const put = await server.run(['put', '-', '/f'], { stdin: 'x' });
    assert.is(put.code, 2, put.stderr);
    assert.match(put.stderr, /member number/);
    await held[0]!.free();
    await programs[0]!.close();
    // The other one is not asked whether it has left.
    assert.is((await server.kill('SIGINT')).code, 0);
    await programs[1]!.close().catch(() => undefined);
  }
  await using again = await Server.start(['--file', file]);
  await using memory = await open(again.url, { transport: plain(), member: 2 });
  assert.is((await memory.usage()).held, 0, 'what number 2 had is free when number 2 joins again');
  await memory.allocate(5_000_000);
  assert.is((await again.run(['fsck'])).code, 0);
});

test('is none of another policy, and no other region is one', async () => {
  const serve = ['serve', '--size', '16M', '--listen', '127.0.0.1:0'];
  const without = await exomem([...serve, '--configured']);
  assert.is(without.code, 2, without.stderr);
  assert.match(without.stderr, /policy `message`/);
  using folder = new Folder();
  const file = folder.at('region');
  await using won = await Server.start(['--size', '16M', '--file', file, '--policy', 'message']);
  await won.kill('SIGINT');
  const late = await exomem(['serve', '--file', file, '--listen', '127.0.0.1:0', '--configured']);
  assert.is(late.code, 2, late.stderr);
  assert.match(late.stderr, /leave --configured out/);
});

test.run();
