import { ExomemError } from '../../errors.js';
import { decodeRecord, type LogRecord, recordLength } from '../../namespace/record.js';
import { surely } from '../../policy/resolve.js';
import type { Protocol } from '../../protocol/protocol.js';
import { type Geometry, recordLimit, recordUnit } from '../../region/geometry.js';
import { read } from '../../transport/step.js';

/** The least that tells of a record which index it is of. */
const headBytes = 20;

/** Whether a whole record of that index lies there. */
export function* isRecord(geometry: Geometry, offset: number, index: number): Protocol<boolean> {
  return (yield* recordAt(geometry, offset, index)) !== undefined;
}

/** The record of that index, if it lies there and is whole. */
export function* recordAt(geometry: Geometry, offset: number, index: number): Protocol<LogRecord | undefined> {
  const { arenaOffset, arenaBytes, memberSlots } = geometry;
  if (offset < arenaOffset || offset >= arenaOffset + arenaBytes * memberSlots || offset % recordUnit !== 0)
    return undefined;
  const half = arenaBytes / 2;
  const room = half - ((offset - arenaOffset) % half);
  const bytes = new Uint8Array(Math.min(recordLimit, room));
  yield* surely(read(offset, bytes));
  return whole(geometry, bytes, index);
}

/** Where whole records of these indexes lie, by index: those that the log has, and those that came too late for it. */
export function* findRecords(
  geometry: Geometry,
  wanted: Pick<ReadonlySet<number>, 'has'>,
): Protocol<Map<number, number[]>> {
  const found = new Map<number, number[]>();
  const half = new Uint8Array(geometry.arenaBytes / 2);
  const view = new DataView(half.buffer);
  for (let number = 0; number < 2 * geometry.memberSlots; number++) {
    const start = geometry.arenaOffset + number * half.length;
    yield* surely(read(start, half));
    for (let at = 0; at + headBytes <= half.length; at += recordUnit) {
      const index = Number(view.getBigUint64(at + 8, true));
      if (!wanted.has(index) || whole(geometry, half.subarray(at), index) === undefined) continue;
      const places = found.get(index);
      if (places === undefined) found.set(index, [start + at]);
      else places.push(start + at);
    }
  }
  return found;
}

function whole({ logSlots }: Geometry, bytes: Uint8Array, index: number): LogRecord | undefined {
  const length = recordLength(bytes);
  if (length === 0 || length > bytes.length) return undefined;
  try {
    return decodeRecord(bytes.subarray(0, length), index, Math.floor(index / logSlots));
  } catch (error) {
    if (error instanceof ExomemError) return undefined;
    throw error;
  }
}
