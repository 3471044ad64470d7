import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { LeasedSession } from '../src/client/leased-session.js';
import { compareExchange, load, write } from '../src/index.js';

const test = suite('leased session');

test('writes wait for a lease, alone and in batches; nothing else does', async () => {
  const inner = sharedArrayBuffer({ r: createRegion(4096) }).open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const session = new LeasedSession(inner);
  const grants: (() => void)[] = [];
  let held = true;
  session.lease = () => (held ? new Promise<void>((resolve) => grants.push(resolve)) : undefined);
  const writing = session.write(0, Uint8Array.of(1));
  assert.is(session.load(0), 0n);
  assert.is(session.compareExchange(8, 0n, 5n), 0n);
  assert.equal(session.batch([load(8), compareExchange(8, 5n, 6n)]), [5n, 5n]);
  const batch = session.batch([compareExchange(8, 6n, 7n), write(16, Uint8Array.of(2))]);
  // A lease that was over again when it came to be used is none.
  for (const grant of grants.splice(0)) grant();
  await new Promise(setImmediate);
  assert.is(inner.load(0), 0n);
  assert.is(inner.load(16), 0n);
  held = false;
  for (const grant of grants.splice(0)) grant();
  await writing;
  assert.equal(await batch, [6n, undefined]);
  assert.is(inner.load(0), 1n);
  assert.is(inner.load(16), 2n);
  session.lease = () => Promise.reject(new Error('none any more'));
  await assertRejects(session.write(24, Uint8Array.of(3)));
  assert.is(inner.load(24), 0n);
});

async function assertRejects(work: unknown): Promise<void> {
  try {
    await work;
  } catch {
    return;
  }
  assert.unreachable('it was sent');
}
test.run();
