// deadline: 600s
import { assert, suite } from '@exomem/testing';
import { convict, mutants } from '../hunt/exhaustive/mutants.js';
import { searches } from '../hunt/exhaustive/searches/index.js';
import { explore, story } from '../hunt/exhaustive/subject.js';

/** States that each search sees here; `npm run hunt -- exhaustive` goes on. */
const limit = 1000;

const test = suite('small worlds, some of the ways that they can go');
for (const subject of searches) {
  test(`${subject.name}: ${subject.what}`, () => {
    const { searched, found } = explore(subject, { limit, order: 'scattered' });
    if (found !== undefined) throw new Error(`${found.message}\n${story(subject, found.path).told}`, { cause: found });
    assert.ok(searched!.states >= 50, 'a world in which next to nothing can happen shows nothing');
  });
}
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

const broken = suite('broken protocols are found');
for (const mutant of mutants) {
  if (mutant.slow) continue;
  broken(`${mutant.name}, by ${mutant.search}`, () => {
    const { found } = convict(mutant, 20_000);
    assert.ok(found !== undefined, 'nothing was found');
  });
}
broken.run();
