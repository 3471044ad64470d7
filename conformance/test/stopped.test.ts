// deadline: 600s
import { assert, suite } from '@exomem/testing';
import { kill } from '../hunt/kill.js';
import { stopAtRandom } from '../hunt/storms.js';

const test = suite('processes that are stopped past their lease, and go on');
const seed = Math.floor(Math.random() * 1e6);

// All places, and not a sample: npm run hunt -- stop
test(`at a wire step of an operation: they say so, and what others have by then is whole (seed ${seed})`, async () => {
  const { failures } = await kill({ signal: 'SIGSTOP', sample: 1, seed, atOnce: 8 });
  assert.equal(failures, []);
});

test(`at random, while others work (seed ${seed})`, async () => {
  const { hit, acts } = await stopAtRandom({ count: 4, seed });
  assert.ok(hit >= 4 && acts > 0);
});
test.run();
