import { crc32c } from '../region/crc32c.js';

/** One change of a group word. */
export interface Exchange {
  readonly group: number;
  readonly before: bigint;
  readonly after: bigint;
}

/** What the holder of the lock is about to do, to the last word: whoever comes after it can do it in its place. */
export interface RedoRecord {
  readonly token: number;
  /** Of the member that wrote it. */
  readonly incarnation: number;
  /** In the order in which they take effect; a word may come more than once. */
  readonly exchanges: readonly Exchange[];
}

export const redoHeaderBytes = 24;
export const exchangeBytes = 24;

/** Exchanges that a place of so many bytes has room for. */
export function redoCapacity(length: number): number {
  return Math.floor((length - redoHeaderBytes) / exchangeBytes);
}

/** `{token (8), incarnation (4), count (4), CRC of all else (4), 0 (4)}`, then for each exchange `{group, before, after}` (8 each). */
export function encodeRedo({ token, incarnation, exchanges }: RedoRecord): Uint8Array {
  const bytes = new Uint8Array(redoHeaderBytes + exchanges.length * exchangeBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(token), true);
  view.setUint32(8, incarnation, true);
  view.setUint32(12, exchanges.length, true);
  let at = redoHeaderBytes;
  for (const { group, before, after } of exchanges) {
    view.setBigUint64(at, BigInt(group), true);
    view.setBigUint64(at + 8, before, true);
    view.setBigUint64(at + 16, after, true);
    at += exchangeBytes;
  }
  view.setUint32(16, crcOf(bytes), true);
  return bytes;
}

/** The record of that token in a place; undefined: what is there is none, or that of another token. */
export function decodeRedo(bytes: Uint8Array, token: number, groupCount: number): RedoRecord | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(12, true);
  const end = redoHeaderBytes + count * exchangeBytes;
  if (view.getBigUint64(0, true) !== BigInt(token) || end > bytes.byteLength) return undefined;
  if (view.getUint32(16, true) !== crcOf(bytes.subarray(0, end))) return undefined;
  const exchanges: Exchange[] = [];
  for (let at = redoHeaderBytes; at < end; at += exchangeBytes) {
    const group = Number(view.getBigUint64(at, true));
    if (group >= groupCount) return undefined;
    exchanges.push({ group, before: view.getBigUint64(at + 8, true), after: view.getBigUint64(at + 16, true) });
  }
  return { token, incarnation: view.getUint32(8, true), exchanges };
}

function crcOf(bytes: Uint8Array): number {
  return crc32c(bytes.subarray(20), crc32c(bytes.subarray(0, 16)));
}
