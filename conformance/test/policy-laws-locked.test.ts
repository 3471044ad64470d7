// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { locked } from '@exomem/core';
import { suite } from '@exomem/testing';

const test = suite('policy laws: locked');

const laws = policyLaws(
  { name: 'locked', policy: locked },
  {
    schedules: 1000,
    command: ({ law, seed, path }) =>
      `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws-locked`,
  },
);
for (const { id, sentence, run } of laws) test(`${id}: ${sentence}`, run);

test.run();
