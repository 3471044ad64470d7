import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Report } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder } from './fixtures/command.js';

const test = suite('exomem conform');
// They stay where they are: what is not compiled is not copied to the folder of the tests.
const fixture = (name: string): string => fileURLToPath(new URL(`../../test/fixtures/${name}.mjs`, import.meta.url));

test('a transport that keeps the laws ends with 0', async () => {
  const { code, stdout, stderr } = await exomem([
    'conform',
    fixture('conform-fine'),
    '--budget',
    '100ms',
    '--seed',
    '7',
  ]);
  assert.is(code, 0, stderr);
  assert.match(String(stdout), /^ok {4}declarations: /m);
  assert.match(String(stdout), /^skip {2}revoke: it declares no immediate revoke$/m);
  assert.match(String(stdout), /^fine: \d+ laws kept, 0 broken, \d+ skipped; seed 7, /m);
});

test('one that does not ends with 10, and the line of the report shows it again', async () => {
  using folder = new Folder();
  const junit = folder.at('laws.xml');
  const args = ['conform', fixture('conform-wrong'), '--law', 'batch-like-one-by-one', '--law', 'edges'];
  const { code, stdout, stderr } = await exomem([...args, '--json', '--junit', junit]);
  assert.is(code, 10, stderr);
  assert.match(stderr, /^FAIL {2}batch-like-one-by-one: /m);
  assert.match(stderr, 'the module leaves open: ');
  const report = JSON.parse(String(stdout)) as Report;
  assert.is(report.failed, 1);
  assert.match(readFileSync(junit, 'utf8'), /tests="2" failures="1"/);
  const { again, counterexample } = report.laws.find(({ status }) => status === 'failed')!.failure!;
  const [command, ...rest] = again.split(' ');
  assert.is(command, 'exomem');
  const replay = await exomem(rest);
  assert.is(replay.code, 10);
  const told = String(replay.stdout);
  assert.match(told, 'Broken:');
  assert.match(told, `again: ${again}`);
  for (const line of counterexample!.split('\n')) assert.match(told, line.trim());
});

test('a directory is a file system that is held to laws', async () => {
  using folder = new Folder();
  const dir = folder.at('.');
  const args = [
    'conform',
    '--mount',
    dir,
    dir,
    '--live',
    '--lacks',
    'far',
    '--law',
    'names',
    '--law',
    'far',
    '--law',
    'live',
  ];
  const kept = await exomem([...args, '--budget', '2s']);
  assert.is(kept.code, 0, kept.stderr);
  assert.match(String(kept.stdout), /^skip {2}far: it declares to lack offsets past 4 GiB$/m);
  assert.match(String(kept.stdout), /: 2 laws kept, 0 broken, 1 skipped; seed /);
  const wrong = await exomem(['conform', '--mount', dir, '--lacks', 'link', '--law', 'declarations', '--json']);
  assert.is(wrong.code, 10, wrong.stderr);
  const { failure } = (JSON.parse(String(wrong.stdout)) as Report).laws[0]!;
  assert.is(failure!.again, `exomem conform --mount ${dir} --lacks link --law declarations`);
  assert.is((await exomem(failure!.again.split(' ').slice(1))).code, 10);
});

test('a history is held against linearizability', async () => {
  const event = (client: string, start: number, more: object): string =>
    JSON.stringify({
      client,
      offset: 0,
      result: null,
      start: String(start),
      end: String(start + 5),
      outcome: 'ok',
      ...more,
    });
  const write = event('A', 10, { op: 'write', value: '7' });
  const fine = await exomem(['check-history', '-'], {
    stdin: `${write}\n${event('B', 20, { op: 'read', result: '7' })}\n`,
  });
  assert.is(fine.code, 0, fine.stderr);
  assert.match(String(fine.stdout), /^linearizable; 2 events/);
  const stale = `${write}\n${event('B', 20, { op: 'read', result: '0' })}\n`;
  const ran = await exomem(['check-history', '-'], { stdin: stale });
  assert.is(ran.code, 10, ran.stderr);
  assert.match(String(ran.stdout), 'the word is 7 when B reads 0');
  const json = await exomem(['check-history', '-', '--json'], { stdin: stale });
  assert.is(JSON.parse(String(json.stdout)).violations.length, 1);
  assert.is((await exomem(['check-history', '-'], { stdin: 'x' })).code, 2);
  assert.is((await exomem(['check-history', '/no/such/file'])).code, 3);
});

