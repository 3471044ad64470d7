import { assert, suite } from '@exomem/testing';
import { frame, greeted, helloBytes, ops, RawConnection, words, writeFrame } from './fixtures/raw-connection.js';
import { Served } from './fixtures/served.js';

const test = suite('bad frames');
const status = {
  outOfRange: 1,
  unaligned: 2,
  invalidArgument: 3,
  fenced: 5,
  protocolError: 6,
  notFound: 8,
  incompatible: 11,
};

function changed(bytes: Buffer, change: (bytes: Buffer) => void): Buffer {
  change(bytes);
  return bytes;
}

const badHellos: [name: string, bytes: Buffer, status: number, text: RegExp][] = [
  [
    'another protocol',
    Buffer.from('GET / HTTP/1.1\r\nHost: example\r\nAccept: */*\r\nUser-Agent: none\r\n\r\n'),
    status.protocolError,
    /does not speak/,
  ],
  ['zeros', Buffer.alloc(64), status.protocolError, /does not speak/],
  ['later versions alone', helloBytes({ versions: [2, 9] }), status.incompatible, /versions 2 to 9/],
  ['no version', helloBytes({ versions: [0, 0] }), status.incompatible, /versions 0 to 0/],
  ['an unknown region', helloBytes({ region: 'nowhere' }), status.notFound, /"nowhere".*there is default/],
  [
    'a length that is too short',
    changed(helloBytes(), (bytes) => bytes.writeUInt32LE(64, 12)),
    status.protocolError,
    /HELLO/,
  ],
  [
    'a length of 4 GiB',
    changed(helloBytes(), (bytes) => bytes.writeUInt32LE(0xffff_ffff, 12)),
    status.protocolError,
    /HELLO/,
  ],
  ['no name', changed(helloBytes(), (bytes) => bytes.writeUInt16LE(0, 56)), status.protocolError, /HELLO/],
  [
    'a name that is too long',
    changed(helloBytes(), (bytes) => bytes.writeUInt16LE(256, 56)),
    status.protocolError,
    /HELLO/,
  ],
  [
    'a name that is no text',
    changed(helloBytes(), (bytes) => bytes.writeUInt8(0xff, 64)),
    status.protocolError,
    /UTF-8/,
  ],
  ['an epoch over 2^53', helloBytes({ epoch: 1n << 53n }), status.protocolError, /epoch/],
  ['epoch 0', helloBytes({ epoch: 0n }), status.fenced, /epoch 0/],
];

for (const [name, bytes, code, text] of badHellos) {
  test(`a HELLO with ${name} is refused with the reason`, async () => {
    await using served = await Served.start(4096);
    const bystander = await served.connect();
    await using peer = await RawConnection.open(served.port);
    peer.send(bytes);
    const welcome = await peer.take(88);
    assert.is(welcome.toString('latin1', 0, 8), 'exomem\r\n');
    assert.is(welcome.readUInt16LE(8), 1);
    assert.is(welcome.readUInt16LE(10), code);
    assert.match((await peer.take(welcome.readUInt32LE(12) - 88)).toString(), text);
    assert.is(await peer.ended(), 0);
    assert.is(await bystander.load(0), 0n);
  });
}

const step = (op: number, length: number, offset: bigint | number, ...rest: (bigint | number)[]): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(op, 0);
  bytes.writeUInt32LE(length, 4);
  return Buffer.concat([bytes, words(offset, ...rest)]);
};
const batch = (count: number, ...steps: Buffer[]): Buffer =>
  frame(ops.batch, 0, Buffer.concat([words(count), ...steps]));
const add = step(ops.add, 0, 8, 1);

