// deadline: 600s
import { assert, suite } from '@exomem/testing';
import { endAppliances } from '../hunt/appliances.js';
import { kill } from '../hunt/kill.js';

const test = suite('processes that die where the metadata lies apart');
const seed = Math.floor(Math.random() * 1e6);

// All operations and places, and more: npm run hunt -- kill --metadata, stop --metadata, storm --metadata
for (const [signal, ...operations] of [
  ['SIGKILL', 'free', 'recover'],
  ['SIGSTOP', 'allocate-named', 'write'],
] as const) {
  test(`${signal} at a wire step of an operation, here and there (seed ${seed})`, async () => {
    const { cases, failures } = await kill({
      signal,
      operations,
      apart: true,
      sample: 1,
      seed,
      atOnce: 4,
      lease: 1500,
    });
    assert.equal(failures, []);
    assert.is(cases, 2 * operations.length);
  });
}

// npm run hunt -- appliances
test(`the appliance of the data, that of the metadata, and both (seed ${seed})`, async () => {
  const { data, metadata, acts } = await endAppliances({ count: 3, seed });
  assert.equal([data, metadata], [2, 2]);
  assert.ok(acts > 0);
});
test.run();
