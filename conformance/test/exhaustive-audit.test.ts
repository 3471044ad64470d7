import type { Told } from '@exomem/core/audit';
import { assert, suite } from '@exomem/testing';
import { Auditor } from '../hunt/exhaustive/auditor.js';
import { searches } from '../hunt/exhaustive/searches/index.js';
import { explore, story } from '../hunt/exhaustive/subject.js';

/** States of each search: a moment that is audited costs as much as many that are not. */
const limit = 100;

const auditor = new Auditor();
const test = suite('what clients were told, by the oracles of the audit');
for (const subject of searches) {
  test(`${subject.name}: ${subject.what}`, () => {
    const { found } = explore(subject, { limit, order: 'scattered', auditor });
    if (found !== undefined) throw new Error(`${found.message}\n${story(subject, found.path).told}`, { cause: found });
  });
}
test('each of them had something to judge', () => {
  const parts: readonly (keyof Told)[] = [
    'handles',
    'complete',
    'appends',
    'refusals',
    'adoptions',
    'successes',
    'accesses',
    'sights',
    'waits',
    'earlier',
    'recovered',
  ];
  for (const part of parts)
    assert.ok((auditor.asked.get(part) ?? 0) > 10, `${String(part)}: ${auditor.asked.get(part) ?? 0}`);
});
test.run();
