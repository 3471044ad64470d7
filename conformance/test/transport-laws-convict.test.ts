// alone
// deadline: 240s
import { transportLaws } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { loopbackSubject } from './fixtures/loopback-subject.js';
import { flawedTransports, transportMutants } from './mutants/transports.js';

// Each law has to convict somebody: for each there is at least one transport that breaks it.
const test = suite('laws of transports convict');

for (const { name, law, hunt } of transportMutants) {
  test(`${name}, by ${law}`, async () => {
    const kill = await hunt(1, true);
    assert.match(kill?.what ?? 'it lives', `law ${law}, broken by`);
  });
}

test('each law convicts somebody', () => {
  const all = transportLaws(loopbackSubject()).map(({ id }) => id);
  const convicting = new Set(flawedTransports.map(({ law }) => law));
  assert.equal(
    all.filter((id) => !convicting.has(id)),
    [],
  );
});

test.run();
