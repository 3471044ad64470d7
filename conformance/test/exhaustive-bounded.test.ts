// deadline: 600s
import { Counterexample } from '@exomem/conformance/simulator';
import { assert, suite } from '@exomem/testing';
import { convict, mutants } from '../hunt/exhaustive/mutants.js';
import { isTrue, readFaults, readRecord, statesOf } from '../hunt/exhaustive/record.js';
import { searches } from '../hunt/exhaustive/searches/index.js';
import { explore, story } from '../hunt/exhaustive/subject.js';

// The smallest searches are gone as a whole, and come to what docs/proofs.md says; of the others some ways, whose number changes
// with the code. `npm run hunt -- exhaustive --table` goes on where that is not so, and writes it down.
const record = readRecord();
const test = suite('small worlds, some of the ways that they can go');
for (const subject of searches) {
  test(`${subject.name}: ${subject.what}`, () => {
    const row = record.get(subject.name);
    try {
      assert.ok(isTrue(subject, row), `docs/proofs.md is not of this code: npm run hunt -- exhaustive --table`);
    } catch (error) {
      if (!(error instanceof Counterexample)) throw error;
      throw new Error(`${error.message}\n${story(subject, error.path).told}`, { cause: error });
    }
    assert.ok(statesOf(row!) >= 50, 'a world in which next to nothing can happen shows nothing');
  });
}
test('docs/proofs.md has no other rows', () => {
  assert.equal([...record.keys()].sort(), searches.map(({ name }) => name).sort());
});
test.run();

const sound = suite('exhaustive search');
sound('sees the same states in whatever order it goes', () => {
  // Were two states taken for one that go on differently, the order would decide which of them is followed.
  for (const name of ['keep', 'fenced-author']) {
    const subject = searches.find((one) => one.name === name)!;
    const [near, mixed] = (['breadth', 'scattered'] as const).map((order) => explore(subject, { order }).searched!);
    assert.ok(near!.complete && mixed!.complete);
    assert.is(near!.states, mixed!.states);
  }
});
sound('comes to the same ends whether or not who waits for the lock forgets what it has seen of it', () => {
  for (const name of ['lock-recover', 'lock-snapshot']) {
    const subject = searches.find((one) => one.name === name)!;
    // What a faulty client remembers nobody says.
    const whole = explore(subject, { mutation: { name: 'none' } }).searched!;
    const less = explore(subject).searched!;
    assert.ok(whole.complete && less.complete);
    assert.is(less.ends, whole.ends);
    assert.ok(less.histories < whole.histories && less.states < whole.states);
  }
});
sound.run();

const byName = ([one]: readonly string[], [other]: readonly string[]): number => (one! < other! ? -1 : 1);
const broken = suite('broken protocols are found');
for (const mutant of mutants) {
  if (mutant.slow) continue;
  broken(`${mutant.name}, by ${mutant.search}`, () => {
    const { found } = convict(mutant, 20_000);
    assert.ok(found !== undefined, 'nothing was found');
  });
}
broken('docs/proofs.md has a row of each', () => {
  const rows = mutants.map(({ name, search, invariant }) => [name, `\`${search}\``, invariant]);
  assert.equal(readFaults().toSorted(byName), rows.toSorted(byName));
});
broken.run();
