import { ExomemError } from '../errors.js';
import { crc32c } from './crc32c.js';
import { type DataRegion, describeData, planDataRegion } from './data-region.js';
import type { Geometry } from './geometry.js';
import { leastRedoBytes, superblockBytes } from './geometry.js';
import { mailboxTableBytes } from './mailboxes.js';

/** Everything that a region says of itself. docs/FORMAT.md has it to the byte. */
export interface Superblock {
  readonly version: number;
  readonly compat: bigint;
  readonly incompat: bigint;
  readonly roCompat: bigint;
  /** 16 bytes, new with each format. */
  readonly uuid: Uint8Array;
  readonly geometry: Geometry;
  /** Milliseconds that a heartbeat lasts. */
  readonly lease: number;
  /** Milliseconds that a step may be under way at most. */
  readonly delay: number;
  /** Parts in a million that clocks may run apart. */
  readonly drift: number;
  /** Milliseconds for which an observer must see a member word stand still before it fences it. */
  readonly wait: number;
  /** Nanoseconds since 1970. */
  readonly created: bigint;
  /** The region that its data lies in, if that is another one. */
  readonly data?: DataRegion | undefined;
  /**
   * Only of the message variant: member numbers are configured rather than won, and nothing at all is changed by
   * compareExchange. Default false.
   */
  readonly configured?: boolean;
  /** The name of the policy that rules it, where that is none of the format's own. */
  readonly policy?: string;
}

export const formatVersion = 0;
/**
 * Compatible features. `wipe`: free pages are zero. Whoever knows it zeroes pages before it frees them, and whoever looks after
 * the region zeroes what others, or the dead, have left.
 */
export const compatible = { wipe: 1n } as const;
/** Incompatible features: exactly one of the coordination variants is set; `custom` is that of the policy that is named. */
export const incompatible = {
  atomic: 1n,
  locked: 2n,
  message: 4n,
  separateMetadata: 8n,
  growth: 16n,
  custom: 32n,
} as const;
const variants = incompatible.atomic | incompatible.locked | incompatible.message | incompatible.custom;
const knownIncompat = variants | incompatible.separateMetadata;

/** The coordination variant among incompatible features: the one bit, or 0n if there is none, or more than one. */
export function variantOf(incompat: bigint): bigint {
  const bits = incompat & variants;
  return (bits & (bits - 1n)) === 0n ? bits : 0n;
}
const knownRoCompat = 0n;

/** The same region with its data in itself: where everything lies stays as it is, and the header is a gap. */
export function inOnePiece({ data, ...block }: Superblock): Superblock {
  return data === undefined ? block : { ...block, incompat: block.incompat & ~incompatible.separateMetadata };
}

export const superblockState = { none: 0, formatting: 1, ready: 2 } as const;
/**
 * The state word: `{nonce:60 | state:4}`, the nonce of who formats while somebody does, else 0. It changes by
 * compareExchange and is not in the CRC.
 */
export const stateOffset = 16;
const magic = 0x6d65_6d6f_7865n; // "exomem" and two zeros, little-endian
const crcOffset = superblockBytes - 4;
const policyOffset = 224;
/** Bytes that the name of a policy has room in. */
export const policyNameBytes = 32;

/** Whether a region can say that a policy of that name rules it: printable ASCII without spaces, at most 32 characters. */
export function isPolicyName(name: unknown): name is string {
  return typeof name === 'string' && name.length <= policyNameBytes && /^[!-~]+$/.test(name);
}

const geometryFields: readonly (readonly [keyof Geometry, number])[] = [
  ['regionBytes', 64],
  ['pageSize', 72],
  ['groupPages', 80],
  ['groupCount', 88],
  ['reserveGroups', 96],
  ['memberSlots', 104],
  ['principalSlots', 112],
  ['logSlots', 120],
  ['arenaBytes', 128],
  ['controlOffset', 136],
  ['memberOffset', 144],
  ['principalOffset', 152],
  ['groupOffset', 160],
  ['logOffset', 168],
  ['arenaOffset', 176],
  ['dataOffset', 184],
  ['copyOffset', 192],
  ['redoOffset', 352],
  ['redoBytes', 360],
  ['mailboxOffset', 320],
  ['mailboxBytes', 328],
];
/** 1 where member numbers are configured, else 0. */
const configuredOffset = 336;

