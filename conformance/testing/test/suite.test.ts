import { assert, suite } from '@exomem/testing';

const order: string[] = [];

const first = suite('suite');
first.before(() => order.push('before'));
first.before.each(() => order.push('before each'));
first.after.each(() => order.push('after each'));
first.after.each(() => order.push('last after each'));
first.after(() => order.push('after'));
first('runs its hooks before a test', async () => {
  await null;
  order.push('test');
  assert.equal(order, ['before', 'before each', 'test']);
});
first('runs hooks that end something in the opposite order', () => {
  assert.equal(order.slice(3), ['last after each', 'after each', 'before each']);
});
first('cannot be changed once it runs', () => {
  assert.throws(() => first('too late', () => {}), /changed after run/);
  assert.throws(() => first.run(), /changed after run/);
});
first.run();

// uvu itself would run tests of the first suite again.
await new Promise((resolve) => setTimeout(resolve, 20));

const second = suite('suite that is declared later');
second('runs after the first has ended', () => {
  assert.is(order.filter((one) => one === 'test').length, 1);
  assert.is(order.at(-1), 'after');
});
second.run();
