import type { LogRecord } from '../../namespace/record.js';
import { NamespaceState } from '../../namespace/state.js';
import type { Protocol } from '../../protocol/protocol.js';
import { pageOffset, recordUnit, userGroups } from '../../region/geometry.js';
import type { Superblock } from '../../region/superblock.js';
import { decodeSlot, encodeRoot, pageBits, repeatBits } from '../../region/words.js';
import type { Tables } from '../image.js';
import { appliedBeyond, logEnd } from '../log-end.js';
import { findRecords, recordAt } from '../repair/records.js';
import { readSnapshot } from '../snapshot-image.js';

/** What is left of a namespace. */
export interface Sources {
  /** The newest snapshot that is whole, or the empty namespace. */
  readonly base: NamespaceState;
  /** It is the one that the root points at, or that a log without a root begins with. */
  readonly current: boolean;
  /** Groups that it lies in. */
  readonly groups: readonly number[];
  /** Those from the snapshot on that are whole, in order. */
  readonly records: readonly LogRecord[];
  /** The index behind the last one. */
  readonly end: number;
}

/** How far the clock of who cut a snapshot may be behind the clock of who formatted the region: a minute, in nanoseconds. */
const skew = 60_000_000_000n;

/** Gathers everything that is whole. */
export function* readSources(block: Superblock, tables: Tables): Protocol<Sources> {
  const { geometry, log } = tables;
  const { end: shown } = logEnd(log.slots);
  const read = Math.max(shown, log.begin === undefined ? 1 : log.end);
  const end = appliedBeyond(tables.members, read, geometry.logSlots, 2) ?? read;
  // The state that the audit has read has gone on: it is read anew.
  const own = yield* readSnapshot(geometry, log.root);
  let [base, groups] = own === undefined ? [new NamespaceState(geometry.pageSize), []] : [own.state, own.groups];
  // Of a log that was truncated the empty namespace is not the beginning.
  let current = base !== undefined && (own !== undefined || !isTruncated(tables, end));
  if (!current) {
    const older = yield* newestSnapshot(block, tables, end);
    [base, groups] = older ?? [new NamespaceState(geometry.pageSize), []];
    current = false;
  }
  return { base: base!, current, groups, records: yield* readRecords(tables, base!.index, end), end };
}

/** Whether some slot shows that a snapshot has passed it. */
function isTruncated({ geometry: { logSlots }, log: { slots } }: Tables, end: number): boolean {
  if (end > logSlots) return true;
  const second = slots.subarray(1, Math.max(1, Math.min(end, logSlots)));
  let passed = 0;
  for (const word of second) {
    const { lap, address } = decodeSlot(word);
    if (lap === 1 && address === 0) passed++;
  }
  return 2 * passed > second.length;
}

/**
 * A snapshot that the root does not point at, in groups that are withheld for one. It may be of the region that was here
 * before this one was formatted: then it names principals that there were not yet, or nothing in it is as new as the format.
 */
function* newestSnapshot(
  { created }: Superblock,
  tables: Tables,
  end: number,
): Protocol<[NamespaceState, readonly number[]] | undefined> {
  const { geometry, standings } = tables;
  const whole = repeatBits(geometry.groupPages, pageBits.withheld);
  const withheld = (group: number): boolean => tables.high(group) >>> 16 !== 0 && tables.low(group) === whole;
  let best: [NamespaceState, readonly number[]] | undefined;
  for (let group = userGroups(geometry); group < geometry.groupCount; group++) {
    if (!withheld(group)) continue;
    const root = encodeRoot(1, pageOffset(geometry, group * geometry.groupPages) / 4096);
    const found = yield* readSnapshot(geometry, root);
    const { state } = found ?? {};
    if (found === undefined || state === undefined || state.index > end || !found.groups.every(withheld)) continue;
    const known = [...state.fences].every(([principal, incarnation]) => {
      return incarnation <= (standings.principal(principal)?.incarnation ?? 0);
    });
    const young = [...state.inodes.values()].some(({ ctime }) => ctime + skew >= created);
    if (known && young && state.index > (best?.[0].index ?? 0)) best = [state, found.groups];
  }
  return best;
}

function* readRecords({ geometry, log }: Tables, begin: number, end: number): Protocol<LogRecord[]> {
  const { logSlots } = geometry;
  const found = new Map<number, LogRecord>();
  for (let index = Math.max(begin, end - logSlots); index < end; index++) {
    const { lap, address } = decodeSlot(log.slots[index % logSlots]!);
    const fits = address !== 0 && lap === Math.floor(index / logSlots);
    const record = fits ? yield* recordAt(geometry, address * recordUnit, index) : undefined;
    if (record !== undefined) found.set(index, record);
  }
  if (found.size < end - begin) {
    const pointed = new Set(found.keys());
    const lost = { has: (index: number) => index >= begin && index < end && !pointed.has(index) };
    for (const [index, places] of yield* findRecords(geometry, lost)) {
      // Of several only one was appended, and it cannot be told which.
      const record = places.length === 1 ? yield* recordAt(geometry, places[0]!, index) : undefined;
      if (record !== undefined) found.set(index, record);
    }
    for (const { index } of overtaken(found.values())) if (!pointed.has(index)) found.delete(index);
  }
  return [...found.values()].sort((a, b) => a.index - b.index);
}

/** Records that were appended at a higher index, since another was faster at this one: they carry the number of the one that counts. */
function overtaken(records: Iterable<LogRecord>): LogRecord[] {
  const last = new Map<string, LogRecord>();
  const behind: LogRecord[] = [];
  for (const record of records) {
    const key = `${record.author}.${record.incarnation}.${record.sequence}`;
    const other = last.get(key);
    if (other === undefined) last.set(key, record);
    else {
      behind.push(other.index < record.index ? other : record);
      if (other.index < record.index) last.set(key, record);
    }
  }
  return behind;
}
