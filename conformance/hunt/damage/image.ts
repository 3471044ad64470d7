import {
  atomic,
  Client,
  format,
  type Geometry,
  locked,
  message,
  type PairLayout,
  PairSession,
  pairTransport,
  planDataRegion,
  planRegion,
  runSync,
  type Session,
  Steward,
  type Transport,
} from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { surroundings } from 'exomem';

const MiB = 1024 * 1024;
const lane = { clientId: new Uint8Array(16), lane: 0 };
const shape = {
  lease: 20_000,
  logSlots: 64,
  arenaBytes: 32 * 1024,
  memberSlots: 6,
  principalSlots: 12,
  reserveGroups: 6,
} as const;

export const kinds = ['atomic', 'locked', 'message', 'apart'] as const;
export type Kind = (typeof kinds)[number];

/** Buffers that make a region: one, or that of the data and that of the metadata. */
type Buffers = readonly SharedArrayBuffer[];

/** The bytes of a region, in memory of this process. */
export class Copy {
  readonly session: Session;
  readonly transport: Transport;
  readonly url: string;
  readonly #buffers: Buffers;

  constructor({ kind, buffers, layout }: Image) {
    this.#buffers = buffers.map((buffer) => {
      const copy = new SharedArrayBuffer(buffer.byteLength);
      new Uint8Array(copy).set(new Uint8Array(buffer));
      return copy;
    });
    ({ session: this.session, transport: this.transport, url: this.url } = over(kind, this.#buffers, layout));
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.session.read(offset, bytes);
    return bytes;
  }
  load(offset: number): bigint {
    return this.session.load(offset) as bigint;
  }
  write(offset: number, bytes: Uint8Array): void {
    this.session.write(offset, bytes);
  }
  store(offset: number, word: bigint): void {
    this.session.compareExchange(offset, this.load(offset), word);
  }
}

/** A region that some have lived in. */
export interface Image {
  readonly kind: Kind;
  /** Who was there has left; else all look as if they went on. */
  readonly deserted: boolean;
  readonly geometry: Geometry;
  readonly buffers: Buffers;
  readonly layout: PairLayout | undefined;
}
function over(kind: Kind, buffers: Buffers, layout: PairLayout | undefined) {
  if (kind !== 'apart') {
    const transport = sharedArrayBuffer({ r: [buffers[0]!] });
    return { transport, url: 'sab:r', session: transport.open('sab:r', lane) };
  }
  const shared = sharedArrayBuffer({ data: [buffers[0]!], metadata: [buffers[1]!] });
  const url = 'sab:data?metadata=sab:metadata';
  const [metadata, data] = [shared.open('sab:metadata', lane), shared.open('sab:data', lane)];
  return {
    transport: pairTransport({ metadata: shared, data: shared }),
    url,
    session: new PairSession(metadata, data, layout!, url),
  };
}

/** Two images of each kind: with everybody there, and when all have left. */
export async function imagesOf(kind: Kind): Promise<Image[]> {
  const policy = { atomic, locked, message, apart: atomic }[kind];
  const buffers =
    kind === 'apart'
      ? [new SharedArrayBuffer(2 * MiB), new SharedArrayBuffer(2 * MiB)]
      : [new SharedArrayBuffer(3 * MiB)];
  const options = { ...shape, policy, zeroed: true };
  let layout: PairLayout | undefined;
  const all = kind === 'apart' ? { ...options, dataBytes: 2 * MiB } : options;
  const size = kind === 'apart' ? 2 * MiB : 3 * MiB;
  if (kind === 'apart') {
    const { offset, bytes } = planDataRegion(planRegion(size, all), new Uint8Array(16));
    layout = { head: offset, from: 0, bytes, gates: 4096 };
  }
  const { session, transport, url } = over(kind, buffers, layout);
  const { geometry } = runSync(format(size, all), { session, surroundings });
  const take = (deserted: boolean): Image => ({
    kind,
    deserted,
    geometry,
    buffers: buffers.map((buffer) => buffer.slice(0)),
    layout,
  });
  const open = (role: 'member' | 'steward', label: string) =>
    Client.open({ transport, url, surroundings, role, label });
  const keeper = await open('steward', 'steward');
  const steward = new Steward(keeper);
  await (await open('member', 'visitor')).close();
  await steward.round();
  const [holder, writer] = [await open('member', 'holder'), await open('member', 'writer')];
  await live(holder, writer, keeper);
  await settle([keeper, holder, writer]);
  const there = take(false);
  for (const client of [holder, writer, keeper]) await client.close();
  return [there, take(true)];
}

/** Memory, files, names of every kind, a snapshot, and a log in its second lap. */
async function live(holder: Client, writer: Client, keeper: Client): Promise<void> {
  await holder.allocate(200_000);
  const gap = await holder.allocate(1);
  await holder.allocate(20_000);
  await gap.free();
  const application = await holder.register({ keep: 60_000 });
  await application.allocate(70_000);
  const { namespace } = writer;
  await namespace.mkdir('/dir');
  for (let n = 0; n < 26; n++) await namespace.symlink('nowhere', `/dir/link${n}`);
  for (let n = 0; n < 24; n++) await namespace.unlink(`/dir/link${n}`);
  await put(writer, '/dir/file', 30_000, 1);
  await put(keeper, '/small', 10, 2);
  await writer.refresh();
  await writer.snapshot();
  await holder.refresh();
  await put(holder, '/dir/mine', 5000, 3);
  await writer.refresh();
  await namespace.link('/dir/file', '/again');
  await namespace.mkdir('/dir/deep');
  await namespace.rename('/small', '/dir/deep/small');
  await put(writer, '/dir/deep/late', 9000, 4);
  await using file = await namespace.open('/dir/file');
  await file.truncate(25_000);
}

async function put(client: Client, path: string, length: number, byte: number): Promise<void> {
  await using file = await client.namespace.open(path, { create: true });
  await file.write(0, new Uint8Array(length).fill(byte));
}

/** Until all have published that they look no longer at what was removed, and its pages are free. */
async function settle(clients: readonly Client[]): Promise<void> {
  const [keeper] = clients;
  for (let wait = 0; ; wait++) {
    for (const client of clients) {
      await client.refresh();
      await client.tidy();
    }
    const { members } = await keeper!.members();
    const end = keeper!.replica.index;
    const current = members.every(({ state, applied }) => state !== 2 || applied >= end);
    if (current && (await keeper!.usage()).withheld === keeper!.state.pages) return;
    if (wait === 500) throw new Error('the region does not come to rest');
    await surroundings.sleep(20);
  }
}
