import { ExomemError } from '../errors.js';
import { decodeRecord, type LogRecord, recordLength } from '../namespace/record.js';
import { NamespaceState } from '../namespace/state.js';
import { surely } from '../policy/resolve.js';
import { batch, type Protocol } from '../protocol/protocol.js';
import { controlFields, type Geometry, logSlotOffset, recordUnit } from '../region/geometry.js';
import { decodeSlot } from '../region/words.js';
import { load, read } from '../transport/step.js';
import { RecordCount } from './record-count.js';
import { readSnapshot, type SnapshotImage } from './snapshot-image.js';
import { treeProblems } from './tree.js';

/** A record between the root's snapshot and the end of the log. */
export interface LogEntry {
  readonly index: number;
  readonly offset: number;
  readonly length: number;
  readonly author: number;
  readonly incarnation: number;
  readonly sequence: number;
  /** It counts: its author was not fenced, and it is no record that was there before. */
  readonly counts: boolean;
}

/** The root, the log behind it, and what they come to. */
export interface LogImage {
  readonly root: bigint;
  readonly snapshot: SnapshotImage | undefined;
  /** The index of the first record behind the snapshot; undefined if the snapshot cannot be read. */
  readonly begin: number | undefined;
  /** The first index, from `begin` on, whose slot is not in use. */
  readonly end: number;
  readonly slots: BigUint64Array;
  readonly entries: readonly LogEntry[];
  /** Where the reading of the records stopped before the end. */
  readonly broken: { readonly index: number; readonly what: string; readonly where: number } | undefined;
  /** The namespace, up to the end or to where the reading stopped. */
  readonly state: NamespaceState;
  /** The state is that of the end of the log. */
  readonly complete: boolean;
  /** Fences and sequences, counted by the text of the format. */
  readonly count: RecordCount;
}

/** What most records fit in. */
const firstRead = 512;
const recordsAtOnce = 64;
/** Slots that one step reads. */
const chunk = 32_768;
/** How often the reading begins again because the root has moved meanwhile. */
const attempts = 8;

/** The slot of an index with its lap, or nothing if it is not in use. */
export function usedSlot(geometry: Geometry, slots: BigUint64Array, index: number): number | undefined {
  const { lap, address } = decodeSlot(slots[index % geometry.logSlots]!);
  return lap === Math.floor(index / geometry.logSlots) && address !== 0 ? address * recordUnit : undefined;
}

/** Reads root, snapshot and log. */
export function* readLog(geometry: Geometry): Protocol<LogImage> {
  const rootOffset = geometry.controlOffset + controlFields.root;
  for (let attempt = 1; ; attempt++) {
    const root = (yield* surely(load(rootOffset))) as bigint;
    const image = yield* readFrom(geometry, root);
    // A root that has moved may have taken slots with it that we had not seen yet.
    if (attempt === attempts || ((yield* surely(load(rootOffset))) as bigint) === root) return image;
  }
}

function* readFrom(geometry: Geometry, root: bigint): Protocol<LogImage> {
  const snapshot = yield* readSnapshot(geometry, root);
  const slots = yield* readSlots(geometry);
  const state = snapshot === undefined ? new NamespaceState(geometry.pageSize) : snapshot.state;
  const count = new RecordCount(state);
  const entries: LogEntry[] = [];
  if (state === undefined) {
    const empty = new NamespaceState(geometry.pageSize);
    return {
      root,
      snapshot,
      begin: undefined,
      end: 0,
      slots,
      entries,
      broken: undefined,
      state: empty,
      complete: false,
      count,
    };
  }
  const begin = state.index;
  let end = begin;
  while (end < begin + geometry.logSlots && usedSlot(geometry, slots, end) !== undefined) end++;
  const window = begin + geometry.logSlots;
  let hole = false;
  for (let index = end + 1; index < window && !hole; index++) hole = usedSlot(geometry, slots, index) !== undefined;
  // Records are applied to a tree only: in anything else they might lead in circles.
  const sound = treeProblems(state, 1).length === 0;
  let broken: LogImage['broken'];
  for (let index = begin; sound && broken === undefined && index < end; index += recordsAtOnce) {
    const offsets: number[] = [];
    for (let at = index; at < Math.min(end, index + recordsAtOnce); at++) offsets.push(usedSlot(geometry, slots, at)!);
    for (const found of yield* readRecords(geometry, index, offsets)) {
      if ('what' in found) {
        broken = found;
        break;
      }
      const { record, offset, length } = found;
      const { author, incarnation, sequence } = record;
      const counts = count.take(record);
      entries.push({ index: record.index, offset, length, author, incarnation, sequence, counts });
      state.apply(record);
    }
  }
  return {
    root,
    snapshot,
    begin,
    end,
    slots,
    entries,
    broken,
    state,
    complete: sound && !hole && broken === undefined,
    count,
  };
}

function* readSlots(geometry: Geometry): Protocol<BigUint64Array> {
  const slots = new BigUint64Array(geometry.logSlots);
  for (let at = 0; at < slots.length; at += chunk) {
    const part = slots.subarray(at, at + chunk);
    yield* surely(read(logSlotOffset(geometry, at), new Uint8Array(part.buffer, part.byteOffset, part.byteLength)));
  }
  return slots;
}

interface Found {
  readonly record: LogRecord;
  readonly offset: number;
  readonly length: number;
}
type Broken = NonNullable<LogImage['broken']>;

/** The records of some indexes in a row, up to the first that is none. */
function* readRecords(geometry: Geometry, first: number, offsets: readonly number[]): Protocol<(Found | Broken)[]> {
  const arenasEnd = geometry.arenaOffset + geometry.memberSlots * geometry.arenaBytes;
  const found: (Found | Broken)[] = [];
  const buffers = offsets
    .filter((offset) => offset >= geometry.arenaOffset && offset < arenasEnd)
    .map((offset) => ({ offset, bytes: new Uint8Array(Math.min(firstRead, arenasEnd - offset)) }));
  if (buffers.length > 0) yield* surely(batch(buffers.map(({ offset, bytes }) => read(offset, bytes))));
  const byOffset = new Map(buffers.map(({ offset, bytes }) => [offset, bytes]));
  for (const [at, offset] of offsets.entries()) {
    const index = first + at;
    const broken = (what: string): void => void found.push({ index, what, where: offset });
    let bytes = byOffset.get(offset);
    if (bytes === undefined) {
      broken('its slot points at no record arena');
      return found;
    }
    const length = recordLength(bytes);
    const half = geometry.arenaBytes / 2;
    const room = half - ((offset - geometry.arenaOffset) % half);
    if (length === 0 || length > room) {
      broken(length === 0 ? 'its length is impossible' : `it would have ${length} bytes where the arena has ${room}`);
      return found;
    }
    if (length > bytes.length) {
      bytes = new Uint8Array(length);
      yield* surely(read(offset, bytes));
    }
    try {
      const record = decodeRecord(bytes, index, Math.floor(index / geometry.logSlots));
      if (record !== undefined) {
        found.push({ record, offset, length });
        continue;
      }
      broken('its checksum, index or lap does not fit');
    } catch (error) {
      if (!(error instanceof ExomemError)) throw error;
      broken(`its operations cannot be decoded: ${error.message}`);
    }
    return found;
  }
  return found;
}
