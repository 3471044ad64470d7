/**
 * The numbers of the protocol; docs/WIRE.md has it to the byte. Everything is little-endian, frames have no padding
 * between them.
 *
 * A request: {length u32 | op u8 | flags u8 | 0 u16 | id u32 | checksum u32 | body}. An answer: {length u32 | op u8 |
 * status u8 | 0 u16 | id u32 | checksum u32 | body}. `length` counts the whole frame, header included.
 */
export const protocolVersion = 1;
export const headerBytes = 16;

export const op = {
  load: 1,
  read: 2,
  write: 3,
  compareExchange: 4,
  fetchAdd: 5,
  batch: 6,
  bind: 7,
  revoke: 8,
  ping: 9,
  /** From the appliance alone: why it closes the connection. */
  goodbye: 255,
} as const;

/** The names of the operations by number, for messages and traces. */
export const opNames: readonly string[] = [
  '?',
  'load',
  'read',
  'write',
  'compareExchange',
  'fetchAdd',
  'batch',
  'bind',
  'revoke',
  'ping',
];

/** In the flags of a batch: stop at the first compareExchange that fails. */
export const stopOnFailFlag = 1;

/** Bytes of a step of a batch before its operands: {op u8 | 0 u8 | 0 u16 | length u32 | offset u64}. */
export const stepBytes = 16;

/** What the frames between HELLO and the end may weigh, as the appliance of this version sets it. */
export const limits = {
  /** Bytes of one READ or WRITE. */
  transfer: 1_048_576,
  /** Steps of a batch. */
  batch: 4096,
  /** Bytes of a batch request. 4096 compareExchanges are 131,096. */
  batchBytes: 196_608,
  /** Bytes of the answer to a batch: what a slow reader can make the appliance hold. 4096 words are 32,792. */
  batchAnswer: 65_536,
  /** Bytes of text in an answer that reports an error. */
  text: 1024,
  /** Bytes of a region's name in UTF-8. */
  name: 255,
} as const;

/** Bits of the features that HELLO offers and WELCOME agrees on. */
export const feature = {
  /** Kept for a checksum in the last word of each header; no version sets it yet. */
  frameChecksum: 1n << 0n,
} as const;

/** What this version offers. */
export const offeredFeatures = 0n;

/** Bytes up to the next multiple of 8: bytes inside a batch are padded, so that its words stay aligned. */
export function padded(length: number): number {
  return (length + 7) & ~7;
}

/** A 64-bit offset or length as a number; infinite where a number cannot hold it. */
export function readNumber(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  if (high >= 0x20_0000) return Number.POSITIVE_INFINITY;
  return high * 0x1_0000_0000 + view.getUint32(at, true);
}

export function writeNumber(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000);
  view.setUint32(at, value - high * 0x1_0000_0000, true);
  view.setUint32(at + 4, high, true);
}

/** The start of a frame, request or answer: `code` is a request's flags, an answer's status. */
export function writeHeader(
  view: DataView,
  at: number,
  length: number,
  operation: number,
  code: number,
  id: number,
): void {
  view.setUint32(at, length, true);
  view.setUint32(at + 4, operation | (code << 8), true);
  view.setUint32(at + 8, id, true);
  view.setUint32(at + 12, 0, true);
}
