import { assert, suite } from '@exomem/testing';
import { createRegion, type SharedRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, tcp } from '@exomem/transport-tcp';
import {
  Client,
  format,
  isExomemError,
  type MemoryWindow,
  PairSession,
  pairTransport,
  planDataRegion,
  planRegion,
  RegionMemory,
  runAsync,
  runSync,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('memory itself');
const lane = { clientId: new Uint8Array(16), lane: 0 };

/** Cut into buffers of that length, the last one shorter. */
function inSegments(bytes: number, span: number): SharedRegion {
  const whole = createRegion(bytes);
  const segments: SharedArrayBuffer[] = [];
  for (let left = bytes; left > 0; left -= span) segments.push(new SharedArrayBuffer(Math.min(span, left)));
  return { ...whole, segments };
}

function region(bytes = 16 * MiB, span = bytes) {
  const shared = inSegments(bytes, span);
  const transport = sharedArrayBuffer({ r: shared });
  runSync(format(bytes, { zeroed: true, lease: 1000 }), { session: transport.open('sab:r', lane), surroundings });
  const open = () => Client.open({ transport, url: 'sab:r', surroundings });
  return { shared, open };
}

async function refusal(work: Promise<unknown>): Promise<{ code: string; advice: string }> {
  try {
    await work;
  } catch (error) {
    if (isExomemError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

const pattern = (length: number) => new Uint8Array(length).map((_, at) => (at * 31 + (at >> 8)) % 251);

/** What one sees of a whole of that many bytes through windows; what is in none is zero. */
function seen(windows: readonly MemoryWindow[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (const window of windows) bytes.set(window.bytes, window.position);
  return bytes;
}

test('an allocation is mapped without a copy: the very buffers of the region', async () => {
  const { shared, open } = region();
  await using one = await open();
  await using other = await open();
  const allocation = await one.allocate(100_000);
  const mine = await allocation.map();
  assert.is(mine.buffer, shared.segments[0]);
  assert.is(mine.byteOffset, allocation.offset);
  assert.is(mine.byteLength, 100_000);
  const [window, ...more] = await allocation.windows();
  assert.is(more.length, 0);
  assert.is(window!.bytes.buffer, mine.buffer);
  // Written through the one, read through the other, and by a step of another client.
  mine.set(pattern(100_000));
  assert.equal(window!.bytes, pattern(100_000));
  const back = new Uint8Array(100_000);
  await other.readBytes(allocation.offset, back);
  assert.equal(back, pattern(100_000));
  await allocation.write(5, new Uint8Array(10).fill(255));
  assert.equal(mine.subarray(4, 16), Uint8Array.of(mine[4]!, ...new Array(10).fill(255), mine[15]!));
  await allocation.free();
  assert.is((await refusal(allocation.map())).code, 'StaleHandle');
  assert.is((await refusal(allocation.windows())).code, 'StaleHandle');
});

test('the whole region is mapped before anything is asked for, and what is allocated then lies in it', async () => {
  const { shared, open } = region(16 * MiB, 4 * MiB);
  await using client = await open();
  const windows = client.windows();
  assert.equal(
    windows.map(({ position, bytes }) => [position, bytes.byteLength]),
    [0, 4, 8, 12].map((at) => [at * MiB, 4 * MiB]),
  );
  assert.ok(windows.every(({ bytes }, at) => bytes.buffer === shared.segments[at]));
  const allocation = await client.allocate(50_000);
  await allocation.write(0, pattern(50_000));
  const window = windows.findLast(({ position }) => position <= allocation.offset)!;
  const at = allocation.offset - window.position;
  assert.equal(window.bytes.subarray(at, at + 50_000), pattern(50_000));
});

test('what lies over the end of a buffer has windows, and map() says so', async () => {
  const { shared, open } = region(32 * MiB, 4 * MiB);
  await using client = await open();
  const allocation = await client.allocate(9 * MiB);
  const refused = await refusal(allocation.map());
  assert.is(refused.code, 'UnsupportedCapability');
  assert.match(refused.advice, /windows\(\)/);
  const windows = await allocation.windows();
  assert.ok(windows.length >= 3);
  assert.ok(windows.every(({ bytes }) => shared.segments.includes(bytes.buffer as SharedArrayBuffer)));
  const bytes = pattern(9 * MiB);
  for (const window of windows)
    window.bytes.set(bytes.subarray(window.position, window.position + window.bytes.byteLength));
  const back = new Uint8Array(9 * MiB);
  await allocation.read(0, back);
  assert.is(Buffer.compare(back, bytes), 0);
  assert.is(Buffer.compare(seen(windows, 9 * MiB), bytes), 0);
});

test('more than 4 GiB, which no typed array reaches over, has windows', async () => {
  // Pages that nobody touches take no memory.
  const bytes = 5 * 1024 * MiB;
  const transport = sharedArrayBuffer({ r: createRegion(bytes) });
  runSync(format(bytes, { zeroed: true, lease: 1000 }), { session: transport.open('sab:r', lane), surroundings });
  await using client = await Client.open({ transport, url: 'sab:r', surroundings });
  const length = 4200 * MiB;
  const allocation = await client.allocate(length);
  assert.match((await refusal(allocation.map())).advice, /windows\(\)/);
  const windows = await allocation.windows();
  assert.is(
    windows.reduce((sum, window) => sum + window.bytes.byteLength, 0),
    length,
  );
  const last = windows.at(-1)!;
  last.bytes[last.bytes.byteLength - 1] = 77;
  const byte = new Uint8Array(1);
  await allocation.read(length - 1, byte);
  assert.is(byte[0], 77);
});

test('a file of several extents has windows, holes have none, and bytes that were cut off are in none', async () => {
  const { open } = region();
  await using client = await open();
  await using other = await open();
  const file = await client.namespace.open('/f', { create: true });
  assert.is((await file.map()).byteLength, 0);
  await file.write(0, pattern(10_000));
  await file.flush();
  assert.equal(await file.map(), pattern(10_000));
  // Pages of another between: the file goes on elsewhere.
  const between = await client.allocate(40_000);
  await file.write(10_000, pattern(90_000));
  await file.write(300_000, pattern(5000));
  await file.truncate(304_000);
  await file.truncate(310_000);
  const refused = await refusal(file.map());
  assert.is(refused.code, 'UnsupportedCapability');
  assert.match(refused.advice, /windows\(\)/);
  const windows = await file.windows();
  const whole = new Uint8Array(310_000);
  assert.is(await file.read(0, whole), 310_000);
  assert.is(Buffer.compare(seen(windows, 310_000), whole), 0);
  assert.ok(windows.length > 1);
  const end = (window: MemoryWindow) => window.position + window.bytes.byteLength;
  assert.ok(windows.every((window, at) => at === 0 || window.position >= end(windows[at - 1]!)));
  // Neither the hole nor what was cut off.
  assert.not(windows.some((window) => window.position < 200_000 && end(window) > 200_000));
  assert.is(end(windows.at(-1)!), 304_000);
  // Through a window it is written for everybody.
  windows[0]!.bytes.fill(9, 100, 200);
  const again = await other.namespace.open('/f');
  const part = new Uint8Array(100);
  await again.read(100, part);
  assert.ok(part.every((byte) => byte === 9));
  await again.close();
  await between.free();
  await file.close();
});

test('a region in two parts is mapped like any other', async () => {
  const regions = { metadata: inSegments(4 * MiB, MiB), data: inSegments(16 * MiB, 4 * MiB) };
  const transport = sharedArrayBuffer(regions);
  const options = { zeroed: true, lease: 1000, dataBytes: 16 * MiB };
  const { offset, bytes } = planDataRegion(planRegion(4 * MiB, options), new Uint8Array(16));
  const layout = { head: offset, from: 0, bytes, gates: 4096 };
  const url = 'sab:data?metadata=sab:metadata';
  const session = new PairSession(transport.open('sab:metadata', lane), transport.open('sab:data', lane), layout, url);
  runSync(format(4 * MiB, options), { session, surroundings });
  session.close();
  const pair = pairTransport({ metadata: transport, data: transport });
  await using client = await Client.open({ transport: pair, url, surroundings });
  const whole = client.windows();
  let position = 0;
  for (const window of whole) {
    assert.is(window.position, position);
    position += window.bytes.byteLength;
  }
  assert.is(position, 4 * MiB + bytes);
  const of = (buffers: readonly SharedArrayBuffer[]) =>
    whole.filter((window) => buffers.includes(window.bytes.buffer as SharedArrayBuffer)).length;
  assert.is(of(regions.metadata.segments) + of(regions.data.segments), whole.length);
  const allocation = await client.allocate(6 * MiB);
  assert.match((await refusal(allocation.map())).advice, /windows\(\)/);
  const windows = await allocation.windows();
  assert.ok(windows.every((window) => regions.data.segments.includes(window.bytes.buffer as SharedArrayBuffer)));
  for (const window of windows) window.bytes.fill(3);
  const back = new Uint8Array(6 * MiB);
  await allocation.read(0, back);
  assert.is(Buffer.compare(back, Buffer.alloc(6 * MiB, 3)), 0);
});

test('where memory is not shared it is said what to do instead', async () => {
  await using appliance = new Appliance();
  appliance.expose('default', new RegionMemory([new SharedArrayBuffer(16 * MiB)]));
  const address = await appliance.listen('127.0.0.1:0');
  const url = `tcp://127.0.0.1:${'port' in address ? address.port : 0}/default`;
  const session = await tcp().connect(url, lane);
  await runAsync(format(16 * MiB), { session, surroundings });
  await session.close();
  await using client = await Client.open({ transport: tcp(), url, surroundings });
  const allocation = await client.allocate(100);
  const file = await client.namespace.open('/f', { create: true });
  await file.write(20_000, pattern(10));
  const refused = [
    () => allocation.map(),
    () => allocation.windows(),
    () => file.map(),
    () => file.windows(),
    async () => client.windows(),
  ];
  for (const ask of refused) {
    const { code, advice } = await refusal(ask());
    assert.is(code, 'UnsupportedCapability');
    assert.match(advice, /read and write it; or mount the region/);
  }
  await file.close();
});

test.run();
