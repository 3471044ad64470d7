import { ExomemError } from '../errors.js';
import { crc32c } from '../region/crc32c.js';
import { recordLimit } from '../region/geometry.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { decodeOperation, encodeOperation, type Operation } from './operation.js';

/** One entry of the log: what one author did, all of it or nothing. */
export interface LogRecord {
  readonly index: number;
  readonly lap: number;
  /** The principal that appended it, with its incarnation. */
  readonly author: number;
  readonly incarnation: number;
  /** Counts the appends of that author; each counts once. */
  readonly sequence: number;
  readonly operations: readonly Operation[];
}

/** `{length:32 | crc:32 | index:64 | lap:32 | author:16 | incarnation:16 | sequence:64 | operations:16 ...}`. */
const header = 34;
export const mostOperations = 4096;

/** The bytes of a record. @throws `OutOfRange` if it is over one record's limit of 4,096 bytes or operations. */
export function encodeRecord(record: LogRecord): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(0);
  writer.u32(0);
  writer.u64(BigInt(record.index));
  writer.u32(record.lap);
  writer.u16(record.author);
  writer.u16(record.incarnation);
  writer.u64(BigInt(record.sequence));
  writer.u16(record.operations.length);
  for (const operation of record.operations) encodeOperation(writer, operation);
  if (writer.length > recordLimit || record.operations.length > mostOperations) {
    throw new ExomemError('OutOfRange', `a record of ${writer.length} bytes is over the limit of ${recordLimit}`);
  }
  const bytes = writer.bytes.slice();
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint32(4, crc32c(bytes.subarray(8)), true);
  return bytes;
}

/** The length that a record says it has, from its first four bytes; 0 if it cannot be one. */
export function recordLength(bytes: Uint8Array): number {
  const length = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24);
  return length >= header && length <= recordLimit ? length : 0;
}

/** The record at the start of `bytes`; undefined if its checksum, index or lap says that it is another or none. */
export function decodeRecord(bytes: Uint8Array, index: number, lap: number): LogRecord | undefined {
  const length = recordLength(bytes);
  if (length === 0 || length > bytes.length) return undefined;
  const reader = new ByteReader(bytes.subarray(0, length));
  reader.u32();
  if (reader.u32() !== crc32c(bytes.subarray(8, length))) return undefined;
  if (Number(reader.u64()) !== index || reader.u32() !== lap) return undefined;
  const author = reader.u16();
  const incarnation = reader.u16();
  const sequence = Number(reader.u64());
  const count = reader.u16();
  const operations: Operation[] = [];
  for (let left = count; left > 0; left--) operations.push(decodeOperation(reader));
  return { index, lap, author, incarnation, sequence, operations };
}
