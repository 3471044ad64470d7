// deadline: 300s
import { assert, suite } from '@exomem/testing';
import { kill } from '../hunt/kill.js';

const test = suite('processes that die, or stop and go on, with the lock of the table');
const seed = Math.floor(Math.random() * 1e6);
const operations = ['allocate-long', 'free', 'allocate-named', 'recover'];

// All places of all operations: npm run hunt -- kill --policy locked, and stop
for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`${signal} at a wire step of an operation, here and there (seed ${seed})`, async () => {
    const { cases, failures } = await kill({ signal, operations, policy: 'locked', sample: 2, seed, atOnce: 6 });
    assert.equal(failures, []);
    assert.is(cases, 3 * operations.length);
  });
}
test.run();
