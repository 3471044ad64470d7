import { readFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { examplesOf, lawPages, pageText, skeletonOf } from './mutants/pages.js';
import { rules } from './mutants/rules.js';
import { allLaws } from './mutants/table.js';

// What runs print differs from run to run where chance and time have a part in it; all else of a page follows from the code.
const test = suite('pages of laws');
const folder = new URL('../../../docs/laws/', import.meta.url);

for (const page of lawPages) {
  test(`${page.file} is up to date: npm run laws-pages`, () => {
    const text = readFileSync(new URL(page.file, folder), 'utf8');
    assert.is(skeletonOf(text), skeletonOf(pageText(page, new Map())));
    const laws = allLaws().filter(({ of }) => page.of.includes(of));
    const examples = examplesOf(text);
    assert.is(examples.length, laws.length);
    for (const [at, { of, id }] of laws.entries()) {
      const example = examples[at]!;
      assert.ok(example.trim().length > 10, `${id} shows nothing`);
      if (of === 'transport' || of === 'policy' || of === 'mount') assert.match(example, `law ${id}, broken by`);
    }
  });
}

test('for each law of transports and of policies there is a rule', () => {
  for (const [of, known] of Object.entries(rules)) {
    const ids = allLaws()
      .filter((one) => one.of === of)
      .map(({ id }) => id);
    assert.equal(Object.keys(known).sort(), ids.sort());
  }
});

test.run();
