/**
 * Makes the images that the tests open with today's code, in the form that the format has now:
 *
 *   npm run golden -- --the-format-has-changed
 *
 * and the packages that an older client is:
 *
 *   npm run golden -- --packages
 *
 * The first may be used when docs/FORMAT.md changes on purpose, in the same commit, as long as the version of the format is 0 and
 * promises nothing. Images of a released version are never made again: code that cannot read them any more is wrong.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { format, formatVersion, pairTransport, runSync, Steward, type Transport } from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { MiB, open } from 'exomem';
import { saveRegion } from '../../src/image/save.js';
import { formatPair, metadataFile } from '../../src/serving/metadata.js';
import { surroundings } from '../../src/surroundings.js';
import { Folder } from '../fixtures/command.js';
import { accountOf } from './account.js';
import { makePackages } from './packages.js';

/** Where the images of a version are: among the sources, not among what was compiled. */
export const goldenFolder = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

/** The URL of a region in a file, and of one whose metadata is in a file beside that. */
export function fileUrl(path: string): string {
  return existsSync(metadataFile(path)) ? `file:${path}?metadata=file:${metadataFile(path)}` : `file:${path}`;
}

async function make(): Promise<void> {
  const folder = join(goldenFolder, `v${formatVersion}`);
  if (formatVersion > 0 && existsSync(folder)) {
    throw new Error(`version ${formatVersion} is released: its images stay as they are`);
  }
  if (!process.argv.includes('--the-format-has-changed')) {
    throw new Error(
      'these images hold the code to the format: add --the-format-has-changed if that was meant to change',
    );
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  using scratch = new Folder();
  for (const [name, { bytes, metadata }] of await lives(scratch)) {
    const path = scratch.at(name);
    const keep = (path: string, name: string, bytes: Uint8Array): void => {
      writeFileSync(path, bytes);
      writeFileSync(join(folder, `${name}.br`), brotliCompressSync(bytes));
    };
    keep(path, name, bytes);
    if (metadata !== undefined) keep(metadataFile(path), metadataFile(name), metadata);
    const account = await accountOf(fileUrl(path));
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(account, undefined, 1)}\n`);
  }
}

/** The bytes of a region; of one whose metadata lies apart, of both. */
interface Image {
  readonly bytes: Uint8Array;
  readonly metadata?: Uint8Array;
}

/** Where a region is made, and how its bytes are taken. */
interface Ground {
  readonly url: string;
  readonly transport: Transport;
  now(): Image;
}

const shape = { lease: 500, logSlots: 64, arenaBytes: 32 * 1024, memberSlots: 8, principalSlots: 16, zeroed: true };
const copyOf = (buffer: SharedArrayBuffer): Uint8Array => new Uint8Array(buffer).slice();

function inOnePiece(): Ground {
  const buffer = new SharedArrayBuffer(4 * MiB);
  const transport = sharedArrayBuffer({ r: [buffer] });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, shape), { session, surroundings });
  return { url: 'sab:r', transport, now: () => ({ bytes: copyOf(buffer) }) };
}

async function apart(): Promise<Ground> {
  const [data, metadata] = [new SharedArrayBuffer(3 * MiB), new SharedArrayBuffer(MiB)];
  const each = sharedArrayBuffer({ data: [data], metadata: [metadata] });
  const halves = { data: each, metadata: each };
  const url = 'sab:data?metadata=sab:metadata';
  await formatPair(url, halves, shape);
  return { url, transport: pairTransport(halves), now: () => ({ bytes: copyOf(data), metadata: copyOf(metadata) }) };
}

async function lives(scratch: Folder): Promise<[string, Image][]> {
  const divided = await life(await apart(), scratch);
  return [
    ...(await life(inOnePiece(), scratch)),
    ...divided.map(([name, image]): [string, Image] => [`apart-${name}`, image]),
  ];
}

/** A region that was lived in: while all are there, as it was saved just then, and when all have left. */
async function life({ url, transport, now }: Ground, scratch: Folder): Promise<[string, Image][]> {
  const enter = (label: string, role: 'member' | 'steward' = 'member') => open(url, { transport, label, role });

  const keeper = await enter('keeper', 'steward');
  const steward = new Steward(keeper.client);
  await (await enter('visitor')).close();
  await steward.round();
  const holder = await enter('holder');
  const writer = await enter('writer');
  await holder.allocate(300_000);
  const application = await holder.client.register({ keep: Number.POSITIVE_INFINITY });
  for (const [bytes, byte] of [
    [100_000, 11],
    [5000, 12],
  ] as const) {
    await (await application.allocate(bytes)).write(0, new Uint8Array(bytes).fill(byte));
  }
  await (await holder.client.register()).allocate(9000);
  await writer.files.mkdir('/dir');
  for (let number = 0; number < 50; number++) await writer.files.symlink('nowhere', `/dir/link${number}`);
  for (let number = 0; number < 45; number++) await writer.files.unlink(`/dir/link${number}`);
  await writer.writeFile('/dir/file', new Uint8Array(30_000).fill(1), { mode: 0o640 });
  await writer.client.snapshot();
  await writer.files.link('/dir/file', '/again');
  await writer.files.mkdir('/dir/Ünïcode "quoted"');
  await writer.files.setAttributes((await writer.files.statPath('/again')).inode, { uid: 1000, gid: 100, mtime: -1n });
  {
    await using sparse = await writer.open('/sparse', { create: true });
    await sparse.write(200_000, new Uint8Array(5000).fill(3));
    await sparse.truncate(202_000);
    await sparse.truncate(210_000);
  }
  await holder.allocate(20_000, { name: '/named' });
  await holder.allocate(20_000, { name: '/ends-with-its-owner', lifetime: 'owner' });
  const unnamed = await writer.open('/unnamed', { create: true });
  await unnamed.write(0, new Uint8Array(10_000).fill(2));
  await unnamed.flush();
  await writer.files.unlink('/unnamed');
  for (const memory of [keeper, holder, writer]) await memory.client.refresh();
  while (keeper.client.state.kept.size === 0) {
    await surroundings.sleep(10);
    await keeper.client.refresh();
  }
  const inUse = now();
  const path = scratch.at('saved');
  const options = { replace: true, signal: new AbortController().signal, onProgress: () => undefined };
  const saver = await enter('saver');
  await saveRegion(saver.client, path, options);
  await saver.close();
  await unnamed.close();
  for (const memory of [holder, writer]) await memory.close();
  for (let round = 0; round < 3; round++) await steward.round();
  await keeper.close();
  return [
    ['in-use', inUse],
    ['saved', { bytes: readFileSync(path) }],
    ['left', now()],
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv.includes('--packages')) console.log(`packed into ${await makePackages()}`);
    else {
      await make();
      console.log(`made in ${goldenFolder}: say in the commit what of the format has changed`);
    }
  } catch (error) {
    console.error(`golden: ${(error as Error).message}`);
    process.exitCode = 2;
  }
}