test('whoever reads the file or the JSON alone learns that nothing can be said about a module', async () => {
  using folder = new Folder();
  const cases: [string, string | undefined, number, string][] = [
    ['none.mjs', undefined, 3, 'cannot be loaded'],
    ['syntax.mjs', 'export default {', 2, 'cannot be loaded'],
    ['throws.mjs', 'throw new Error("it breaks")', 2, 'it breaks'],
    ['empty.mjs', 'export {}', 2, 'exports no default'],
    ['ends.mjs', 'process.exit(0)', 2, 'the process ended before'],
    ['waits.mjs', 'await new Promise(() => undefined)', 2, 'the process ended before'],
  ];
  const junit = folder.at('laws.xml');
  for (const [name, source, exitCode, says] of cases) {
    if (source !== undefined) writeFileSync(folder.at(name), source);
    rmSync(junit, { force: true });
    const { code, stdout, stderr } = await exomem(['conform', folder.at(name), '--json', '--junit', junit]);
    assert.is(code, exitCode, `${name}: ${stderr}`);
    const report = JSON.parse(String(stdout)) as Report;
    assert.equal([report.kind, report.passed, report.failed], ['unfit', 0, 1]);
    const { message } = report.laws[0]!.failure!;
    assert.match(message, says);
    assert.match(stderr, `exomem: ${message}\n`);
    const xml = readFileSync(junit, 'utf8');
    assert.match(xml, /<testsuites tests="1" failures="1" /);
    assert.match(xml, `<failure message="${message.replaceAll('"', '&quot;').replaceAll('>', '&gt;')}"`);
  }
});

test('what makes no sense is told in one line', async () => {
  using folder = new Folder();
  const made = (name: string, source: string): string => {
    writeFileSync(folder.at(name), source);
    return folder.at(name);
  };
  const fine = fixture('conform-fine');
  const cases: [string[], number, RegExp][] = [
    [[folder.at('none.mjs')], 3, /cannot be loaded/],
    [[made('a.mjs', 'throw new Error("it breaks\\nin two lines")')], 2, /it breaks/],
    [[made('b.mjs', 'export {}')], 2, /exports no default: write export default/],
    [
      [made('c.mjs', 'export default { setup() { throw new Error("no memory") } }')],
      2,
      /c\.mjs" fails: Error: no memory/,
    ],
    [[made('d.mjs', 'export default { connect() {} }')], 2, /how to make a region/],
    [[fine, '--law', 'no-such-law'], 2, /there is no law no-such-law/],
    [[fine, '--seed', 'x'], 2, /no seed: x/],
    [[fine, '--path', '0:1'], 2, /says nothing by itself/],
    [[fine, '--budget', '5'], 2, /no duration/],
    [[], 2, /nothing is named/],
    [[fine, '--mount', folder.at('.')], 2, /are two subjects/],
    [[fine, '--live'], 2, /are about directories/],
    [['--mount', folder.at('.'), folder.at('.'), folder.at('.')], 2, /3 directories are named/],
    [['--mount', folder.at('.'), '--lacks', 'x'], 2, /nothing is called x: there are link /],
    [['--mount', folder.at('none')], 2, /is no directory that can be listed: ENOENT/],
    [[fine, '--law', 'edges', '--junit', folder.at('no/such/folder')], 3, /no such file/],
  ];
  for (const [args, code, says] of cases) {
    const ran = await exomem(['conform', ...args]);
    assert.is(ran.code, code, `${args.join(' ')}: ${ran.stderr}`);
    assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
    assert.match(ran.stderr, says);
  }
});

test.run();
