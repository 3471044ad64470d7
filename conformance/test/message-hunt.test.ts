// deadline: 600s
import { assert, suite } from '@exomem/testing';
import { kill } from '../hunt/kill.js';
import { emptySeats } from '../hunt/seats.js';

const test = suite('processes that die where groups are granted by messages');
const seed = Math.floor(Math.random() * 1e6);
const operations = ['allocate-small', 'allocate-long', 'free', 'give-room', 'recover', 'leave-alone', 'adopt'];

// All operations and places, and not a sample: npm run hunt -- kill --policy message
test(`at a wire step of an operation (seed ${seed})`, async () => {
  const { cases, failures } = await kill({ policy: 'message', operations, sample: 1, seed, atOnce: 4 });
  assert.equal(failures, []);
  assert.is(cases, 2 * operations.length);
});

test(`whoever coordinates is ended, and others go on (seed ${seed})`, async () => {
  assert.ok((await emptySeats({ count: 3, signal: 'SIGKILL', seed })) >= 3);
});

test(`whoever coordinates is stopped, and goes on when others have taken its place (seed ${seed})`, async () => {
  assert.ok((await emptySeats({ count: 2, signal: 'SIGSTOP', seed })) >= 2);
});
test.run();