const badFrames: [name: string, bytes: Buffer][] = [
  ['operation 0', frame(0, 0)],
  ['operation 10', frame(10, 0)],
  ['the operation of the appliance', frame(ops.goodbye, 0)],
  ['a length of 0', frame(ops.ping, 0, undefined, 0)],
  ['a length below the header', frame(ops.ping, 0, undefined, 15)],
  ['a PING with a body', frame(ops.ping, 0, Buffer.alloc(8))],
  ['a LOAD of 4 GiB', frame(ops.load, 0, words(0), 0xffff_ffff)],
  ['a LOAD without an offset', frame(ops.load, 0)],
  ['a WRITE without an offset', frame(ops.write, 0)],
  ['a WRITE over 1 MiB', frame(ops.write, 0, words(0), 24 + 1_048_577)],
  ['a WRITE of 4 GiB', frame(ops.write, 0, words(0), 0xffff_ffff)],
  ['a BATCH over its limit', frame(ops.batch, 0, words(1), 196_609)],
  ['a BATCH without a count', frame(ops.batch, 0)],
  ['a flag that has no meaning', changed(frame(ops.load, 0, words(0)), (bytes) => bytes.writeUInt8(1, 5))],
  ['a flag of a BATCH that has no meaning', changed(batch(1, add), (bytes) => bytes.writeUInt8(2, 5))],
  ['reserved bits', changed(frame(ops.load, 0, words(0)), (bytes) => bytes.writeUInt16LE(256, 6))],
  ['a BATCH of too many steps', batch(4097, ...new Array(4097).fill(step(ops.load, 0, 0)))],
  ['a BATCH that counts more steps than it has', batch(2, add)],
  ['a BATCH that counts fewer steps than it has', batch(1, add, add)],
  ['a BATCH that counts 4 G steps', batch(0xffff_ffff, add)],
  ['a BATCH that ends inside a step', batch(2, add, step(ops.cas, 0, 16).subarray(0, 12))],
  ['a BATCH that ends before the operands of a step', batch(2, add, step(ops.cas, 0, 16))],
  ['a BATCH with a BIND', batch(2, add, step(ops.bind, 0, 0))],
  ['a BATCH with a step that is none', batch(2, add, step(0x101, 0, 0))],
  ['a BATCH with a word of some length', batch(2, add, step(ops.load, 8, 0))],
  ['a BATCH with a WRITE beyond its end', batch(2, add, step(ops.write, 4000, 0, 1))],
  ['a BATCH with a WRITE of 4 GiB', batch(2, add, step(ops.write, 0xffff_fff9, 0, 1))],
];

for (const [name, bytes] of badFrames) {
  test(`${name} ends the connection with the reason`, async () => {
    await using served = await Served.start(4096);
    const bystander = await served.connect();
    await using peer = await greeted(served.port);
    peer.send(frame(ops.add, 7, words(0, 1)), bytes, frame(ops.add, 8, words(0, 16)));
    assert.equal(await peer.answer(), { op: ops.add, status: 0, id: 7, body: words(0) });
    const goodbye = await peer.answer();
    assert.is(goodbye?.op, ops.goodbye);
    assert.is(goodbye?.status, status.protocolError);
    assert.is(goodbye?.id, 0);
    assert.ok(goodbye!.body.byteLength > 10);
    assert.is(await peer.ended(), 0);
    assert.is(await bystander.load(0), 1n, 'what came before was done, what came behind was not');
    assert.is(await bystander.load(8), 0n, 'nothing of it was done');
  });
}

