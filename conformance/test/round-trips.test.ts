import { assert, suite } from '@exomem/testing';
import { countRoundTrips } from '../bench/round-trips/operations.js';

const test = suite('round trips on the critical path, counted over TCP');

const counts = await countRoundTrips();
for (const { operation, trips, aim } of counts) {
  test(`${operation}: ${aim}`, () => assert.is(trips, aim));
}
test('each kind of operation is among them', () => {
  for (const kind of ['allocate', 'reserve', 'free', 'name', 'slot', 'migrate', 'adopt', 'read what']) {
    assert.ok(
      counts.some(({ operation }) => operation.includes(kind)),
      kind,
    );
  }
});

test.run();
