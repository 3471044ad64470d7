// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import { atomic, lowFragmentation, placements } from '@exomem/core';
import { suite } from '@exomem/testing';

for (const placement of placements) {
  // The default has a file of its own.
  if (placement === lowFragmentation) continue;
  const name = `atomic, ${placement.name}`;
  const test = suite(`policy laws: ${name}`);
  const policy: typeof atomic = { ...atomic, name, create: (context) => atomic.create({ ...context, placement }) };
  for (const { id, sentence, run } of policyLaws({ name, policy }, { schedules: 300 })) {
    test(`${id}: ${sentence}`, run);
  }
  test.run();
}
