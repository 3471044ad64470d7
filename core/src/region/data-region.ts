import { ExomemError } from '../errors.js';
import { crc32c } from './crc32c.js';
import { dataHeaderBytes, type Geometry, userGroups } from './geometry.js';
import type { Superblock } from './superblock.js';

/**
 * A data region: where the data of a region lies if its metadata lies elsewhere. In the address space of the whole the
 * metadata region comes first, up to `offset`; then the data region; then the rest of the metadata region, with the reserve and
 * the copy of the superblock. So all offsets mean what they mean in a region of one piece.
 */
export interface DataRegion {
  /** 16 bytes, new with each format. */
  readonly uuid: Uint8Array;
  /** Where its first byte lies in the address space of the whole. */
  readonly offset: number;
  /** Bytes of it that are used. */
  readonly bytes: number;
}

/** In a data region: where the words of its members begin, one for each slot. See `pair/gate.ts`. */
export const gateOffset = dataHeaderBytes;

/** "exomemda", little-endian. */
export const dataMagic = 0x6164_6d65_6d6f_7865n;
const stateAt = 16;
const crcAt = dataHeaderBytes - 4;

/** What a data region takes of the address space of a geometry that was planned for one. */
export function planDataRegion(geometry: Geometry, uuid: Uint8Array): DataRegion {
  const { memberSlots, groupPages, pageSize, dataOffset } = geometry;
  const unit = Math.max(groupPages * pageSize, 4096);
  const before = Math.ceil((gateOffset + memberSlots * 8) / unit) * unit;
  return {
    uuid,
    offset: dataOffset - before,
    bytes: before + userGroups(geometry) * groupPages * pageSize,
  };
}

/** The first 4,096 bytes of a data region, with a state word of 0. */
export function encodeDataHeader(block: Superblock): Uint8Array {
  const { data, geometry, uuid, version, created } = block;
  const bytes = new Uint8Array(dataHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, dataMagic, true);
  view.setUint32(8, version, true);
  view.setUint32(12, dataHeaderBytes, true);
  bytes.set(data!.uuid.subarray(0, 16), 48);
  bytes.set(uuid.subarray(0, 16), 64);
  view.setBigUint64(80, BigInt(data!.bytes), true);
  view.setBigUint64(88, BigInt(gateOffset), true);
  view.setBigUint64(96, BigInt(geometry.memberSlots), true);
  view.setBigUint64(104, created, true);
  view.setUint32(crcAt, crcOf(bytes), true);
  return bytes;
}

/** Why these first bytes are not those of the data region that a superblock names; undefined: they are. */
export function refusalOfData(bytes: Uint8Array, block: Superblock): ExomemError | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wrong = (what: string): ExomemError =>
    new ExomemError('Incompatible', what, {
      advice: 'open the metadata region together with the data region that it was formatted with',
    });
  if (view.getBigUint64(0, true) !== dataMagic) return wrong('what should be the data region does not begin as one');
  const own = uuidText(bytes.subarray(48, 64));
  const owner = uuidText(bytes.subarray(64, 80));
  if (own !== uuidText(block.data!.uuid) || owner !== uuidText(block.uuid)) {
    return wrong(
      `the data region ${own} belongs to the region ${owner}, not to ${uuidText(block.uuid)}, whose data is in ${uuidText(block.data!.uuid)}`,
    );
  }
  const state = view.getBigUint64(stateAt, true);
  if (state !== 2n) {
    return new ExomemError('NotFormatted', 'somebody has begun to format the data region for another region', {
      advice: 'what was in it is lost: format both anew',
    });
  }
  const wanted = encodeDataHeader(block);
  if (view.getUint32(crcAt, true) !== crcOf(bytes) || !sameBut(bytes, wanted)) {
    return new ExomemError('Damaged', 'the header of the data region is damaged');
  }
  return undefined;
}

/** What a region that begins like this says of itself if it is a data region; undefined: it is none. */
export function describeData(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getBigUint64(0, true) !== dataMagic) return undefined;
  return `this is the data region ${uuidText(bytes.subarray(48, 64))}, whose metadata lies in the region ${uuidText(bytes.subarray(64, 80))}`;
}

/** 16 bytes as one writes them. */
export function uuidText(uuid: Uint8Array): string {
  const hex = Array.from(uuid.subarray(0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function sameBut(bytes: Uint8Array, wanted: Uint8Array): boolean {
  return wanted.every((byte, at) => byte === bytes[at] || (at >= stateAt && at < stateAt + 8));
}

function crcOf(bytes: Uint8Array): number {
  const before = crc32c(bytes.subarray(0, stateAt));
  return crc32c(bytes.subarray(stateAt + 8, crcAt), before);
}
