// deadline: 600s
import { assert, suite } from '@exomem/testing';
import { kill } from '../hunt/kill.js';
import { operations } from '../hunt/operations/index.js';
import { recoverersInTurn } from '../hunt/recoverers.js';
import { cutAtRandom, killAtRandom } from '../hunt/storms.js';

const test = suite('processes that die');
const seed = Math.floor(Math.random() * 1e6);

// All places, and not a sample: npm run hunt -- kill
test(`at a wire step of an operation, here and there (seed ${seed})`, async () => {
  const { cases, steps, failures } = await kill({ sample: 1, seed, atOnce: 8 });
  assert.equal(failures, []);
  assert.is(cases, 2 * operations.length);
  // Every operation has places to die at, and the victims came to them.
  assert.is(Math.min(...steps.values()) > 0, true);
});

test(`while they recover another, one after the other (seed ${seed})`, async () => {
  const { failures } = await recoverersInTurn({ count: 3, seed });
  assert.equal(failures, []);
});

test(`at random, while others work (seed ${seed})`, async () => {
  const { hit, acts } = await killAtRandom({ count: 15, seed });
  assert.ok(hit >= 15 && acts > 0);
});

test(`and connections that are cut at random are no deaths (seed ${seed})`, async () => {
  const { hit, acts, mistakes } = await cutAtRandom({ count: 40, seed });
  assert.ok(hit >= 40 && acts > 0);
  assert.is(mistakes, 0);
});
test.run();
