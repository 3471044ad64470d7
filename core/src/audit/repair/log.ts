import type { Protocol } from '../../protocol/protocol.js';
import { logSlotOffset, pageOffset, recordUnit, userGroups } from '../../region/geometry.js';
import { decodeRoot, decodeSlot, encodeRoot, encodeSlot, maxUserRootVersion } from '../../region/words.js';
import type { Finding } from '../finding.js';
import { appliedBeyond, logEnd } from '../log-end.js';
import { type LogImage, readLog, usedSlot } from '../log-image.js';
import { treeProblems } from '../tree.js';
import { type Mend, mendWord, type Patient } from './mend.js';
import { Overlay } from './overlay.js';
import { findRecords, isRecord } from './records.js';

/**
 * The root, and slots of the log. What they point at has checksums: a word is put right only if exactly one thing that it could
 * point at is whole. A record or a snapshot that is not whole cannot be brought back.
 */
export function* cureLog(patient: Patient): Protocol<Mend[]> {
  const { tables, damage } = patient;
  const mends: Mend[] = [];
  const passed = hasPassed(tables.log, tables.geometry.logSlots);
  if (passed || damage.some(({ oracle }) => oracle === 'root')) {
    // Where a lock rules the word is the lock, and says what was committed.
    if (tables.geometry.redoBytes === 0) {
      mends.push(...mendWord('root', 'the lock word is not used', tables.lockAt, tables.lock.word, 0n));
    }
    const root = yield* rightRoot(patient);
    const what = `the root points at ${decodeRoot(root).page === 0 ? 'nothing' : 'the snapshot that is whole'}`;
    mends.push(...mendWord('root', what, tables.rootAt, tables.log.root, root));
    // What the log is depends on it: the rest is seen to when it is right.
    if (root !== tables.log.root || passed) return mends;
  }
  if (tables.log.begin !== undefined) mends.push(...(yield* cureSlots(patient, tables.log.begin)));
  return mends;
}

// ---- the root

/** Whether the slots say that the log is elsewhere: it ends before the root's snapshot or a lap behind it, or that was truncated. */
function hasPassed({ begin, slots }: LogImage, logSlots: number): boolean {
  if (begin === undefined) return true;
  const { end, agree } = logEnd(slots);
  if (2 * agree < logSlots || end < begin || end > begin + logSlots) return true;
  let truncated = 0;
  for (let index = begin; index < end; index++) {
    if (slots[index % logSlots] === encodeSlot(Math.floor(index / logSlots) + 1, 0)) truncated++;
  }
  return truncated > 1 || 2 * truncated > end - begin;
}

/** The root as it should be; as it is, if that cannot be told. */
function* rightRoot({ tables }: Patient): Protocol<bigint> {
  const { log, geometry, rootAt } = tables;
  const { version, page } = decodeRoot(log.root);
  if (!hasPassed(log, geometry.logSlots) && treeProblems(log.state, 1).length === 0) {
    return page !== 0 && version === 0 ? encodeRoot(1, page) : log.root;
  }
  const sane = version >= 1 && version <= maxUserRootVersion ? version : 1;
  const candidates: bigint[] = [0n];
  for (let group = userGroups(geometry); group < geometry.groupCount; group++) {
    candidates.push(encodeRoot(sane, pageOffset(geometry, group * geometry.groupPages) / 4096));
  }
  let best: { root: bigint; index: number } | undefined;
  for (const root of candidates) {
    const overlay = new Overlay();
    overlay.set(rootAt, root);
    const image = yield* overlay.through(readLog(geometry));
    if (image.begin === undefined || !fitsSlots(image, geometry.logSlots)) continue;
    if (best === undefined || image.begin > best.index) best = { root, index: image.begin };
  }
  return best?.root ?? log.root;
}

/** Whether the slots are what a log from there on leaves, all of them. */
function fitsSlots({ begin, end, slots, complete }: LogImage, logSlots: number): boolean {
  if (!complete) return false;
  for (let index = end; index < begin! + logSlots; index++) {
    const { lap, address } = decodeSlot(slots[index % logSlots]!);
    const expected = Math.floor(index / logSlots);
    const waits = lap === expected && address === 0;
    const passed = lap === expected - 1 && (address !== 0 || index === logSlots);
    if (!waits && !passed) return false;
  }
  return true;
}

// ---- slots

function* cureSlots(patient: Patient, begin: number): Protocol<Mend[]> {
  const { tables, damage } = patient;
  const { geometry, log } = tables;
  const flagged = indexesOf(damage);
  const applied = appliedBeyond(tables.members, log.end, geometry.logSlots, 1) ?? 0;
  for (let index = log.end; index < applied; index++) flagged.add(index);
  if (flagged.size === 0) return [];
  // A record behind the end: what is wrong may be the slot that looks like the end.
  if ([...flagged].some((index) => index > log.end)) flagged.add(log.end);
  const wanted = new Set([...flagged].filter((index) => index >= begin && index < begin + geometry.logSlots));
  const places = yield* findRecords(geometry, wanted);
  const mends: Mend[] = [];
  for (const index of [...wanted].sort((a, b) => a - b)) {
    const desired = yield* rightSlot(patient, index, places.get(index) ?? [], index < applied);
    if (desired === undefined) continue;
    const word = log.slots[index % geometry.logSlots]!;
    const what = `slot ${index % geometry.logSlots} of the log ${decodeSlot(desired).address === 0 ? 'is empty' : `has the record of index ${index}`}`;
    mends.push(...mendWord('log', what, logSlotOffset(geometry, index), word, desired));
  }
  return mends;
}

function indexesOf(damage: readonly Finding[]): Set<number> {
  const found = new Set<number>();
  for (const { oracle, index, slot } of damage) {
    if ((oracle === 'log' || oracle === 'I7') && index !== undefined && slot !== undefined) found.add(index);
  }
  return found;
}

/** Undefined: it cannot be told what belongs there, or it is right. */
function* rightSlot(
  { tables: { geometry, log } }: Patient,
  index: number,
  places: readonly number[],
  applied: boolean,
): Protocol<bigint | undefined> {
  const { logSlots } = geometry;
  const lap = Math.floor(index / logSlots);
  const own = decodeSlot(log.slots[index % logSlots]!).address * recordUnit;
  const record = (offset: number): bigint => encodeSlot(lap, offset / recordUnit);
  if (own !== 0 && (yield* isRecord(geometry, own, index))) return record(own);
  // Who has applied it knows that there was one.
  let behind = applied;
  for (let at = index + 1; at < log.begin! + logSlots && !behind; at++) {
    const offset = usedSlot(geometry, log.slots, at);
    behind = offset !== undefined && (yield* isRecord(geometry, offset, at));
  }
  if (places.length === 1 && (index < log.end || behind)) return record(places[0]!);
  // At the end there may be records of those who came too late for the index before.
  if (!behind && index >= log.end) return places.length === 0 ? encodeSlot(lap, 0) : undefined;
  return undefined;
}