const huge = (1n << 64n) - 1n;
const badArguments: [name: string, bytes: Buffer, status: number][] = [
  ['a LOAD at the end', frame(ops.load, 0, words(4096)), status.outOfRange],
  ['a LOAD across the end', frame(ops.load, 0, words(4092)), status.outOfRange],
  ['a LOAD at 2^64 - 1', frame(ops.load, 0, words(huge)), status.outOfRange],
  ['a LOAD at 2^53', frame(ops.load, 0, words(1n << 53n)), status.outOfRange],
  ['a LOAD at 2^32', frame(ops.load, 0, words(1n << 32n)), status.outOfRange],
  ['a LOAD at 12', frame(ops.load, 0, words(12)), status.unaligned],
  ['a COMPARE-EXCHANGE at 9', frame(ops.cas, 0, words(9, 0, 1)), status.unaligned],
  ['a FETCH-ADD at 2^64 - 8', frame(ops.add, 0, words(huge - 7n, 1)), status.outOfRange],
  ['a READ across the end', frame(ops.read, 0, words(4000, 97)), status.outOfRange],
  ['a READ of 2^64 - 1', frame(ops.read, 0, words(0, huge)), status.outOfRange],
  ['a READ at 2^64 - 1', frame(ops.read, 0, words(huge, 8)), status.outOfRange],
  ['a WRITE across the end', writeFrame(0, 4090, Buffer.alloc(7, 1)), status.outOfRange],
  ['a WRITE at 2^64 - 1', writeFrame(0, Number(huge >> 12n) * 2, Buffer.alloc(5000, 1)), status.outOfRange],
  ['a BATCH with a step out of range', batch(2, add, step(ops.load, 0, 4096)), status.outOfRange],
  ['a BATCH with a step that is not aligned', batch(2, add, step(ops.cas, 0, 20, 0, 1)), status.unaligned],
  ['a BATCH with a READ beyond the end', batch(2, add, step(ops.read, 200, 4000)), status.outOfRange],
  ['a BATCH with a READ of 4 GiB', batch(2, add, step(ops.read, 4096, huge)), status.outOfRange],
  [
    'a BATCH whose answer is too long',
    batch(18, add, ...new Array(17).fill(step(ops.read, 4096, 0))),
    status.invalidArgument,
  ],
  ['a BIND beyond the region', frame(ops.bind, 0, words(1, 1n << 40n)), status.outOfRange],
  ['a BIND that is not aligned', frame(ops.bind, 0, words(1, 4)), status.unaligned],
  ['a BIND of slot 65,536', frame(ops.bind, 0, words(65_536, 0)), status.outOfRange],
  ['a REVOKE of slot 2^32 - 1', frame(ops.revoke, 0, words(0xffff_ffff, 0)), status.outOfRange],
  ['a REVOKE of incarnation 2^20', frame(ops.revoke, 0, words(1n << 52n, 0)), status.outOfRange],
];

for (const [name, bytes, code] of badArguments) {
  test(`${name} is an error, changes nothing, and is served on`, async () => {
    await using served = await Served.start(4096);
    await using peer = await greeted(served.port);
    peer.send(bytes, frame(ops.load, 1, words(8)));
    const answer = await peer.answer();
    assert.equal([answer?.op, answer?.status, answer?.id], [bytes[4], code, 0]);
    assert.ok(answer!.body.byteLength > 10);
    assert.equal(await peer.answer(), { op: ops.load, status: 0, id: 1, body: words(0) });
    const whole = new Uint8Array(4096);
    served.memory.read(0, whole);
    assert.ok(whole.every((byte) => byte === 0));
  });
}

test('a frame that is cut off does nothing, but for the words of a WRITE that were whole', async () => {
  const all = Buffer.alloc(4096);
  for (const bytes of [
    frame(ops.cas, 0, words(0, 0, 5)),
    batch(2, add, step(ops.add, 0, 16, 1)),
    frame(ops.add, 0, words(0, 1)),
  ]) {
    for (const keep of [1, 15, 16, 17, bytes.byteLength - 1]) {
      await using served = await Served.start(4096);
      await using peer = await greeted(served.port);
      peer.send(bytes.subarray(0, keep));
      peer.socket.end();
      await peer.ended();
      served.memory.read(0, all);
      assert.ok(all.every((byte) => byte === 0));
    }
  }
  await using served = await Served.start(4096);
  await using peer = await greeted(served.port);
  peer.send(writeFrame(0, 3, Buffer.alloc(100, 9)).subarray(0, 24 + 50));
  peer.socket.end();
  await peer.ended();
  served.memory.read(0, all);
  assert.equal([...all.subarray(0, 4)], [0, 0, 0, 9]);
  assert.is(all.subarray(0, 64).lastIndexOf(9), 47, 'the last word that was whole ends there');
});

test.run();
