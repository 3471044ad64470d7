import { encodeSnapshotHeader, mostRuns, type SnapshotRun, snapshotHeaderBytes } from '../../namespace/snapshot.js';
import { surely } from '../../policy/resolve.js';
import type { Protocol } from '../../protocol/protocol.js';
import { crc32c } from '../../region/crc32c.js';
import { logSlotOffset, pageOffset, userGroups } from '../../region/geometry.js';
import {
  decodeRoot,
  encodeRoot,
  encodeSlot,
  joinWord,
  maxUserRootVersion,
  pageBits,
  repeatBits,
} from '../../region/words.js';
import { read } from '../../transport/step.js';
import type { Tables } from '../image.js';
import { type Change, changesOf } from '../repair/mend.js';

/** Bytes that are compared at once. */
const chunk = 256 * 1024;

/**
 * Everything that makes this the snapshot of the region, at index `end`: its bytes, the words of its groups, the root, then the slots,
 * which are empty from then on. In this order: until the root moves all is as it was.
 * @param spared groups of the reserve that are not to be written to
 * @returns undefined if the reserve has no room for it
 */
export function* writeSnapshot(
  tables: Tables,
  { body, end, keeper, spared }: { body: Uint8Array; end: number; keeper: number; spared: ReadonlySet<number> },
): Protocol<Change[] | undefined> {
  const { geometry, log } = tables;
  const groupBytes = geometry.groupPages * geometry.pageSize;
  const runs = roomFor(tables, Math.ceil((body.length + snapshotHeaderBytes) / groupBytes), spared);
  if (runs === undefined) return undefined;
  const changes: Change[] = [];
  const header = encodeSnapshotHeader({ index: end, length: body.length, checksum: crc32c(body), runs });
  const bytes = new Uint8Array(header.length + body.length);
  bytes.set(header);
  bytes.set(body, header.length);
  let done = 0;
  for (const { group, groups } of runs) {
    const start = pageOffset(geometry, group * geometry.groupPages);
    const length = Math.min(groups * groupBytes, bytes.length - done);
    for (let at = 0; at < length; at += chunk) {
      const count = Math.min(chunk, length - at);
      const found = new Uint8Array(Math.ceil(count / 8) * 8);
      yield* surely(read(start + at, found));
      const wanted = found.slice();
      wanted.set(bytes.subarray(done + at, done + at + count));
      changes.push(...changesOf(start + at, found, wanted));
    }
    done += length;
  }
  const desired = joinWord(keeper, repeatBits(geometry.groupPages, pageBits.withheld));
  for (const { group, groups } of runs) {
    for (let at = group; at < group + groups; at++) {
      const expected = joinWord(tables.high(at), tables.low(at));
      if (expected !== desired) changes.push({ offset: tables.wordAt(at), expected, desired });
    }
  }
  const { version } = decodeRoot(log.root);
  const next = version < maxUserRootVersion ? version + 1 : 1;
  const page = pageOffset(geometry, runs[0]!.group * geometry.groupPages) / 4096;
  changes.push({ offset: tables.rootAt, expected: log.root, desired: encodeRoot(next, page) });
  const [lap, first] = [Math.floor(end / geometry.logSlots), end % geometry.logSlots];
  for (const [slot, expected] of log.slots.entries()) {
    const empty = encodeSlot(slot < first ? lap + 1 : lap, 0);
    if (expected !== empty) changes.push({ offset: logSlotOffset(geometry, slot), expected, desired: empty });
  }
  return changes;
}

/** Groups of the reserve for it: those that are free first, then those that lie idle. */
function roomFor(tables: Tables, count: number, spared: ReadonlySet<number>): SnapshotRun[] | undefined {
  const { geometry } = tables;
  const all = Array.from({ length: geometry.reserveGroups }, (_, at) => userGroups(geometry) + at);
  const usable = all.filter((group) => !spared.has(group));
  const free = usable.filter((group) => tables.high(group) >>> 16 === 0);
  const chosen = (free.length >= count ? free : usable).slice(0, count);
  if (chosen.length < count) return undefined;
  const runs: { group: number; groups: number }[] = [];
  for (const group of chosen) {
    const last = runs.at(-1);
    if (last !== undefined && last.group + last.groups === group) last.groups++;
    else runs.push({ group, groups: 1 });
  }
  return runs.length <= mostRuns ? runs : undefined;
}
