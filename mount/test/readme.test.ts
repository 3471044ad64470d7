import { assert, runReadmeExample } from '@exomem/testing';
import { mountSuite } from './fixtures/world.js';

const test = await mountSuite('README of mount');

test('its example prints what it says', async () => {
  const { printed, promised } = await runReadmeExample(new URL('../../', import.meta.url));
  assert.is(printed, promised);
});
test.run();
