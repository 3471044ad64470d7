import {
  arenaHalf,
  controlFields,
  crc32c,
  decodeRecord,
  decodeRoot,
  decodeSlot,
  decodeSnapshotHeader,
  decodeState,
  type FileOwner,
  type Geometry,
  isExomemError,
  type LogRecord,
  type Operation,
  recordLength,
  recordLimit,
  recordUnit,
  type SnapshotHeader,
  snapshotHeaderBytes,
} from '@exomem/core';
import { printable } from '../command/output.js';
import { type RegionImage, readWords } from '../image/region-image.js';
import { type Dump, hex, line, runsOf, span } from './line.js';

/** The root, the snapshot that it points at, and every slot of the log with its record. */
export async function* dumpLog(image: RegionImage, geometry: Geometry): Dump {
  const [root = 0n] = await readWords(image, geometry.controlOffset + controlFields.root, 1);
  const [lock = 0n] = await readWords(image, geometry.controlOffset + controlFields.lock, 1);
  const { version, page } = decodeRoot(root);
  yield line('root', `root: ${hex(root)} version ${version}, snapshot ${page === 0 ? 'none' : `at page ${page}`}`, {
    word: hex(root),
    version,
    page,
  });
  if (lock !== 0n && geometry.redoBytes === 0) yield line('lock', `lock: ${hex(lock)}`, { word: hex(lock) });
  if (page !== 0) yield* dumpSnapshot(image, geometry, page);
  const words = await readWords(image, geometry.logOffset, geometry.logSlots);
  // In the order of the log: the slots of the lap before come first.
  const slots = [...words].map((word, slot) => ({ word, slot, ...decodeSlot(word) }));
  const index = ({ lap, slot }: (typeof slots)[number]): number => lap * geometry.logSlots + slot;
  slots.sort((a, b) => index(a) - index(b));
  const empty = (a: (typeof slots)[number], b: (typeof slots)[number]): boolean =>
    a.address === 0 && b.address === 0 && index(b) - index(a) === b.slot - a.slot;
  for (const [at, count, slot] of runsOf(slots, empty)) {
    void at;
    if (slot.address === 0) {
      yield line('slots', `log ${span(index(slot), count)}: empty`, { index: index(slot), count });
      continue;
    }
    const record = await recordAt(image, slot.address * recordUnit, index(slot), slot.lap);
    const place = `${hex(slot.word)} lap ${slot.lap} at ${slot.address * recordUnit}`;
    const fields = { index: index(slot), word: hex(slot.word), lap: slot.lap, offset: slot.address * recordUnit };
    if (record === undefined) {
      yield line('damage', `log ${index(slot)}: ${place}: no record of this index and lap lies there`, fields);
    } else yield line('record', `log ${index(slot)}: ${place}: ${describeRecord(record)}`, { ...fields, ...record });
  }
}

/** What lies in one member's two halves of the record arena, whether a slot points at it or not. */
export async function* dumpArena(image: RegionImage, geometry: Geometry, slot: number): Dump {
  for (const incarnation of [0, 1]) {
    const half = arenaHalf(geometry, slot, incarnation);
    const bytes = await image.read(half.offset, half.length);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let at = 0; at + recordUnit <= bytes.length; at += recordUnit) {
      const piece = bytes.subarray(at, at + recordLimit);
      if (recordLength(piece) === 0) continue;
      const index = Number(view.getBigUint64(at + 8, true));
      const record = tolerant(() => decodeRecord(piece, index, view.getUint32(at + 16, true)));
      if (record === undefined) continue;
      const offset = half.offset + at;
      yield line('record', `at ${offset}: record of log ${index}: ${describeRecord(record)}`, { offset, ...record });
    }
  }
}

async function recordAt(
  image: RegionImage,
  offset: number,
  index: number,
  lap: number,
): Promise<LogRecord | undefined> {
  const first = await image.read(offset, 512);
  const length = first.length < 4 ? 0 : recordLength(first);
  if (length === 0) return undefined;
  const bytes = length > first.length ? await image.read(offset, length) : first;
  return tolerant(() => decodeRecord(bytes, index, lap));
}

