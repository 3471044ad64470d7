// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { atomic, locked } from '@exomem/core';
import { suite } from '@exomem/testing';

// The same laws where the structure lies in a region of its own.
for (const policy of [atomic, locked]) {
  const test = suite(`policy laws: ${policy.name}, metadata apart`);
  const subject = { name: `${policy.name}, metadata apart`, policy, dataApart: true, progress: policy !== locked };
  const options = { schedules: 500, milliseconds: 5000 };
  const command = ({ law, seed, path }: { law: string; seed: number; path: string }) =>
    `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws-apart`;
  for (const { id, sentence, run } of policyLaws(subject, { ...options, command })) test(`${id}: ${sentence}`, run);
  test.run();
}
