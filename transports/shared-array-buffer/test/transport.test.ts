import { randomBytes } from 'node:crypto';
import { type ErrorCode, isExomemError } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { createRegion, segmentBytes, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';

// What the laws of transports do not ask: they are held against this transport by the package of the laws.

const test = suite('shared memory transport');

const client = () => ({ clientId: randomBytes(16), lane: 0 });

function refuses(call: () => unknown, code: ErrorCode): void {
  assert.throws(call, (error: unknown) => isExomemError(error, code));
}

test('a region is zero, and of segments where it is long', () => {
  for (const bytes of [0, -8, 12, 8.5, Number.NaN, 2 ** 53]) refuses(() => createRegion(bytes), 'OutOfRange');
  assert.equal(
    createRegion(4096).segments.map((segment) => segment.byteLength),
    [4096],
  );
  assert.equal(
    createRegion(segmentBytes + 64).segments.map((segment) => segment.byteLength),
    [segmentBytes, 64],
  );
});

test('steps cross from one segment to the next', () => {
  const session = sharedArrayBuffer({ long: createRegion(segmentBytes + 64) }).open('sab:long', client());
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
  session.write(segmentBytes - 5, bytes);
  const back = new Uint8Array(11);
  session.read(segmentBytes - 5, back);
  assert.equal(back, bytes);
  assert.is(session.fetchAdd(segmentBytes, 1n), 0x0b_0a09_0807_06n);
  refuses(() => session.view(segmentBytes - 5, 11), 'Fragmented');
});

test('refuses what is no region of this thread', () => {
  const transport = sharedArrayBuffer({ here: createRegion(64) });
  refuses(() => transport.open('sab:there', client()), 'NotFound');
  refuses(() => transport.open('sab:toString', client()), 'NotFound');
  refuses(() => transport.open('tcp://here', client()), 'InvalidArgument');
  refuses(() => transport.open('sab:here', { ...client(), lane: -1 }), 'InvalidArgument');
  refuses(() => transport.open('sab:here', { ...client(), lane: 0.5 }), 'InvalidArgument');
  refuses(() => transport.open('sab:here', { ...client(), clientId: new Uint8Array(15) }), 'InvalidArgument');
  refuses(() => sharedArrayBuffer({ odd: new SharedArrayBuffer(12) }), 'InvalidArgument');
});

test('connect rejects as open throws', async () => {
  const transport = sharedArrayBuffer({});
  const error = await transport.connect('sab:nowhere', client()).catch((caught: unknown) => caught);
  assert.ok(isExomemError(error, 'NotFound'));
});

test('a later session of a lane counts a later epoch, and only the latest is remembered', () => {
  const transport = sharedArrayBuffer({ here: createRegion(64) });
  const who = client();
  const first = transport.open('sab:here', who);
  const second = transport.open('sab:here', who);
  assert.ok(second.epoch > first.epoch);
  refuses(() => first.load(0), 'Fenced');
  refuses(() => first.renew(), 'Fenced');
  first.close();
  const third = transport.open('sab:here', who);
  refuses(() => second.load(0), 'Fenced');
  assert.ok(third.epoch > second.epoch);
  third.close();
});

test.run();
