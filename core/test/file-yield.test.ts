import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Client, format, pageOffset, runSync, type Session } from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('two that fill the same hole of a file');

test('who comes second writes into the page of the first, and holds up its reuse until that is done', async () => {
  const inner = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, lease: 20_000 }), { session, surroundings });
  const first = await Client.open({ transport: inner, url: 'sab:r', surroundings });
  const second = await Client.open({ transport: inner, url: 'sab:r', surroundings });
  const writes = spied(second.session);
  try {
    const one = await first.namespace.open('/f', { create: true });
    const other = await second.namespace.open('/f');
    await one.write(0, new Uint8Array(4096).fill(1));
    await other.write(0, new Uint8Array(4096).fill(2));
    await one.flush();
    const page = pageOffset(first.geometry, first.state.file(one.inode).extents[0]!.page);
    const pinned: (number | undefined)[] = [];
    writes.heard = (offset) => {
      // What it would publish, would it beat at this moment.
      if (offset === page) pinned.push(second.pins.lowest(Number.MAX_SAFE_INTEGER));
    };
    await other.flush();
    assert.is(pinned.length, 1, 'it wrote there');
    assert.ok(pinned[0]! <= second.replica.index, `it publishes ${pinned[0]}`);
    assert.is(second.pins.lowest(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER, 'and lets go of it');
    const bytes = new Uint8Array(4096);
    await first.refresh();
    await one.read(0, bytes);
    assert.ok(bytes.every((byte) => byte === 2));
    await one.close();
    await other.close();
  } finally {
    for (const client of [second, first]) await client.close();
    await session.close();
  }
});

/** Hears of each write of a session. */
function spied(session: Session): { heard: (offset: number) => void } {
  const ears = { heard: (_offset: number): void => undefined };
  const { write } = session;
  session.write = function (this: Session, offset, bytes, options) {
    ears.heard(offset);
    return write.call(this, offset, bytes, options);
  };
  return ears;
}

test.run();
