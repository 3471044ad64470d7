// deadline: 300s
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { conform, mountLaws, reportJUnit, withUvu } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';

// The file system of this machine keeps the laws: as one directory, and as its own second mount.
const test = suite('laws of file systems, where they are kept');
const dir = mkdtempSync(join(tmpdir(), 'exomem-laws-'));
test.after(() => rmSync(dir, { recursive: true }));

const laws = mountLaws(dir, dir, { live: true, runs: 20, rounds: 50 });
withUvu(
  Object.assign((name: string, body: () => Promise<void>) => test(name, body), { skip: () => undefined }),
  laws.filter(({ skip }) => skip === undefined),
);
for (const { id, skip } of laws) if (skip !== undefined) test.skip(id, skip);

test('nothing is left in the directory', () => {
  assert.equal(readdirSync(dir), []);
});

test('every law has a sentence and a purpose, and a name of its own', () => {
  assert.is(new Set(laws.map(({ id }) => id)).size, laws.length);
  for (const { id, sentence, purpose } of laws)
    assert.ok(sentence !== '' && purpose !== '' && purpose !== undefined, id);
});

test('what is skipped is skipped for what is declared', () => {
  const reasons = (skipped: typeof laws): string[] => [...new Set(skipped.flatMap(({ skip }) => skip ?? []))].sort();
  assert.equal(
    reasons(mountLaws(dir)).filter((reason) => !reason.includes('python3')),
    ['there is one directory alone'],
  );
  const poor = mountLaws(dir, dir, { lacks: ['link', 'symlink', 'mmap', 'far', 'replace-open', 'removed-stat'] });
  assert.equal(
    poor.filter(({ skip }) => skip !== undefined).map(({ id }) => id),
    ['mapped', 'far', 'links', 'symlinks', 'rename-atomic', 'open-attributes-across', 'live'],
  );
});

test('no false alarms, whatever the seed', async () => {
  const quick = ['bytes', 'truncated', 'append', 'names', 'open-unlinked', 'close-to-open', 'names-across'];
  const mount = { dir, dir2: dir };
  const report = await conform({ kind: 'mount', mount }, { laws: quick, budget: 5_000, seed: 1 });
  assert.equal([report.failed, report.passed], [0, quick.length]);
  assert.is(report.subject, `${dir} and ${dir}`);
  assert.match(reportJUnit(report), `laws of file systems: ${dir}`);
});

test('a file system that does not answer is broken, and holds nobody up', async () => {
  const agent = { module: new URL('./fixtures/mount-spoilers.js', import.meta.url), args: ['neverAnswers'] };
  const subject = { kind: 'mount', mount: { dir, agent } } as const;
  const { laws } = await conform(subject, { laws: ['bytes', 'listing'], patience: 3_000, seed: 1 });
  for (const { status, failure } of laws) {
    assert.is(status, 'failed');
    assert.match(failure!.message, 'hangs');
  }
});

test('what is no subject is told so', async () => {
  const other = mkdtempSync(join(tmpdir(), 'exomem-laws-'));
  const refused = async (mount: { dir: string; dir2?: string }, says: string): Promise<void> => {
    const error = await conform({ kind: 'mount', mount }, { laws: ['bytes'] }).catch(
      (error: unknown) => error as Error,
    );
    assert.is((error as Error).name, 'SubjectUnfit');
    assert.match((error as Error).message, says);
  };
  await refused({ dir: join(dir, 'none') }, 'is no directory that can be listed: ENOENT');
  await refused({ dir, dir2: other }, `${other} does not show what is made in ${dir}`);
  rmSync(other, { recursive: true });
});

test.run();