const pairAdvice = 'open both as one: tcp://DATA/REGION?metadata=tcp://METADATA/REGION';

/** The 4,096 bytes of a superblock whose state word is 0. */
export function encodeSuperblock(block: Superblock): Uint8Array {
  const bytes = new Uint8Array(superblockBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, magic, true);
  view.setUint32(8, block.version, true);
  view.setUint32(12, superblockBytes, true);
  view.setBigUint64(24, block.compat, true);
  view.setBigUint64(32, block.incompat, true);
  view.setBigUint64(40, block.roCompat, true);
  bytes.set(block.uuid.subarray(0, 16), 48);
  for (const [field, at] of geometryFields) view.setBigUint64(at, BigInt(block.geometry[field]), true);
  view.setUint32(200, block.lease, true);
  view.setUint32(204, block.delay, true);
  view.setUint32(208, block.drift, true);
  view.setUint32(212, block.wait, true);
  view.setBigUint64(216, block.created, true);
  if (block.data !== undefined) {
    bytes.set(block.data.uuid.subarray(0, 16), 256);
    view.setBigUint64(272, BigInt(block.data.bytes), true);
    view.setBigUint64(280, BigInt(block.data.offset), true);
  }
  if (block.configured) view.setBigUint64(configuredOffset, 1n, true);
  if (block.policy !== undefined) bytes.set(new TextEncoder().encode(block.policy), policyOffset);
  view.setUint32(crcOffset, crcOf(bytes), true);
  return bytes;
}

/** What {@link decodeSuperblock} found, beside the block itself. */
export interface DecodedSuperblock {
  readonly block: Superblock;
  /** It has a ro-compat feature that this version does not know: look, do not touch. */
  readonly readOnly: boolean;
}

/**
 * Reads a superblock and judges whether this version may use the region.
 * @param size bytes that the region really has
 * @throws `NotFormatted` (no magic, or never finished), `Damaged` (CRC, impossible geometry), `Incompatible`.
 */
