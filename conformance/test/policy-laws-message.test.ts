// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { message } from '@exomem/core';
import { suite } from '@exomem/testing';

const test = suite('policy laws: message');

const laws = policyLaws(
  { name: 'message', policy: message },
  {
    schedules: 500,
    command: ({ law, seed, path }) =>
      `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws-message`,
  },
);
for (const { id, sentence, run } of laws) test(`${id}: ${sentence}`, run);

test.run();
