import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { auditRegion, repairRegion } from '../src/audit/index.js';
import {
  answerWordOffset,
  Client,
  decodeSeat,
  encodeLetter,
  encodeSeat,
  format,
  type Geometry,
  message,
  requestWordOffset,
  runSync,
  seatOffset,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('audit and repair of mailboxes');

function region() {
  const transport = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const { geometry } = runSync(format(session.size, { zeroed: true, lease: 1000, policy: message }), {
    session,
    surroundings,
  });
  const bench = { session, surroundings };
  const damage = () =>
    runSync(auditRegion(session.size, { readings: 1 }), bench)
      .findings.filter(({ severity }) => severity === 'damage')
      .map(({ oracle, where }) => `${oracle} ${where}`);
  const repair = () => runSync(repairRegion(session.size, { readings: 1 }), bench);
  const open = () => Client.open({ transport, url: 'sab:r', surroundings });
  return { session, geometry, damage, repair, open };
}

const never = 0x77777;
const harms: Record<string, (geometry: Geometry) => readonly [offset: number, word: bigint]> = {
  'a seat of an incarnation to come': (geometry) => [
    seatOffset(geometry),
    encodeSeat({ term: 9, slot: 1, incarnation: never }),
  ],
  'a seat of no slot': (geometry) => [seatOffset(geometry), encodeSeat({ term: 9, slot: 60_000, incarnation: 1 })],
  'a vacant seat of somebody': (geometry) => [seatOffset(geometry), encodeSeat({ term: 9, slot: 3, incarnation: 0 })],
  'a request of one to come': (geometry) => [
    requestWordOffset(geometry, 2),
    encodeLetter({ incarnation: never, sequence: 1, count: 1 }),
  ],
  'a request for too much': (geometry) => [
    requestWordOffset(geometry, 2),
    encodeLetter({ incarnation: 0, sequence: 1, count: 65 }),
  ],
  'an answer to one to come': (geometry) => [
    answerWordOffset(geometry, 2),
    encodeLetter({ incarnation: never, sequence: 1, count: 1 }),
  ],
  'an answer to a request to come': (geometry) => [
    answerWordOffset(geometry, 2),
    encodeLetter({ incarnation: 0, sequence: 5, count: 1 }),
  ],
};

for (const [name, harm] of Object.entries(harms)) {
  test(`${name} is named; it is mended when nobody is there`, async () => {
    const { session, geometry, damage, repair, open } = region();
    const client = await open();
    await client.allocate(2_000_000);
    assert.equal(damage(), []);
    const [offset, word] = harm(geometry);
    const before = session.load(offset) as bigint;
    session.compareExchange(offset, before, word);
    assert.equal(damage(), [`mail ${offset}`]);
    assert.equal(repair().mends, []);
    session.compareExchange(offset, word, before);
    await client.close();

    session.compareExchange(offset, session.load(offset) as bigint, word);
    assert.equal(damage(), [`mail ${offset}`]);
    assert.is(repair().after.damaged, false);
    await using next = await open();
    await (await next.allocate(2_000_000)).free();
    assert.is(decodeSeat(session.load(seatOffset(geometry)) as bigint).slot, next.member.slot);
    assert.equal(damage(), []);
  });
}

test.run();
