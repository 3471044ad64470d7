import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isExomemError, type Transport } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Composition, type Plugin } from 'exomem';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('plug-ins');
// It stays where it is: what is not compiled is not copied to the folder of the tests.
const mine = fileURLToPath(new URL('../../test/fixtures/mine.mjs', import.meta.url));

test("a plug-in's scheme works in every command", async () => {
  await using server = await Server.start();
  const env = { MINE_A: server.url, MINE_TELL: '1' };
  const run = async (args: string[], stdin = ''): Promise<string> => {
    const { code, stdout, stderr } = await exomem([...args, '--plugin', mine], { env, stdin });
    assert.is(code, 0, stderr);
    assert.match(stderr, /connects a/);
    return String(stdout);
  };
  await run(['put', '-', 'mine://a/r/x'], 'through mine');
  assert.is(await run(['cat', 'mine://a/r/x']), 'through mine');
  assert.is(await run(['ls', 'mine://a/r']), 'x\n');
  await run(['mkdir', 'mine://a/r/d']);
  await run(['mv', 'mine://a/r/x', '/d/']);
  assert.match(await run(['stat', 'mine://a/r/d/x']), /size +12/);
  assert.match(await run(['members', 'mine://a/r']), /steward/);
  assert.match(await run(['dump', 'mine://a/r']), /superblock: version 0, READY/);
  await run(['rm', '-r', 'mine://a/r/d']);
  assert.is(String((await server.run(['ls'])).stdout), '');
});

test('a module that is no plug-in is refused, and told why', async () => {
  using folder = new Folder();
  const cases: [string, number, RegExp][] = [
    ['export {}', 2, /exports nothing|no name/],
    ["export const name = 'x'", 7, /undefined of the plug-in contract/],
    ["export const name = 'x', apiVersion = 2", 7, /version 2 of the plug-in contract/],
    ["export const name = 'x', apiVersion = 1, transports = {}", 2, /no array/],
    ["export const name = 'x', apiVersion = 1, transports = [{ name: 'x' }]", 2, /connect/],
    [
      "export const name = 'x', apiVersion = 1, transports = [{ name: 'x', apiVersion: 1, connect() {}, schemes: ['X:'] }]",
      2,
      /schemes/,
    ],
    [
      "export const name = 'x', apiVersion = 1, transports = [{ name: 'x', apiVersion: 3, connect() {}, schemes: ['x'] }]",
      7,
      /version 3/,
    ],
    [
      "export const name = 'x', apiVersion = 1, transports = [{ name: 'x', apiVersion: 1, connect() {}, schemes: ['tcp'] }]",
      4,
      /tcp/,
    ],
    ['export default 1', 2, /./],
    ['throw new Error("it breaks\\nin two lines")', 2, /it breaks/],
    ['not a module', 2, /./],
    ["import 'no-such-package'", 3, /no-such-package/],
  ];
  for (const [at, [source, code, says]] of cases.entries()) {
    const path = folder.at(`${at}.mjs`);
    writeFileSync(path, source);
    const ran = await exomem(['ls', 'tcp://127.0.0.1:1/x', '--plugin', path]);
    assert.is(ran.code, code, `${source}: ${ran.stderr}`);
    assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
    assert.match(ran.stderr, says);
  }
});

test('a composition finds transports by scheme, policies and hosts by name, each made once', async () => {
  const other: Plugin = {
    name: 'other',
    apiVersion: 1,
    transports: [{ name: 'o', schemes: ['o', 'p'], apiVersion: 1, connect: () => Promise.reject(new Error('o')) }],
    policies: [
      {
        name: 'mine',
        apiVersion: 1,
        create: () => {
          throw new Error('never');
        },
      },
    ],
  };
  const composition = new Composition([other]);
  const tcp: Transport = await composition.transport('tcp://x');
  assert.is(await composition.transport('TCP://y'), tcp);
  assert.is(await composition.transport('unix:/x'), tcp);
  assert.is((await composition.transport('p:x')).name, 'o');
  assert.is((await composition.policy('atomic')).name, 'atomic');
  assert.is((await composition.policy('mine')).name, 'mine');
  assert.is((await composition.host()).name, 'fuse-native');
  // Two compositions know nothing of each other.
  for (const work of [
    () => new Composition().transport('o:x'),
    () => composition.policy('none'),
    () => composition.host('none'),
  ]) {
    try {
      await work();
      assert.unreachable();
    } catch (error) {
      assert.ok(isExomemError(error, 'InvalidArgument'), String(error));
    }
  }
});

test.run();