export function decodeSuperblock(bytes: Uint8Array, size: number): DecodedSuperblock {
  if (bytes.byteLength < superblockBytes) {
    throw new ExomemError('NotFormatted', `${bytes.byteLength} bytes are no superblock`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const part = describeData(bytes);
  if (part !== undefined) throw new ExomemError('Incompatible', part, { advice: pairAdvice });
  if (view.getBigUint64(0, true) !== magic) {
    throw new ExomemError('NotFormatted', 'the region does not begin with a superblock of exomem');
  }
  const version = view.getUint32(8, true);
  if (version !== formatVersion) {
    throw new ExomemError(
      'Incompatible',
      `the region has format version ${version}; this is for version ${formatVersion}`,
    );
  }
  const state = view.getBigUint64(stateOffset, true);
  if (Number(state & 15n) < superblockState.ready) {
    throw new ExomemError('NotFormatted', 'the format of the region was begun and never finished', {
      advice: 'wait if somebody is at it now, else format it again',
    });
  }
  if (state !== BigInt(superblockState.ready)) {
    throw new ExomemError('Damaged', `the state of the region is 0x${state.toString(16)}, which is none`);
  }
  if (crcOf(bytes) !== view.getUint32(crcOffset, true)) {
    throw new ExomemError('Damaged', 'the checksum of the superblock does not fit', {
      advice: 'the region ends with a copy of it; do not write to the region before it is mended',
    });
  }
  const incompat = view.getBigUint64(32, true);
  if ((incompat & ~knownIncompat) !== 0n || variantOf(incompat) === 0n) {
    throw new ExomemError(
      'Incompatible',
      `the region uses features this version does not know: 0x${incompat.toString(16)}`,
    );
  }
  const block = fieldsOf(bytes);
  if (block.data !== undefined && block.geometry.regionBytes > size) {
    throw new ExomemError('Incompatible', 'this is a metadata region, whose data lies in another region', {
      advice: pairAdvice,
    });
  }
  checkGeometry(block.geometry, size);
  checkDataRegion(block);
  if (variantOf(incompat) === incompatible.custom && !isPolicyName(block.policy)) {
    throw new ExomemError('Damaged', 'the superblock does not name the policy that rules the region');
  }
  return { block, readOnly: (block.roCompat & ~knownRoCompat) !== 0n };
}

/** What a superblock says, whether it can be believed or not. For whoever looks at a damaged region. */
export interface ExaminedSuperblock {
  readonly block: Superblock;
  readonly state: number;
  readonly nonce: bigint;
  /** Why the region is refused, if it is. */
  readonly refusal: ExomemError | undefined;
  /** Every table lies within the region, and none over another: it can be looked at. */
  readonly geometryFits: boolean;
}

/** Reads a superblock as far as it goes. Undefined: these bytes are none. */
export function examineSuperblock(bytes: Uint8Array, size: number): ExaminedSuperblock | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < superblockBytes || view.getBigUint64(0, true) !== magic) return undefined;
  const word = view.getBigUint64(stateOffset, true);
  const block = fieldsOf(bytes);
  const refusalOf = (check: () => unknown): ExomemError | undefined => {
    try {
      check();
    } catch (error) {
      if (error instanceof ExomemError) return error;
      throw error;
    }
    return undefined;
  };
  return {
    block,
    state: Number(word & 15n),
    nonce: word >> 4n,
    refusal: refusalOf(() => decodeSuperblock(bytes, size)),
    geometryFits:
      refusalOf(() => {
        checkGeometry(block.geometry, size);
        checkDataRegion(block);
      }) === undefined,
  };
}

function fieldsOf(bytes: Uint8Array): Superblock {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const geometry = {} as Record<keyof Geometry, number>;
  for (const [field, at] of geometryFields) geometry[field] = Number(view.getBigUint64(at, true));
  const incompat = view.getBigUint64(32, true);
  return {
    version: view.getUint32(8, true),
    compat: view.getBigUint64(24, true),
    incompat,
    roCompat: view.getBigUint64(40, true),
    uuid: bytes.slice(48, 64),
    geometry,
    lease: view.getUint32(200, true),
    delay: view.getUint32(204, true),
    drift: view.getUint32(208, true),
    wait: view.getUint32(212, true),
    created: view.getBigUint64(216, true),
    ...(view.getBigUint64(configuredOffset, true) === 1n ? { configured: true } : {}),
    ...((incompat & incompatible.separateMetadata) === 0n ? {} : { data: dataOf(bytes, view) }),
    ...(variantOf(incompat) === incompatible.custom ? { policy: policyNameOf(bytes) } : {}),
  };
}

function dataOf(bytes: Uint8Array, view: DataView): DataRegion {
  return {
    uuid: bytes.slice(256, 272),
    bytes: Number(view.getBigUint64(272, true)),
    offset: Number(view.getBigUint64(280, true)),
  };
}

/** A data region begins behind the tables, and ends with the last page that is not of the reserve. */
function checkDataRegion({ data, geometry }: Superblock): void {
  if (data === undefined) return;
  const planned = planDataRegion(geometry, data.uuid);
  const { arenaOffset, memberSlots, arenaBytes, redoOffset, redoBytes, mailboxOffset, mailboxBytes } = geometry;
  const tables = Math.max(
    arenaOffset + memberSlots * arenaBytes,
    redoOffset + memberSlots * redoBytes,
    mailboxOffset + mailboxBytes,
  );
  if (data.offset !== planned.offset || data.offset < tables) throw damagedGeometry('data region', data.offset);
  if (data.bytes !== planned.bytes) throw damagedGeometry('length of the data region', data.bytes);
}

