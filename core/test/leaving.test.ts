import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  type Awaitable,
  type BatchAnswer,
  type BatchOptions,
  type Capabilities,
  Client,
  ExomemError,
  ForwardingSession,
  format,
  type MemoryStep,
  runSync,
  type Transport,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('leaving');

/** A region that can go away: from then on every connection is refused. Hears what is tried on the main lane after that. */
class Vanishing implements Transport {
  readonly name = 'vanishing';
  readonly apiVersion = 1;
  readonly schemes = ['sab'];
  readonly tried: string[] = [];
  gone = false;
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  async connect(url: string, options: Parameters<Transport['connect']>[1]) {
    return new VanishingSession(await this.#inner.connect(url, options), this, options.lane);
  }

  try<T>(lane: number, what: string, go: () => T): T {
    if (!this.gone) return go();
    if (lane === 0) this.tried.push(what);
    throw new ExomemError('Disconnected', 'nobody listens');
  }
}

class VanishingSession extends ForwardingSession {
  readonly #region: Vanishing;
  readonly #lane: number;

  constructor(inner: ForwardingSession['inner'], region: Vanishing, lane: number) {
    super(inner);
    this.#region = region;
    this.#lane = lane;
  }
  /** As over a network: what waits before it tries again lets others go on. */
  override get capabilities(): Capabilities {
    return { ...super.capabilities, synchronous: false };
  }
  override load(offset: number): Awaitable<bigint> {
    return this.#region.try(this.#lane, 'load', () => super.load(offset));
  }
  override renew(): Awaitable<void> {
    return this.#region.try(this.#lane, 'renew', () => super.renew());
  }
  override read(offset: number, target: Uint8Array): Awaitable<void> {
    return this.#region.try(this.#lane, 'read', () => super.read(offset, target));
  }
  override write(offset: number, source: Uint8Array): Awaitable<void> {
    return this.#region.try(this.#lane, 'write', () => super.write(offset, source));
  }
  override compareExchange(offset: number, expected: bigint, desired: bigint): Awaitable<bigint> {
    return this.#region.try(this.#lane, 'compareExchange', () => super.compareExchange(offset, expected, desired));
  }
  override batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer> {
    return this.#region.try(this.#lane, 'batch', () => super.batch(steps, options));
  }
}

async function region() {
  const inner = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  // Nobody does anything for others within the time of a test.
  runSync(format(session.size, { zeroed: true, lease: 1_200_000, wait: 3_600_000 }), { session, surroundings });
  const transport = new Vanishing(inner);
  return { transport, open: () => Client.open({ transport, url: 'sab:r', surroundings }) };
}

test('a region that is gone is not said goodbye to; what is not published with it is told', async () => {
  const { transport, open } = await region();
  const [quiet, writer] = [await open(), await open()];
  await quiet.allocate(5000);
  const inode = await writer.namespace.create(1, 'f', { kind: 'file' });
  await writer.openFile(inode).write(0, new Uint8Array(10));
  transport.gone = true;
  assert.is(await code(quiet.close()), 'none');
  assert.is(await code(writer.close()), 'Disconnected');
  assert.equal([...new Set(transport.tried)].sort(), ['load', 'renew'], 'it is only looked whether it is there');
  assert.is(await code(quiet.allocate(1)), 'Closed');
});

test('what would be lost of a file is what is in no page that the log names, each byte once', async () => {
  const { open } = await region();
  await using client = await open();
  const inode = await client.namespace.create(1, 'f', { kind: 'file' });
  const file = client.openFile(inode);
  await file.write(0, new Uint8Array(5000));
  assert.is(file.unflushed, 5000);
  await file.write(100, new Uint8Array(50));
  assert.is(file.unflushed, 5000, 'written twice');
  await file.flush();
  assert.is(file.unflushed, 0);
  await file.write(0, new Uint8Array(4000));
  assert.is(file.unflushed, 0, 'in pages that it has');
  await file.write(4990, new Uint8Array(20));
  assert.is(file.unflushed, 10, 'longer, in a page that it has');
  await file.write(20_480, new Uint8Array(7));
  assert.is(file.unflushed, 17, 'longer, in a page of its own');
  await file.flush();
  await file.write(10_000, new Uint8Array(30));
  assert.is(file.unflushed, 30, 'in a hole');
  await file.close();
});

test('the target of a symbolic link is limited in bytes', async () => {
  const { open } = await region();
  await using client = await open();
  await client.namespace.symlink('é'.repeat(1024), '/longest');
  assert.is(await code(client.namespace.symlink(`${'é'.repeat(1024)}x`, '/longer')), 'NameTooLong');
  assert.is(await code(client.namespace.symlink('x'.repeat(2049), '/longer')), 'NameTooLong');
});

test.run();
