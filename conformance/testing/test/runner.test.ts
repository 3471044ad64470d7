// Deliberately bad test files (fixtures/), each of which the runner must convict.
// deadline: 300s
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const fixtures = 'conformance/testing/test/fixtures';

function run(patterns: string[], ci: '' | 'true') {
  const { stdout, status } = spawnSync(process.execPath, ['.ci/test.mjs', '--folder', fixtures, ...patterns], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CI: ci },
  });
  return { stdout, status, lastLine: stdout.trimEnd().split('\n').at(-1) };
}

/** For each bad file: its line in the report, from the counts on, and what is said of it. */
const convictions: Record<string, [counts: string, reason: RegExp]> = {
  'after-each-throws': ['0 passed, 1 failed', /would pass: could not clean up/],
  'after-throws': ['1 passed, 1 failed', /after: could not clean up/],
  'before-each-throws': ['0 passed, 1 failed', /would pass: no ground to stand on/],
  'before-throws': ['0 passed, 1 failed', /would pass: before: no ground to stand on/],
  blocks: ['0 passed, 1 failed', /deadline of 2 s; it was at "turns for ever"/],
  'cannot-load': ['0 passed, 1 failed', /has results of 0/],
  'exits-early': ['1 passed, 1 failed', /declares 3 tests and has results of 1/],
  fails: ['1 passed, 1 failed', /adds: Expected values to be strictly equal/],
  'leaks-a-handle': ['1 passed, 1 failed', /leaked handle: .*TCP/],
  'leaks-and-blocks': ['1 passed, 1 failed', /leaked handle/],
  'leaves-a-process': ['1 passed, 1 failed', /left processes behind: sleep/],
  'never-resolves': ['0 passed, 1 failed', /has results of 0/],
  'no-suite': ['0 passed, 1 failed', /declares no suite/],
  'no-test': ['0 passed, 1 failed', /declares no test/],
  'rejects-unheard': ['1 passed, 1 failed', /every test passed, yet its process ended with exit code 1/],
  'run-is-missing': ['1 passed, 1 failed', /suite "is forgotten" was not run/],
  'sets-exit-code': ['1 passed, 1 failed', /ended with exit code 3/],
  skips: ['1 passed, 1 failed', /needs a mount: skipped, but CI is to run everything: there is no \/dev\/fuse/],
  'throws-no-error': ['0 passed, 1 failed', /no Error: 'a text'/],
  'waits-too-long': ['0 passed, 1 failed', /deadline of 2 s; it was at "waits for a minute"/],
};

const test = suite('runner');

const report = run([], 'true');
const about = (name: string) => {
  const start = report.stdout.indexOf(`${fixtures}/${name}.test.ts`);
  assert.ok(start >= 0, `the report says nothing of ${name}`);
  const next = report.stdout.slice(start).search(/^(?:ok {3}|FAIL|Skipped:) /m);
  return report.stdout.slice(start, next < 0 ? undefined : start + next);
};

for (const [name, [counts, reason]] of Object.entries(convictions)) {
  test(`convicts ${name}`, () => {
    const text = about(name);
    assert.match(text.split('\n')[0]!, counts);
    assert.match(text, reason);
  });
}

test('knows a reason for every fixture but the good one', () => {
  const names = readdirSync(`${root}${fixtures}`).map((file) => file.replace(/\.test\.ts$/, ''));
  assert.equal(names.filter((name) => name !== 'passes').sort(), Object.keys(convictions).sort());
});

test('acquits the good one', () => {
  assert.match(report.stdout, `ok   ${fixtures}/passes.test.ts  1 passed  `);
});

test('sums up in its last line', () => {
  const counts = [...Object.values(convictions).map(([text]) => text), '1 passed'];
  const sum = (word: string) =>
    counts.reduce((total, text) => total + Number(new RegExp(`(\\d+) ${word}`).exec(text)?.[1] ?? 0), 0);
  assert.is(report.lastLine, `${sum('passed')} passed, ${sum('failed')} failed, 1 skipped`);
  assert.is(report.status, 1);
});

test('passes only what it was asked for, and says so without a word on skips', () => {
  const report = run(['passes.test'], 'true');
  assert.is(report.lastLine, '1 passed, 0 failed');
  assert.is(report.status, 0);
});

test('reports skips with their reasons outside CI', () => {
  const report = run(['skips.test'], '');
  assert.is(report.lastLine, '1 passed, 0 failed, 2 skipped');
  assert.match(report.stdout, 'skips: needs a mount: there is no /dev/fuse');
  assert.is(report.status, 0);
});

test('does not call it a success when nothing was run', () => {
  const report = run(['no such file'], 'true');
  assert.is(report.lastLine, '0 passed, 0 failed');
  assert.is(report.status, 1);
});

test.run();
