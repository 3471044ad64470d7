// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { atomic } from '@exomem/core';
import { assert, suite } from '@exomem/testing';

const test = suite('policy laws: atomic');

const laws = policyLaws(
  { name: 'atomic', policy: atomic },
  {
    milliseconds: 240_000,
    command: ({ law, seed, path }) =>
      `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws.test`,
  },
);
for (const law of laws) {
  test(`${law.id}: ${law.sentence}`, async () => {
    await law.run();
    assert.is(law.note, undefined, 'it went all the way');
  });
}

test.run();
