// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { atomic } from '@exomem/core';
import { suite } from '@exomem/testing';

const test = suite('policy laws: atomic');

const laws = policyLaws(
  { name: 'atomic', policy: atomic },
  {
    command: ({ law, seed, path }) =>
      `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws.test`,
  },
);
for (const { id, sentence, run } of laws) test(`${id}: ${sentence}`, run);

test.run();