function policyNameOf(bytes: Uint8Array): string {
  const field = bytes.subarray(policyOffset, policyOffset + policyNameBytes);
  // Zeros follow, and nothing but zeros: what is left of them makes it no name.
  return String.fromCharCode(...field).replace(/\0+$/, '');
}

function checkGeometry(g: Geometry, size: number): void {
  for (const [field] of geometryFields) if (!Number.isSafeInteger(g[field])) throw damagedGeometry(field, g[field]);
  if (g.regionBytes > size) {
    throw new ExomemError(
      'Damaged',
      `the region has ${g.regionBytes} bytes, and ${size} of them are there: the rest is cut off`,
    );
  }
  if (g.pageSize < 4096 || (g.pageSize & (g.pageSize - 1)) !== 0) throw damagedGeometry('pageSize', g.pageSize);
  if (g.groupPages < 1 || g.groupPages > 16) throw damagedGeometry('groupPages', g.groupPages);
  if (g.memberSlots < 1 || g.memberSlots > 65_535) throw damagedGeometry('memberSlots', g.memberSlots);
  if (g.principalSlots < 1 || g.principalSlots > 65_535) throw damagedGeometry('principalSlots', g.principalSlots);
  if (g.logSlots < 4 || g.logSlots > 2 ** 19) throw damagedGeometry('logSlots', g.logSlots);
  if (g.redoBytes === 0 ? g.redoOffset !== 0 : g.redoBytes < leastRedoBytes || g.redoBytes % 128 !== 0) {
    throw damagedGeometry('redoBytes', g.redoBytes);
  }
  if (g.mailboxBytes !== (g.mailboxOffset === 0 ? 0 : mailboxTableBytes(g.memberSlots))) {
    throw damagedGeometry('mailboxBytes', g.mailboxBytes);
  }
  const order: readonly (readonly [string, number])[] = [
    ['controlOffset', g.controlOffset],
    ['memberOffset', g.memberOffset],
    ['principalOffset', g.principalOffset],
    ['groupOffset', g.groupOffset],
    ['logOffset', g.logOffset],
    ['arenaOffset', g.arenaOffset],
    ...(g.redoBytes === 0 ? [] : [['redoOffset', g.redoOffset] as const]),
    ...(g.mailboxBytes === 0 ? [] : [['mailboxOffset', g.mailboxOffset] as const]),
    ['dataOffset', g.dataOffset],
    ['copyOffset', g.copyOffset],
  ];
  const lengths = [
    4096,
    g.memberSlots * 256,
    (g.principalSlots + 1) * 8,
    g.groupCount * 8,
    g.logSlots * 8,
    g.memberSlots * g.arenaBytes,
    ...(g.redoBytes === 0 ? [] : [g.memberSlots * g.redoBytes]),
    ...(g.mailboxBytes === 0 ? [] : [g.mailboxBytes]),
    g.groupCount * g.groupPages * g.pageSize,
    superblockBytes,
  ];
  let end = superblockBytes;
  for (const [index, [field, at]] of order.entries()) {
    if (at < end || at % 8 !== 0) throw damagedGeometry(field, at);
    end = at + lengths[index]!;
  }
  if (end > g.regionBytes) throw damagedGeometry('copyOffset', g.copyOffset);
  if (g.reserveGroups >= g.groupCount) throw damagedGeometry('reserveGroups', g.reserveGroups);
}

function damagedGeometry(field: string, value: number | bigint): ExomemError {
  return new ExomemError('Damaged', `the superblock has an impossible ${field}: ${value}`);
}

function crcOf(bytes: Uint8Array): number {
  const before = crc32c(bytes.subarray(0, stateOffset));
  return crc32c(bytes.subarray(stateOffset + 8, crcOffset), before);
}
