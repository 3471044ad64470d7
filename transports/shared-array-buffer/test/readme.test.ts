import { assert, runReadmeExample, suite } from '@exomem/testing';

const test = suite('readme of the shared memory transport');

test('its example prints what it says', async () => {
  const { printed, promised } = await runReadmeExample(new URL('../../', import.meta.url));
  assert.is(printed, promised);
});

test.run();
