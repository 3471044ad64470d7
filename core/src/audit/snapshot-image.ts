import { ExomemError } from '../errors.js';
import { decodeSnapshotHeader, decodeState, type SnapshotHeader, snapshotHeaderBytes } from '../namespace/snapshot.js';
import type { NamespaceState } from '../namespace/state.js';
import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { crc32c } from '../region/crc32c.js';
import type { Geometry } from '../region/geometry.js';
import { decodeRoot } from '../region/words.js';
import { read } from '../transport/step.js';

/** The snapshot that the root points at, as far as it could be read. */
export interface SnapshotImage {
  /** Where the root says that it begins. */
  readonly offset: number;
  /** Groups that it lies in. */
  readonly groups: readonly number[];
  readonly header: SnapshotHeader | undefined;
  readonly state: NamespaceState | undefined;
  /** What is wrong with it, and where. */
  readonly problem: { readonly what: string; readonly where: number } | undefined;
}

/** Bytes that one step reads. */
const chunk = 256 * 1024;

/** Reads the snapshot that a root word points at; undefined if it points at none. */
export function* readSnapshot(geometry: Geometry, root: bigint): Protocol<SnapshotImage | undefined> {
  const { page } = decodeRoot(root);
  if (page === 0) return undefined;
  const offset = page * 4096;
  const failed = (what: string, where = offset, header?: SnapshotHeader): SnapshotImage => ({
    offset,
    groups: header === undefined ? [] : groupsOf(header),
    header,
    state: undefined,
    problem: { what, where },
  });

  const groupBytes = geometry.groupPages * geometry.pageSize;
  const firstGroup = (offset - geometry.dataOffset) / groupBytes;
  const lowest = geometry.groupCount - geometry.reserveGroups;
  if (!Number.isInteger(firstGroup) || firstGroup < lowest || firstGroup >= geometry.groupCount) {
    return failed(`the root points at offset ${offset}, where no group of the reserve begins`, geometry.controlOffset);
  }
  const bytes = new Uint8Array(snapshotHeaderBytes);
  yield* surely(read(offset, bytes));
  const header = decodeSnapshotHeader(bytes);
  if (header === undefined) return failed('the root points at what is no header of a snapshot, or a damaged one');
  const wrong = wrongRuns(geometry, header, firstGroup);
  if (wrong !== undefined) return failed(wrong);

  const body = new Uint8Array(header.length);
  let at = 0;
  for (const [number, { group, groups }] of header.runs.entries()) {
    const start = geometry.dataOffset + group * groupBytes + (number === 0 ? snapshotHeaderBytes : 0);
    const end = geometry.dataOffset + (group + groups) * groupBytes;
    for (let from = start; from < end && at < body.length; ) {
      const length = Math.min(chunk, end - from, body.length - at);
      yield* surely(read(from, body.subarray(at, at + length)));
      from += length;
      at += length;
    }
  }
  if (crc32c(body) !== header.checksum) return failed('the checksum of the snapshot does not fit', offset, header);
  try {
    const state = decodeState(body, geometry.pageSize, header.index);
    return { offset, groups: groupsOf(header), header, state, problem: undefined };
  } catch (error) {
    if (!(error instanceof ExomemError)) throw error;
    return failed(`the snapshot cannot be decoded: ${error.message}`, offset, header);
  }
}

function wrongRuns(geometry: Geometry, header: SnapshotHeader, firstGroup: number): string | undefined {
  const lowest = geometry.groupCount - geometry.reserveGroups;
  const seen = new Set<number>();
  let room = -snapshotHeaderBytes;
  for (const { group, groups } of header.runs) {
    const inside =
      Number.isSafeInteger(group) && group >= lowest && groups >= 1 && group + groups <= geometry.groupCount;
    if (!inside)
      return `the snapshot says that it lies in ${groups} groups from group ${group} on: that is not the reserve`;
    for (let at = group; at < group + groups; at++) {
      if (seen.has(at)) return `the snapshot says twice that it lies in group ${at}`;
      seen.add(at);
    }
    room += groups * geometry.groupPages * geometry.pageSize;
  }
  if (header.runs[0]?.group !== firstGroup) return 'the snapshot says that it begins elsewhere than the root says';
  if (header.length > room) return `the snapshot has ${header.length} bytes, and lies in room for ${room}`;
  if (!Number.isSafeInteger(header.index) || header.index < 1) return `the snapshot is of index ${header.index}`;
  return undefined;
}

function groupsOf({ runs }: SnapshotHeader): number[] {
  return runs.flatMap(({ group, groups }) => Array.from({ length: groups }, (_, at) => group + at));
}
