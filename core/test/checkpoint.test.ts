import { assert, suite } from '@exomem/testing';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { imageOf, judge } from '../src/audit/index.js';
import { Checkpoint, Client, type FormatOptions, format, RegionMemory, runSync, Steward } from '../src/index.js';
import { surroundings } from './surroundings.js';

const MiB = 1024 * 1024;
const test = suite('checkpoint');

/** A region in a buffer, and clients of it. */
class Region implements AsyncDisposable {
  readonly #clients: Client[] = [];

  constructor(readonly buffer: SharedArrayBuffer) {}

  static make(options: FormatOptions = {}): Region {
    const buffer = new SharedArrayBuffer(8 * MiB);
    const session = sharedArrayBuffer({ r: [buffer] }).open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
    const shape = { lease: 20_000, logSlots: 64, arenaBytes: 32 * 1024, memberSlots: 8, principalSlots: 16 };
    runSync(format(session.size, { ...shape, zeroed: true, ...options }), { session, surroundings });
    return new Region(buffer);
  }

  async open(label: string, role: 'member' | 'steward' = 'member'): Promise<Client> {
    const transport = sharedArrayBuffer({ r: [this.buffer] });
    const client = await Client.open({ transport, url: 'sab:r', surroundings, role, label });
    this.#clients.push(client);
    return client;
  }

  /** What is wrong with it. */
  damage(options: { atRest?: boolean } = {}) {
    const findings = judge(imageOf(new RegionMemory([this.buffer])), undefined, options);
    return findings.filter(({ severity }) => severity === 'damage');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients.reverse()) await client.close();
  }
}

/** Copies a checkpoint as a program would: the pages, then what else there is. */
async function copyOf(checkpoint: Checkpoint, between: () => Promise<void> = async () => undefined): Promise<Region> {
  const buffer = new SharedArrayBuffer(8 * MiB);
  const memory = new RegionMemory([buffer]);
  for (const { page, pages } of checkpoint.pages) {
    const bytes = new Uint8Array(pages * checkpoint.pageSize);
    await checkpoint.read(checkpoint.offsetOf(page), bytes);
    memory.write(checkpoint.offsetOf(page), bytes);
    await between();
  }
  for (const { offset, bytes } of await checkpoint.finish()) memory.write(offset, bytes);
  return new Region(buffer);
}

async function write(client: Client, path: string, bytes: Uint8Array): Promise<void> {
  await using file = await client.namespace.open(path, { create: true, truncate: true });
  await file.write(0, bytes);
}
async function contents(client: Client, path: string): Promise<Uint8Array> {
  await using file = await client.namespace.open(path);
  const bytes = new Uint8Array(file.size);
  await file.read(0, bytes);
  return bytes;
}
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);

test('it is a region of its own: clean, with names, files and kept applications, and without anybody', async () => {
  await using region = Region.make();
  const writer = await region.open('writer');
  await writer.namespace.mkdir('/dir');
  await write(writer, '/dir/file', filled(100_000, 7));
  await writer.namespace.link('/dir/file', '/again');
  await writer.namespace.symlink('dir/file', '/link');
  await writer.allocate(50_000);
  const application = await writer.register({ keep: 60_000 });
  const memory = await application.allocate(200_000);
  await memory.write(0, filled(200_000, 9));
  const passing = await writer.register();
  await passing.allocate(5000);
  const saver = await region.open('saver');
  using checkpoint = await Checkpoint.begin(saver);
  await using copy = await copyOf(checkpoint);
  assert.equal(copy.damage(), []);

  const keeper = await copy.open('keeper', 'steward');
  const steward = new Steward(keeper);
  for (let round = 0; round < 3; round++) await steward.round();
  assert.equal(copy.damage({ atRest: true }), []);
  assert.ok((await contents(keeper, '/dir/file')).every((byte) => byte === 7));
  assert.is((await keeper.namespace.statPath('/again')).links, 2);
  assert.is(await keeper.namespace.readlink('/link'), 'dir/file');
  const { held, withheld } = await keeper.usage();
  assert.is(held, Math.ceil(200_000 / 4096));
  assert.ok(withheld >= Math.ceil(100_000 / 4096));
  const { principals } = await keeper.members();
  const kept = principals.find(({ principal }) => principal === application.principal);
  assert.equal([kept?.state, kept?.policy], [2, 6]);
  // It goes on from there, and so does the one that it was taken of.
  const newcomer = await copy.open('newcomer');
  await write(newcomer, '/dir/file', filled(5000, 3));
  await newcomer.namespace.unlink('/again');
  await newcomer.close();
  for (let round = 0; round < 3; round++) await steward.round();
  await keeper.tidy();
  assert.equal(copy.damage({ atRest: true }), []);
  assert.ok((await contents(writer, '/again')).every((byte) => byte === 7));
  assert.equal(region.damage(), []);
});

test('what is named when it begins is in it, whatever becomes of it while it is read', async () => {
  await using region = Region.make();
  const writer = await region.open('writer');
  for (let number = 0; number < 20; number++) await write(writer, `/f${number}`, filled(9000, number + 1));
  const application = await writer.register({ keep: 60_000 });
  const stays = await application.allocate(30_000);
  const goes = await application.allocate(30_000);
  for (const memory of [stays, goes]) await memory.write(0, filled(30_000, 77));
  const saver = await region.open('saver');
  using checkpoint = await Checkpoint.begin(saver);
  let turn = 0;
  await using copy = await copyOf(checkpoint, async () => {
    const number = turn++;
    if (number < 20) {
      await writer.namespace.unlink(`/f${19 - number}`);
      await write(writer, `/new${number}`, filled(9000, 100));
    }
    // Time enough for all to publish what they have applied, and to use what is free again.
    if (number === 8) await surroundings.sleep(1500);
    if (number === 5) await goes.free();
    await writer.tidy();
  });
  assert.equal(copy.damage(), []);
  const reader = await copy.open('reader');
  assert.equal(
    (await reader.namespace.list('/')).map(({ name }) => name),
    Array.from({ length: 20 }, (_, number) => `f${number}`).sort(),
  );
  for (let number = 0; number < 20; number++) {
    const bytes = await contents(reader, `/f${number}`);
    assert.is(bytes.length, 9000);
    assert.ok(
      bytes.every((byte) => byte === number + 1),
      `f${number}`,
    );
  }
  const { held } = await reader.usage();
  assert.is(held, Math.ceil(30_000 / 4096));
});

test('files without a name are not in it, and their pages are free', async () => {
  await using region = Region.make();
  const writer = await region.open('writer');
  await write(writer, '/open', filled(40_000, 5));
  const file = await writer.namespace.open('/open');
  await writer.namespace.unlink('/open');
  await writer.refresh();
  const saver = await region.open('saver');
  using checkpoint = await Checkpoint.begin(saver);
  assert.is(checkpoint.files, 0);
  await using copy = await copyOf(checkpoint);
  const reader = await copy.open('reader', 'steward');
  const steward = new Steward(reader);
  for (let round = 0; round < 3; round++) await steward.round();
  assert.equal(copy.damage({ atRest: true }), []);
  assert.is((await reader.usage()).held, 0);
  await file.close();
});

test('who only looks cannot take one', async () => {
  await using region = Region.make();
  const transport = sharedArrayBuffer({ r: [region.buffer] });
  await using observer = await Client.open({ transport, url: 'sab:r', surroundings, role: 'observer' });
  try {
    await Checkpoint.begin(observer);
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code?: string }).code, 'PermissionDenied');
  }
});

test.run();
