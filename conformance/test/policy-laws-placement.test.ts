// deadline: 600s
import { policyLaws } from '@exomem/conformance';
import { alignedTo, atomic, bestFit, firstFit } from '@exomem/core';
import { suite } from '@exomem/testing';

// The default has a file of its own. In the small regions of the laws nothing has 2 MiB.
for (const placement of [firstFit, bestFit, alignedTo(2 * 4096)]) {
  const name = `atomic, ${placement.name}`;
  const test = suite(`policy laws: ${name}`);
  const policy: typeof atomic = { ...atomic, name, create: (context) => atomic.create({ ...context, placement }) };
  for (const { id, sentence, run } of policyLaws({ name, policy }, { schedules: 300 })) {
    test(`${id}: ${sentence}`, run);
  }
  test.run();
}
