import { ExomemError } from '../errors.js';
import { mailboxTableBytes } from './mailboxes.js';

/** Where everything lies in a region. Offsets and lengths in bytes. The superblock carries all of it. */
export interface Geometry {
  /** Bytes of the region that the format uses. */
  readonly regionBytes: number;
  readonly pageSize: number;
  /** Pages in a group, at most 16. */
  readonly groupPages: number;
  readonly groupCount: number;
  /** The last so many groups take snapshots of the namespace and nothing else. */
  readonly reserveGroups: number;
  readonly memberSlots: number;
  readonly principalSlots: number;
  readonly logSlots: number;
  /** Each member slot's record arena: two halves, for even and odd incarnations. */
  readonly arenaBytes: number;
  readonly controlOffset: number;
  readonly memberOffset: number;
  readonly principalOffset: number;
  readonly groupOffset: number;
  readonly logOffset: number;
  readonly arenaOffset: number;
  /** Each member slot's room for what it does under the lock, where there is one; else both are 0. */
  readonly redoOffset: number;
  readonly redoBytes: number;
  /** The mailboxes of the message variant; else both are 0. */
  readonly mailboxOffset: number;
  readonly mailboxBytes: number;
  /** Where page 0 of group 0 lies. */
  readonly dataOffset: number;
  /** The second copy of the superblock. */
  readonly copyOffset: number;
}

/** What a format may choose; what is left out follows from the size. */
export interface GeometryOptions {
  pageSize?: number;
  groupPages?: number;
  reserveGroups?: number;
  memberSlots?: number;
  principalSlots?: number;
  logSlots?: number;
  arenaBytes?: number;
  /** Of the lock variant alone. */
  redoBytes?: number;
  /**
   * Bytes of a region of its own that the data lies in. Then the size is that of the metadata region, which has the tables,
   * and in what they leave the reserve.
   */
  dataBytes?: number | undefined;
  /** Of the message variant alone. */
  mailboxes?: boolean;
}

export const superblockBytes = 4096;
export const memberStride = 256;
/** In a member's line: w1, the identity, the `wanted` word. */
export const memberFields = { w0: 0, w1: 64, identity: 128, wanted: 192 } as const;
/** In the control page: the root of the namespace, and the lock of the lock variant. */
export const controlFields = { root: 0, lock: 64 } as const;
/** The least that a redo slot has: two places, of a header and some exchanges. */
export const leastRedoBytes = 256;
export const recordLimit = 4096;
export const recordUnit = 64;
/** Bytes that the page number in the root, and the address in a log slot, can reach: 256 TiB. */
export const largestRegion = 2 ** 48;

/** In a data region of its own: the header, then a word for each member slot; see `region/data-region.ts`. */
export const dataHeaderBytes = 4096;

/** Room for two snapshots of some three million files. */
const reserveLimit = 512 * 1024 * 1024;
const KiB = 1024;
const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/**
 * Lays a region out.
 * @param size bytes of the region
 * @throws `OutOfRange` if a number is no sensible one or the region is too small for its tables and one group.
 */
