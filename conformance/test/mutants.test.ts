// deadline: 240s
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { assert, suite } from '@exomem/testing';
import { codecLaws, codecMutants, codecs } from './mutants/codecs.js';
import { historyMutants, soundHistory } from './mutants/histories.js';
import type { Mutant } from './mutants/mutant.js';
import { allLaws, hunt, killed, killersOf, mutants, rowText } from './mutants/table.js';

// Mutants of transports, policies, protocols and file systems are hunted in the tests of those: transport-laws-convict, policy-laws-convict,
// exhaustive-bounded and mount-laws-convict. All of them with several seeds: npm run mutants
const test = suite('mutants');
const command = (...args: string[]) =>
  promisify(execFile)(process.execPath, [new URL('./mutants/index.js', import.meta.url).pathname, ...args]);

test('there are many, of every kind, and none is there twice', () => {
  const names = new Set(mutants.map(({ name }) => name));
  assert.ok(names.size >= 120, `there are ${names.size}`);
  // Some are hunted by two laws.
  assert.is(new Set(mutants.map(({ name, law }) => `${name}, ${law}`)).size, mutants.length);
  assert.equal([...new Set(mutants.map(({ of }) => of))].sort(), [
    'codec',
    'history',
    'mount',
    'policy',
    'protocol',
    'transport',
  ]);
});

test('for each law a mutant was seeded', () => {
  const seeded = new Set(mutants.map(({ of, law }) => `${of === 'protocol' ? 'search' : of} ${law}`));
  assert.equal(
    allLaws()
      .map(({ of, id }) => `${of} ${id}`)
      .filter((law) => !seeded.has(law)),
    [],
  );
});

for (const mutant of [...codecMutants, ...historyMutants]) {
  test(`${mutant.name}, by ${mutant.law}`, async () => {
    for (const { kill } of (await hunt(mutant, [1, 2, 3], true)).attempts) assert.is(kill?.law, mutant.law);
  });
}

test('what is not spoiled is not convicted', () => {
  for (let seed = 1; seed <= 20; seed++) {
    for (const { id, check } of codecLaws) assert.is(check(codecs, seed), undefined, id);
  }
  for (let seed = 1; seed <= 300; seed++) assert.equal(soundHistory(seed), []);
});

test('one that lives is told, and a law that kills none', async () => {
  const immortal: Mutant = { name: 'nothing at all', of: 'codec', law: 'round-trip', hunt: async () => undefined };
  const row = await hunt(immortal, [1, 2], true);
  assert.ok(!killed(row));
  assert.match(rowText(row), 'LIVES with seed 1, 2');
  assert.ok(killersOf([row]).every((law) => law.killed.length === 0));
});

test('the command prints a table, for people and as JSON', async () => {
  const { stdout } = await command('codec', '--seeds', '2');
  assert.match(stdout, /^codec \| a record is read without its checksum \| damage-shows \| \d.* runs \| \d/m);
  assert.match(stdout, /^codec \| damage-shows \| 2 \| a record/m);
  assert.match(stdout, '3 of 3 mutants killed, with seeds 1, 2');
  const told = JSON.parse((await command('is read with a bit too few', '--seeds', '1', '--json')).stdout);
  assert.is(told.mutants[0].attempts[0].kill.law, 'round-trip');
  assert.ok(told.laws.find(({ id }: { id: string }) => id === 'round-trip').killed.length === 1);
});

test('and refuses what it does not know', async () => {
  const refusal = await command('no such thing').catch((error: { code: number; stderr: string }) => error);
  assert.is((refusal as { code: number }).code, 2);
  assert.match(refusal.stderr, 'no mutant has a name like that');
});

test.run();