function tolerant<T>(decode: () => T | undefined): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (isExomemError(error) || error instanceof RangeError) return undefined;
    throw error;
  }
}

async function* dumpSnapshot(image: RegionImage, geometry: Geometry, page: number): Dump {
  const bytes = await image.read(page * 4096, snapshotHeaderBytes);
  const header = bytes.length < snapshotHeaderBytes ? undefined : decodeSnapshotHeader(bytes);
  if (header === undefined) {
    yield line('damage', `snapshot at page ${page}: its header is damaged`, { page });
    return;
  }
  const { index, length, checksum, runs } = header;
  const where = runs.map(({ group, groups }) => `groups ${span(group, groups)}`).join(', ');
  yield line('snapshot', `snapshot: of everything before log ${index}, ${length} bytes in ${where}`, { ...header });
  const body = await readBody(image, geometry, header);
  if (body === undefined || crc32c(body) !== checksum) {
    yield line('damage', 'snapshot: its body does not fit its checksum', { page });
    return;
  }
  const state = tolerant(() => decodeState(body, geometry.pageSize, index));
  if (state === undefined) {
    yield line('damage', 'snapshot: its body cannot be read', { page });
    return;
  }
  for (const [principal, incarnation] of state.fences) {
    yield line('fence', `  principal ${principal} is fenced up to incarnation ${incarnation}`, {
      principal,
      incarnation,
    });
  }
  for (const inode of state.inodes.values()) {
    const { entries, ...fields } = inode;
    const names = entries && [...entries].map(([name, number]) => `${printable(name)}=${number}`).join(' ');
    const pages = inode.extents.map((extent) => `${extent.at}:${span(extent.page, extent.pages)}`).join(' ');
    yield line(
      'inode',
      `  inode ${inode.inode}: ${inode.kind} ${inode.mode.toString(8).padStart(4, '0')} size ${inode.size}` +
        `${pages && ` pages ${pages}`}${inode.owner ? ` owner ${describeValue('owner', inode.owner)}` : ''}${names ? ` names ${names}` : ''}${inode.target && ` -> ${printable(inode.target)}`}`,
      { ...fields, entries: entries && Object.fromEntries(entries) },
    );
  }
}

async function readBody(
  image: RegionImage,
  { dataOffset, groupPages, pageSize, regionBytes }: Geometry,
  { length, runs }: SnapshotHeader,
): Promise<Uint8Array | undefined> {
  if (length > regionBytes) return undefined;
  const body = new Uint8Array(length);
  let at = 0;
  for (const [number, { group, groups }] of runs.entries()) {
    const skip = number === 0 ? snapshotHeaderBytes : 0;
    const start = dataOffset + group * groupPages * pageSize + skip;
    const bytes = await image.read(start, Math.min(groups * groupPages * pageSize - skip, length - at));
    body.set(bytes, at);
    at += bytes.length;
  }
  return at === length ? body : undefined;
}

function describeRecord({ author, incarnation, sequence, operations }: LogRecord): string {
  return `principal ${author} incarnation ${incarnation} no. ${sequence}: ${operations.map(describeOperation).join('; ')}`;
}

function describeOperation(operation: Operation): string {
  const { op, ...rest } = operation;
  const fields = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name}=${describeValue(name, value)}`);
  return `${op} ${fields.join(' ')}`;
}

function describeValue(name: string, value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(printable(value));
  if (name === 'mode') return `0${(value as number).toString(8)}`;
  if (name === 'owner') return `${(value as FileOwner).principal}.${(value as FileOwner).incarnation}`;
  if (!Array.isArray(value)) return String(value);
  return `[${value
    .map((one) => ('at' in one ? `${one.at}:${span(one.page, one.pages)}` : `${one.from}-${one.to}`))
    .join(' ')}]`;
}
