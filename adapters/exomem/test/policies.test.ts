// deadline: 180s
import { writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atomic, isExomemError } from '@exomem/core';
import { fuseNative } from '@exomem/mount';
import { assert, suite } from '@exomem/testing';
import { Composition, loadPlugin, open } from 'exomem';
import { exomem, Folder, Running, Server } from './fixtures/command.js';

const test = suite('policies and placements by name, and of a module');
// They stay where they are: what is not compiled is not copied to the folder of the tests.
const fixture = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/${name}.mjs`, import.meta.url));
const ownPolicy = fixture('own-policy');
const ownPlacement = fixture('own-placement');

test("serve makes a region of a user's own policy; others take part who bring it", async () => {
  await using server = await Server.start(['--policy', ownPolicy]);
  assert.match(server.stderr, /own policy/);
  const put = (...args: string[]) => server.run(['put', '-', '/x', ...args], { stdin: 'by a policy of its own' });
  const without = await put();
  assert.is(without.code, 7);
  assert.match(without.stderr, /the policy "own" rules the region, which is none of exomem.*--policy \.\/own\.js/);
  const other = await put('--policy', 'atomic');
  assert.is(other.code, 7);
  assert.match(other.stderr, /the policy "own" rules the region, not "atomic"/);
  const own = await put('--policy', ownPolicy);
  assert.is(own.code, 0, own.stderr);
  assert.match(own.stderr, /own policy/);
  // As a plug-in it is found by the name that the region has.
  const plugged = await server.run(['put', '-', '/y', '--plugin', ownPolicy], { stdin: 'y' });
  assert.is(plugged.code, 0, plugged.stderr);
  assert.match(plugged.stderr, /own policy/);
  // Who only looks needs none.
  assert.is(String((await server.run(['ls'])).stdout), 'x\ny\n');
  assert.match(String((await server.run(['dump'])).stdout), /incompat \w+, .*; policy own/);
  assert.is((await server.run(['fsck'])).code, 0);

  await using memory = await open(server.url, { policy: ownPolicy, placement: 'best-fit' });
  assert.match((await memory.allocate(2 ** 20)).explain(), /the shortest run of free groups/);
  await using likewise = await open(server.url, { plugins: [await loadPlugin(ownPolicy)], placement: ownPlacement });
  assert.match((await likewise.allocate(5)).explain(), /as it was told/);
});

test('a file that keeps a region keeps its policy', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--size', '16M', '--file', file, '--policy', ownPolicy]);
    await server.kill('SIGINT');
  }
  for (const [args, says] of [
    [[], /"own" rules the region, which is none of exomem/],
    [['--policy', 'atomic'], /"own" rules the region, not "atomic"/],
  ] as const) {
    const { code, stderr } = await exomem(['serve', '--file', file, '--listen', '127.0.0.1:0', ...args]);
    assert.is(code, 7, stderr);
    assert.match(stderr, says);
  }
  await using again = await Server.start(['--file', file, '--plugin', ownPolicy]);
  assert.match(again.stderr, /own policy/);
});

const obstacle = await fuseNative().obstacle();
const mounting = obstacle === undefined ? test : (name: string) => test.skip(name, `${obstacle.what}`);
mounting('up and its mount take a policy and a placement of modules', async () => {
  await using running = new Running([
    'up',
    '--size',
    '64M',
    '--policy',
    ownPolicy,
    '--placement',
    ownPlacement,
    '--json',
  ]);
  const { url, dir } = await running.json<{ url: string; dir: string }>();
  await writeFile(join(dir, 'a'), 'through the mount');
  assert.is(await readFile(join(dir, 'a'), 'utf8'), 'through the mount');
  const cat = await exomem(['cat', `${url}/a`, '--policy', ownPolicy]);
  assert.is(String(cat.stdout), 'through the mount', cat.stderr);
  await running.kill('SIGINT');
  assert.match(running.stderr, /own policy, placement told/);
  assert.match(running.stderr, /places 1/);
});

test('what is wrong with a name or a module is told in a line', async () => {
  using folder = new Folder();
  const good = "export const placement = { name: 'x', apiVersion: 1, place() {}, explain() {} }";
  const cases: [option: 'policy' | 'placement', source: string | undefined, code: number, says: RegExp][] = [
    ['policy', undefined, 3, /cannot be loaded.*--policy \.\/mine\.mjs/],
    ['placement', undefined, 3, /cannot be loaded.*--placement \.\/mine\.mjs/],
    ['policy', good, 2, /exports placement, and no policy.*export default \{ policy:/],
    ['policy', '', 2, /exports nothing, and no policy/],
    ['policy', 'export default { policy: 1 }', 2, /it is a number/],
    ['policy', 'export default { create() {} }', 2, /no name/],
    ['policy', "export default { policy: { name: 'x' } }", 2, /no create\(\)/],
    ['policy', "export default { policy: { name: 'x y', create() {} } }", 2, /at most 32 printable/],
    ['policy', "export default { policy: { name: 'x', create() {} } }", 7, /version undefined of the plug-in contract/],
    [
      'policy',
      "export default { policy: { name: 'atomic', apiVersion: 1, create() {} } }",
      2,
      /name of a policy of exomem/,
    ],
    ['placement', "export default { placement: { name: 'x', apiVersion: 1, place() {} } }", 2, /no explain\(\)/],
    [
      'placement',
      'export const placements = [{ name: "a" }, { name: "b" }]',
      2,
      /2 placements: a, b.*--placement NAME/,
    ],
    ['placement', 'throw new Error("it breaks")', 2, /it breaks/],
  ];
  for (const [at, [option, source, code, says]] of cases.entries()) {
    const path = folder.at(`${at}.mjs`);
    if (source !== undefined) writeFileSync(path, source);
    const args = ['serve', '--size', '16M', '--listen', '127.0.0.1:0', '--policy', path];
    const ran = await exomem(option === 'policy' ? args : ['put', '-', 'tcp://127.0.0.1:1/x/y', '--placement', path]);
    assert.is(ran.code, code, `${source}: ${ran.stderr}`);
    assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
    assert.match(ran.stderr, says);
  }
  const unknown = await exomem(['put', '-', 'tcp://127.0.0.1:1/x/y', '--placement', 'worst-fit']);
  assert.is(unknown.code, 2);
  assert.match(
    unknown.stderr,
    /no placement "worst-fit".*low-fragmentation, first-fit, best-fit, aligned; --placement \.\//,
  );
});

test('a composition has them by name, those of modules and those that are handed over', async () => {
  const composition = new Composition([await loadPlugin(ownPolicy), await loadPlugin(ownPlacement)]);
  assert.is((await composition.policy('own')).name, 'own');
  assert.is((await composition.placement('told')).name, 'told');
  for (const name of ['low-fragmentation', 'first-fit', 'best-fit', 'aligned']) {
    assert.is((await composition.placement(name)).name, name);
  }
  assert.is(await composition.policy(atomic), atomic);
  assert.is((await new Composition().placement(ownPlacement)).name, 'told');
  assert.is((await composition.registered('own'))?.name, 'own');
  assert.is(await composition.registered('other'), undefined);
  for (const wrong of [{ name: 'x', apiVersion: 1 }, 'nobody']) {
    try {
      await composition.placement(wrong as string);
      assert.unreachable();
    } catch (error) {
      assert.ok(isExomemError(error, 'InvalidArgument'), String(error));
    }
  }
});

test.run();