export function planGeometry(size: number, options: GeometryOptions = {}): Geometry {
  integer('size of the region', size, 1, largestRegion);
  const { dataBytes } = options;
  const total = dataBytes === undefined ? size : integer('size of the data region', dataBytes, 1, largestRegion - size);
  const pageSize = options.pageSize ?? (total <= 16 * GiB ? 4 * KiB : 64 * KiB);
  integer('page size', pageSize, 4 * KiB, 2048 * KiB);
  if ((pageSize & (pageSize - 1)) !== 0)
    throw new ExomemError('OutOfRange', `a page size of ${pageSize} is no power of two`);
  const groupPages = integer('pages of a group', options.groupPages ?? 16, 1, 16);
  const small = total < 64 * 1024 * KiB;
  const memberSlots = integer(
    'number of member slots',
    options.memberSlots ?? (small ? 16 : total <= 4 * GiB ? 64 : total <= 64 * GiB ? 128 : 256),
    2,
    65_535,
  );
  const principalSlots = integer('number of principals', options.principalSlots ?? memberSlots * 4, 2, 65_535);
  const logSlots = integer(
    'number of log slots',
    options.logSlots ?? clamp(powerOfTwo(Math.min(total / (64 * KiB), size / 128)), 64, 65_536),
    4,
    2 ** 19,
  );
  const arenaBytes = integer(
    'bytes of a record arena',
    options.arenaBytes ??
      // Data apart: the tables have the metadata region to themselves.
      clamp(powerOfTwo(Math.min(total / 32, size / 4) / memberSlots), 4 * recordLimit, 4096 * KiB),
    2 * recordLimit,
    2 ** 30,
  );
  if (arenaBytes % (2 * recordUnit) !== 0)
    throw new ExomemError('OutOfRange', `an arena of ${arenaBytes} bytes is no whole number of units`);

  const groupBytes = pageSize * groupPages;
  const controlOffset = superblockBytes;
  const memberOffset = controlOffset + 4096;
  const principalOffset = memberOffset + memberSlots * memberStride;
  const groupOffset = align(principalOffset + (principalSlots + 1) * 8, 64);
  const own = Math.floor(size / 4096) * 4096 - superblockBytes;
  /** Of a data region: what is before its pages, and how many groups it has. */
  const dataHeader = align(dataHeaderBytes + memberSlots * 8, Math.max(groupBytes, 4096));
  const apart = dataBytes === undefined ? 0 : Math.floor((dataBytes - dataHeader) / groupBytes);
  // The table of groups lies before the data whose length decides how long it is: an upper bound is good enough.
  const mostGroups = Math.max(0, Math.floor(own / groupBytes)) + Math.max(0, apart);
  const logOffset = align(groupOffset + mostGroups * 8, 64);
  const arenaOffset = align(logOffset + logSlots * 8, 4096);
  const arenaEnd = arenaOffset + memberSlots * arenaBytes;
  const redoBytes = options.redoBytes ?? 0;
  if (redoBytes !== 0) integer('bytes of a redo slot', redoBytes, leastRedoBytes, 2 ** 20);
  if (redoBytes % 128 !== 0)
    throw new ExomemError('OutOfRange', `a redo slot of ${redoBytes} bytes is no multiple of 128`);
  const redoOffset = redoBytes === 0 ? 0 : align(arenaEnd, 4096);
  const redoEnd = redoBytes === 0 ? arenaEnd : redoOffset + memberSlots * redoBytes;
  const mailboxBytes = options.mailboxes ? mailboxTableBytes(memberSlots) : 0;
  const mailboxOffset = mailboxBytes === 0 ? 0 : align(redoEnd, 4096);
  const tablesEnd = mailboxBytes === 0 ? redoEnd : mailboxOffset + mailboxBytes;
  const shared = dataBytes === undefined;
  // A data region begins where large pages may, so that what is aligned here is aligned there.
  const start = align(tablesEnd, Math.max(groupBytes, shared || size < 32 * MiB ? 4096 : 2 * MiB));
  const dataOffset = shared ? start : start + dataHeader;
  const room = Math.floor((own - start) / groupBytes);
  const reserveGroups = integer(
    'number of reserved groups',
    options.reserveGroups ?? clamp(shared ? Math.floor(room / 20) : room, 2, Math.ceil(reserveLimit / groupBytes)),
    0,
    2 ** 40,
  );
  const groupCount = shared ? room : apart + reserveGroups;
  if (apart < 1 && !shared) {
    throw new ExomemError('OutOfRange', `${dataBytes} bytes are too few for data: a header alone takes ${dataHeader}`, {
      advice: 'choose a larger data region',
    });
  }
  if (room < reserveGroups + (shared ? 1 : 0)) {
    throw new ExomemError('OutOfRange', `${size} bytes are too few: the tables alone take ${start + superblockBytes}`, {
      advice: shared
        ? 'choose a larger region; 4 MiB is the least that is of use'
        : `choose a larger metadata region: at least ${start + superblockBytes + reserveGroups * groupBytes} bytes`,
    });
  }
  const copyOffset = own + (shared ? 0 : dataHeader + apart * groupBytes);
  return {
    regionBytes: copyOffset + superblockBytes,
    pageSize,
    groupPages,
    groupCount,
    reserveGroups,
    memberSlots,
    principalSlots,
    logSlots,
    arenaBytes,
    controlOffset,
    memberOffset,
    principalOffset,
    groupOffset,
    logOffset,
    arenaOffset,
    redoOffset,
    redoBytes,
    mailboxOffset,
    mailboxBytes,
    dataOffset,
    copyOffset,
  };
}

/** Where the word of principal `index` (1 up) lies. */
export function principalWordOffset(geometry: Geometry, index: number): number {
  return geometry.principalOffset + index * 8;
}
export function groupWordOffset(geometry: Geometry, group: number): number {
  return geometry.groupOffset + group * 8;
}
export function memberLineOffset(geometry: Geometry, slot: number): number {
  return geometry.memberOffset + slot * memberStride;
}
export function logSlotOffset(geometry: Geometry, index: number): number {
  return geometry.logOffset + (index % geometry.logSlots) * 8;
}
/** Where page `page` (counted over all groups) begins. */
export function pageOffset(geometry: Geometry, page: number): number {
  return geometry.dataOffset + page * geometry.pageSize;
}
/** The half of a member's arena that an incarnation writes its records to. */
export function arenaHalf(geometry: Geometry, slot: number, incarnation: number): { offset: number; length: number } {
  const length = geometry.arenaBytes / 2;
  return { offset: geometry.arenaOffset + slot * geometry.arenaBytes + (incarnation % 2) * length, length };
}
/** What a redo slot has by default: room for some dozens of exchanges in the smallest region, for hundreds in others. */
export function defaultRedoBytes(size: number, memberSlots: number): number {
  return clamp(powerOfTwo(size / 128 / memberSlots), 1024, 16 * KiB);
}
/** Where the holder of a token writes what it does: places by turns, so that none is written while it is read. */
export function redoPlace(geometry: Geometry, slot: number, token: number): { offset: number; length: number } {
  const length = geometry.redoBytes / 2;
  return { offset: geometry.redoOffset + slot * geometry.redoBytes + (token % 2) * length, length };
}
/** Groups that user allocations may take: the first so many. */
export function userGroups(geometry: Geometry): number {
  return geometry.groupCount - geometry.reserveGroups;
}

function integer(what: string, value: number, least: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new ExomemError(
      'OutOfRange',
      `a ${what} of ${value} is not possible: it must be a whole number from ${least} to ${most}`,
    );
  }
  return value;
}
function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
function powerOfTwo(value: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, value)));
}
function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
