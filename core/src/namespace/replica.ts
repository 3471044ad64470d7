import { ExomemError } from '../errors.js';
import type { Identity } from '../policy/policy.js';
import { exchangeSurely, fenced, interrupted, reloadWords, retried, surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { batch, pause } from '../protocol/protocol.js';
import { crc32c } from '../region/crc32c.js';
import type { Geometry } from '../region/geometry.js';
import {
  controlFields,
  groupWordOffset,
  logSlotOffset,
  principalWordOffset,
  recordLimit,
  recordUnit,
  userGroups,
} from '../region/geometry.js';
import {
  decodeRoot,
  decodeSlot,
  encodeRoot,
  encodeSlot,
  joinWord,
  maxLap,
  maxRootVersion,
  maxUserRootVersion,
  ownerHalf,
  pageBits,
  repeatBits,
} from '../region/words.js';
import type { BatchAnswer, MemoryStep, WordStep } from '../transport/step.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import type { RecordArena } from './arena.js';
import type { FileOwner, Operation } from './operation.js';
import { decodeRecord, encodeRecord, type LogRecord, recordLength } from './record.js';
import { Rivals } from './rivals.js';
import {
  decodeSnapshotHeader,
  decodeState,
  encodeSnapshotHeader,
  encodeState,
  mostRuns,
  type SnapshotHeader,
  type SnapshotRun,
  snapshotHeaderBytes,
} from './snapshot.js';
import { NamespaceState, type StateListener } from './state.js';

const nothing = new Uint8Array(0);
/** What most records fit in: a first read fetches so much. */
const firstRead = 512;
/** Slots that one round trip of catching up looks at. */
const slotChunk = 512;
const recordChunk = 64;
/** What a snapshot takes at most for the fence and the sequence of a principal. */
const bytesPerPrincipal = 20;
/** Bytes of a snapshot that one step carries. */
const bodyChunk = 256 * 1024;

/** Operations after which the tree is no larger: they are appended however large it is. */
const shrinking: ReadonlySet<Operation['op']> = new Set(['unlink', 'truncate', 'fence', 'drop', 'disown']);

/** In whose name a replica appends. */
export interface Author {
  readonly identity: Identity;
  readonly arena: RecordArena;
}

/** What became of a record: `winner` is the slot of the one who was faster, if it is known. */
type Outcome = 'applied' | 'full' | 'passed' | { readonly winner: bigint | undefined; readonly ahead?: Ahead };

/** What was read behind an attempt to append, in the same round trip: the slots that come next, and behind them likely records. */
interface Ahead {
  readonly slots: BigUint64Array;
  readonly pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** Makes the operations of a record out of the state, or throws what is wrong with it. Empty: nothing to append. */
export type Draft = (state: NamespaceState, index: number) => readonly Operation[];

/**
 * A client's copy of the namespace, and how it follows and writes the log (one protocol at a time: its user sees to
 * that). The log's slots decide: whoever swings the next empty one to its record comes next, everybody else applies
 * that record and tries again.
 */
export class NamespaceReplica {
  readonly geometry: Geometry;
  state: NamespaceState;
  /** The root as it was seen last, and the index of its snapshot. */
  root = { word: 0n, index: 1 };
  /** Hears of each record that was applied. */
  onRecord: (record: LogRecord) => void = () => undefined;
  /** Hears that records were skipped: the state was loaded anew from a snapshot. */
  onReload: (before: NamespaceState) => void = () => undefined;
  /** Hears what records do. */
  listener: StateListener | undefined;
  #author: Author | undefined;
  #sequence = 0;
  readonly #rivals: Rivals;
  /** Reserve groups that a snapshot of ours, not yet swung to, lies in. */
  readonly #constructing = new Set<number>();

  constructor(geometry: Geometry) {
    this.geometry = geometry;
    this.#rivals = new Rivals(geometry);
    this.state = this.#adopt(new NamespaceState(geometry.pageSize));
  }

  get index(): number {
    return this.state.index;
  }
  /** Bytes of tree that fit a snapshot, so that there is always room for the next one beside it. */
  get weightLimit(): number {
    const { reserveGroups, groupPages, pageSize, principalSlots } = this.geometry;
    const half = (Math.floor(reserveGroups / 2) || 1) * groupPages * pageSize;
    return half - snapshotHeaderBytes - principalSlots * bytesPerPrincipal;
  }

  /** From now on appends are made in that name. To be called before `load`, so that live records in the arena are seen. */
  writeAs(author: Author): void {
    this.#author = author;
    this.#sequence = 0;
  }

  #adopt(state: NamespaceState): NamespaceState {
    state.listener = {
      released: (page, pages, index) => this.listener?.released(page, pages, index),
      kept: (page, pages) => this.listener?.kept(page, pages),
      removed: (inode, index) => this.listener?.removed(inode, index),
    };
    return state;
  }

  // ---- reading

  /** Begins with the snapshot that the root points at, if any. @throws `Damaged`. */
  *load(): Protocol<void> {
    yield* retried(() => this.#loadOnce());
  }

  *#loadOnce(): Protocol<void> {
    const rootOffset = this.geometry.controlOffset + controlFields.root;
    for (;;) {
      const word = (yield load(rootOffset)) as bigint;
      const { page } = decodeRoot(word);
      if (page === 0) {
        // No snapshot yet: what was replayed so far is as good as anything.
        this.root = { word, index: 1 };
        return;
      }
      // What we have may be as new as the snapshot: then its index alone is news.
      const current = this.state.index > 1;
      if (current && word === this.root.word && this.state.index >= this.root.index) return;
      const header = yield* this.#header(page);
      const enough = current && header !== undefined && header.index <= this.state.index;
      const body = header === undefined || enough ? undefined : yield* this.#body(header);
      const again = (yield load(rootOffset)) as bigint;
      if (again !== word) continue;
      if (header === undefined || (body === undefined && !enough)) {
        throw new ExomemError('Damaged', 'the snapshot of the namespace is damaged');
      }
      this.root = { word, index: header.index };
      if (body === undefined) return;
      const skipped = current;
      const before = this.state;
      this.state = this.#adopt(decodeState(body, this.geometry.pageSize, header.index));
      if (skipped) this.onReload(before);
      return;
    }
  }

  *#header(page: number): Protocol<SnapshotHeader | undefined> {
    const offset = page * 4096;
    if (offset + snapshotHeaderBytes > this.geometry.copyOffset) return undefined;
    const bytes = new Uint8Array(snapshotHeaderBytes);
    yield read(offset, bytes);
    const header = decodeSnapshotHeader(bytes);
    if (header === undefined) return undefined;
    const { groupPages, pageSize, groupCount } = this.geometry;
    let room = -snapshotHeaderBytes;
    for (const { group, groups } of header.runs) {
      if (group < userGroups(this.geometry) || group + groups > groupCount) return undefined;
      room += groups * groupPages * pageSize;
    }
    if (header.length > room || header.runs[0]?.group !== this.#groupOfOffset(offset)) return undefined;
    return header;
  }

  *#body(header: SnapshotHeader): Protocol<Uint8Array | undefined> {
    const body = new Uint8Array(header.length);
    for (const { offset, from, to } of this.#pieces(header.runs, header.length))
      yield read(offset, body.subarray(from, to));
    return crc32c(body) === header.checksum ? body : undefined;
  }

  #groupOfOffset(offset: number): number {
    return (offset - this.geometry.dataOffset) / (this.geometry.groupPages * this.geometry.pageSize);
  }

  /** Where the bytes of a body lie: behind the header, run after run. */
  #pieces(runs: readonly SnapshotRun[], length: number): { offset: number; from: number; to: number }[] {
    const pieces: { offset: number; from: number; to: number }[] = [];
    const groupBytes = this.geometry.groupPages * this.geometry.pageSize;
    let at = 0;
    for (const [number, { group, groups }] of runs.entries()) {
      const skip = number === 0 ? snapshotHeaderBytes : 0;
      const start = this.geometry.dataOffset + group * groupBytes + skip;
      const end = start + groups * groupBytes - skip;
      for (let offset = start; offset < end && at < length; ) {
        const count = Math.min(bodyChunk, end - offset, length - at);
        pieces.push({ offset, from: at, to: at + count });
        offset += count;
        at += count;
      }
    }
    return pieces;
  }

  /** Applies everything that the log has. How many records that were. */
  *catchUp(): Protocol<number> {
    return yield* retried(() => this.#catchUpOnce());
  }

  *#catchUpOnce(): Protocol<number> {
    const start = this.state.index;
    let stalls = 0;
    for (let slots = 1; ; slots = Math.min(slotChunk, slots * 8)) {
      const index = this.state.index;
      const words = yield* this.#slots(index, slots);
      let ready = 0;
      let truncated = false;
      for (; ready < words.length; ready++) {
        const lap = this.#lap(index + ready);
        const slot = decodeSlot(words[ready]!);
        truncated = slot.lap > lap;
        if (slot.lap !== lap || slot.address === 0) break;
      }
      for (let at = 0; at < ready; at += recordChunk) {
        const records = yield* this.#records(index + at, words.slice(at, Math.min(ready, at + recordChunk)));
        for (const record of records) {
          if (record === undefined) {
            truncated = true;
            break;
          }
          this.#apply(record.record, record.offset, record.bytes);
        }
        if (truncated) break;
      }
      if (truncated) {
        // A snapshot has passed us, or something is broken: the root tells which.
        const before = this.root.word;
        yield* this.#loadOnce();
        if (this.root.word === before && this.state.index === index && ++stalls > 2) {
          throw new ExomemError('Damaged', `the record of log index ${index} is damaged`);
        }
        continue;
      }
      if (ready < words.length) return Math.max(0, this.state.index - start);
    }
  }

  *#slots(index: number, count: number): Protocol<bigint[]> {
    const { logSlots } = this.geometry;
    const most = Math.min(count, logSlots - (index % logSlots));
    if (most === 1) return [(yield load(logSlotOffset(this.geometry, index))) as bigint];
    const words = new BigUint64Array(most);
    yield read(logSlotOffset(this.geometry, index), new Uint8Array(words.buffer));
    return [...words];
  }

  *#records(
    index: number,
    slots: readonly bigint[],
  ): Protocol<({ record: LogRecord; offset: number; bytes: number } | undefined)[]> {
    const buffers: Uint8Array[] = [];
    const steps: MemoryStep[] = [];
    const offsets: number[] = [];
    for (const slot of slots) {
      const offset = decodeSlot(slot).address * recordUnit;
      if (offset + recordUnit > this.geometry.regionBytes) return [undefined];
      const bytes = new Uint8Array(Math.min(firstRead, this.geometry.regionBytes - offset));
      offsets.push(offset);
      buffers.push(bytes);
      steps.push(read(offset, bytes));
    }
    if (steps.length === 1) yield steps[0]!;
    else yield batch(steps);
    const found: ({ record: LogRecord; offset: number; bytes: number } | undefined)[] = [];
    for (let at = 0; at < slots.length; at++) {
      let bytes = buffers[at]!;
      const length = recordLength(bytes);
      if (length > bytes.length) {
        bytes = new Uint8Array(length);
        yield read(offsets[at]!, bytes);
      }
      const record = length === 0 ? undefined : decodeRecord(bytes, index + at, this.#lap(index + at));
      found.push(record === undefined ? undefined : { record, offset: offsets[at]!, bytes: length });
      if (record === undefined) break;
    }
    return found;
  }

  #apply(record: LogRecord, offset: number, bytes: number): void {
    this.#author?.arena.keep(record.index, offset, bytes);
    this.#rivals.saw(record.index, offset, bytes);
    this.state.apply(record);
    this.onRecord(record);
  }

  #lap(index: number): number {
    return Math.floor(index / this.geometry.logSlots);
  }

  // ---- appending

  /**
   * Appends what `draft` makes of the state, as one record: all of it or nothing. The record's index; -1 if there was
   * nothing to append.
   * @throws what `draft` throws on a state that was current; `Fenced`, `NamespaceFull`, `OutOfRange` (over a record).
   */
  *append(draft: Draft): Protocol<number> {
    const author = this.#author;
    if (author === undefined) throw new ExomemError('PermissionDenied', 'this client only looks at the region');
    const { identity, arena } = author;
    for (;;) {
      let operations: readonly Operation[];
      try {
        this.#checkFence(identity);
        operations = draft(this.state, this.state.index);
        this.#checkWeight(operations);
      } catch (error) {
        // Perhaps the state was old: what is thrown must be true of the newest.
        if ((yield* this.catchUp()) > 0) continue;
        throw error;
      }
      if (operations.length === 0) return -1;
      const index = this.state.index;
      const lap = this.#lap(index);
      if (lap > maxLap - 1) throw new ExomemError('RegionFull', 'the log of this region has run through all its laps');
      const last = this.state.sequences.get(identity.principal);
      const known = last?.incarnation === identity.incarnation ? last.sequence : 0;
      this.#sequence = Math.max(this.#sequence, known);
      const record: LogRecord = {
        index,
        lap,
        author: identity.principal,
        incarnation: identity.incarnation,
        sequence: this.#sequence + 1,
        operations,
      };
      const bytes = encodeRecord(record);
      const offset = arena.find(bytes.length);
      if (offset < 0) {
        yield* this.makeRoom();
        continue;
      }
      // The place is taken from now on: while nobody knows whether the slot points at it, nothing else may be written there.
      arena.keep(index, offset, bytes.length);
      const outcome = yield* this.#publish(record, offset, bytes);
      if (outcome === 'applied') {
        this.#sequence++;
        this.#apply(record, offset, bytes.length);
        return index;
      }
      if (outcome === 'passed') {
        // The slot has moved on to another lap while we did not know: the table of sequences tells.
        yield* this.catchUp();
        const now = this.state.sequences.get(identity.principal);
        if (now?.incarnation === identity.incarnation && now.sequence >= record.sequence) {
          this.#sequence = now.sequence;
          return index;
        }
        continue;
      }
      arena.giveBack(index, offset);
      if (outcome === 'full') yield* this.makeRoom();
      else if (outcome.winner === undefined) yield* this.catchUp();
      else {
        const left = this.#applyAhead(outcome.winner, outcome.ahead);
        if (left !== undefined) yield* this.#overtaken(this.state.index, left);
      }
    }
  }

  /** Applies the records of those who were faster, as far as they were read ahead. The slot of the first that was not. */
  #applyAhead(winner: bigint, ahead: Ahead | undefined): bigint | undefined {
    if (ahead === undefined) return winner;
    for (const slot of [winner, ...ahead.slots]) {
      const { index } = this.state;
      const { lap, address } = decodeSlot(slot);
      const offset = address * recordUnit;
      if (lap === this.#lap(index) && address === 0) return undefined;
      const piece = ahead.pieces.find((one) => offset >= one.offset && offset < one.offset + one.bytes.length);
      const bytes = piece?.bytes.subarray(offset - piece.offset) ?? nothing;
      const length = recordLength(bytes);
      const whole = length > 0 && length <= bytes.length;
      const record = whole ? decodeRecord(bytes, index, this.#lap(index)) : undefined;
      if (record === undefined) return slot;
      this.#apply(record, offset, length);
    }
    return undefined;
  }

  /** Applies the record of the one who was faster, and looks meanwhile whether others came behind it. */
  *#overtaken(index: number, slot: bigint): Protocol<void> {
    const { regionBytes } = this.geometry;
    const offset = decodeSlot(slot).address * recordUnit;
    const bytes = new Uint8Array(Math.max(0, Math.min(firstRead, regionBytes - offset)));
    // What is not as it must be is for `catchUp` to judge, and so is what is long.
    if (bytes.length < recordUnit) return void (yield* this.catchUp());
    const next = load(logSlotOffset(this.geometry, index + 1));
    const answer = (yield* surely(batch([read(offset, bytes), next]))) as BatchAnswer;
    const length = recordLength(bytes);
    const whole = length > 0 && length <= bytes.length;
    const record = whole ? decodeRecord(bytes, index, this.#lap(index)) : undefined;
    if (record === undefined) return void (yield* this.catchUp());
    this.#apply(record, offset, length);
    const { lap, address } = decodeSlot(answer[1] as bigint);
    if (lap !== this.#lap(index + 1) || address !== 0) yield* this.catchUp();
  }

  /**
   * Writes the record and swings the slot to it, in one round trip; behind that it reads what it takes to try again at once,
   * should somebody have been faster whose next record is where it is likely to be.
   */
  *#publish(record: LogRecord, offset: number, bytes: Uint8Array): Protocol<Outcome> {
    const at = logSlotOffset(this.geometry, record.index);
    const empty = encodeSlot(record.lap, 0);
    const ours = encodeSlot(record.lap, offset / recordUnit);
    const ahead = this.#lookAhead(record.index);
    const steps: MemoryStep[] = [write(offset, bytes), compareExchange(at, empty, ours)];
    if (ahead !== undefined) {
      const { slots, pieces } = ahead;
      if (slots.length > 0) steps.push(read(at + 8, new Uint8Array(slots.buffer)));
      for (const piece of pieces) steps.push(read(piece.offset, piece.bytes));
    }
    for (;;) {
      let found: bigint;
      try {
        const answer = (yield batch(steps)) as BatchAnswer;
        found = answer[1] as bigint;
      } catch (error) {
        if (!interrupted(error)) throw error;
        found = (yield* reloadWords([at]))[0]!;
        // Known now: it has not happened and cannot any more. Only then is the record written again.
        if (found === empty) continue;
        if (found === ours) return 'applied';
        return decodeSlot(found).lap > record.lap ? 'passed' : { winner: undefined };
      }
      if (found === empty) return 'applied';
      const { lap } = decodeSlot(found);
      if (lap < record.lap) return 'full';
      return { winner: lap === record.lap ? found : undefined, ahead };
    }
  }

  /** Undefined: nobody else has appended for a while. */
  #lookAhead(index: number): Ahead | undefined {
    const places = this.#rivals.places(index, this.#author!.arena.offset, firstRead);
    if (places.length === 0) return undefined;
    const { logSlots } = this.geometry;
    // Those of the same lap: they lie in a row.
    const slots = new BigUint64Array(Math.min(places.length, logSlots - 1 - (index % logSlots)));
    const pieces = places.map(({ offset, length }) => ({ offset, bytes: new Uint8Array(length) }));
    return { slots, pieces };
  }

  #checkFence(identity: Identity): void {
    if ((this.state.fences.get(identity.principal) ?? -1) >= identity.incarnation) {
      throw fenced('another client took over this principal');
    }
  }

  #checkWeight(operations: readonly Operation[]): void {
    if (this.state.weight < this.weightLimit - recordLimit * 2) return;
    if (operations.every(({ op }) => shrinking.has(op))) return;
    throw new ExomemError(
      'NamespaceFull',
      `the directory tree of this region is limited to ${Math.floor(this.weightLimit)} bytes`,
    );
  }

  // ---- snapshots

  /** Whether it is time for a snapshot: the log is three quarters full, or there are many records for a newcomer to read. */
  snapshotDue(records = this.geometry.logSlots): boolean {
    const since = this.state.index - this.root.index;
    return (
      since >= Math.min(records, Math.floor(this.geometry.logSlots * 0.75)) || (this.#author?.arena.fill ?? 0) > 0.75
    );
  }

  /** Gets room in the log and in the own arena: by a snapshot of somebody else, or by one of ours. */
  *makeRoom(): Protocol<void> {
    const before = this.root.index;
    yield* this.catchUp();
    yield* this.load();
    if (this.root.index > before) {
      this.#author?.arena.forget(this.root.index);
      yield* this.#truncate(this.root.index);
      return;
    }
    yield* this.snapshot();
  }

  /** Cuts a snapshot of the state as it is after catching up, and truncates the log below it. */
  *snapshot(): Protocol<void> {
    const author = this.#author;
    if (author === undefined) throw new ExomemError('PermissionDenied', 'this client only looks at the region');
    const rootOffset = this.geometry.controlOffset + controlFields.root;
    yield* this.catchUp();
    const index = this.state.index;
    const body = encodeState(this.state);
    const groupBytes = this.geometry.groupPages * this.geometry.pageSize;
    const groups = yield* this.#claimReserve(
      Math.ceil((body.length + snapshotHeaderBytes) / groupBytes),
      author.identity,
    );
    let swung = false;
    try {
      const runs = joinRuns(groups);
      const header: SnapshotHeader = { index, length: body.length, checksum: crc32c(body), runs };
      for (const { offset, from, to } of this.#pieces(runs, body.length)) {
        yield* surely(write(offset, body.subarray(from, to)));
      }
      const start = this.geometry.dataOffset + runs[0]!.group * groupBytes;
      yield* surely(write(start, encodeSnapshotHeader(header)));
      for (;;) {
        yield* this.load();
        if (this.root.index >= index) break;
        const { version } = decodeRoot(this.root.word);
        if (version >= maxUserRootVersion)
          throw new ExomemError('RegionFull', 'this region has had all the snapshots it can');
        const principal = (yield* surely(
          load(principalWordOffset(this.geometry, author.identity.principal)),
        )) as bigint;
        if (principal !== author.identity.word) throw fenced('another client took over this principal');
        const next = encodeRoot(version + 1, start / 4096);
        if ((yield* exchangeSurely(rootOffset, this.root.word, next)) === this.root.word) {
          this.root = { word: next, index };
          swung = true;
          break;
        }
      }
    } finally {
      for (const group of groups) this.#constructing.delete(group);
      // If this failed they are ours, and of no use.
      this.#judgedRoot = undefined;
    }
    if (!swung) yield* this.#releaseReserve(groups, author.identity);
    yield* this.#truncate(this.root.index);
    author.arena.forget(this.root.index);
    yield* this.judgeReserve();
  }

  /** Frees own groups of the reserve that no snapshot lies in any more. How many. */
  *judgeReserve(): Protocol<number> {
    const author = this.#author;
    if (author === undefined) return 0;
    const own = ownerHalf(author.identity.principal, author.identity.incarnation);
    const mine = yield* this.#reserveOf(own);
    if (mine.length === 0) this.#reserved = false;
    const idle = mine.filter((group) => !this.#constructing.has(group));
    if (idle.length === 0) return 0;
    // The words first, then the root: a snapshot that is swung to later is under construction still, or not ours.
    const named = yield* this.#rootGroups();
    const free = idle.filter((group) => !named.has(group));
    yield* this.#releaseReserve(free, author.identity);
    return free.length;
  }

  /** The same, if there may be such groups and the root has moved since this was looked at last, by whomever. How many. */
  *tidyReserve(): Protocol<number> {
    if (!this.#reserved) return 0;
    const word = (yield* surely(load(this.geometry.controlOffset + controlFields.root))) as bigint;
    if (word === this.#judgedRoot) return 0;
    const freed = yield* this.judgeReserve();
    this.#judgedRoot = word;
    return freed;
  }
  /** Groups of the reserve may be ours. */
  #reserved = false;
  #judgedRoot: bigint | undefined;

  /** The groups that the newest snapshot lies in. @throws `Damaged`. */
  *#rootGroups(): Protocol<Set<number>> {
    const rootOffset = this.geometry.controlOffset + controlFields.root;
    for (;;) {
      const named = new Set<number>();
      const word = (yield* surely(load(rootOffset))) as bigint;
      const { page } = decodeRoot(word);
      if (page === 0) return named;
      const header = yield* retried(() => this.#header(page));
      if (((yield* surely(load(rootOffset))) as bigint) !== word) continue;
      if (header === undefined) throw new ExomemError('Damaged', 'the snapshot of the namespace is damaged');
      for (const { group, groups } of header.runs) for (let at = 0; at < groups; at++) named.add(group + at);
      return named;
    }
  }

  /**
   * Takes over the reserve groups of another principal, in that and lower incarnations: what the root's snapshot lies
   * in becomes ours, the rest free. Of a dead one the root was sealed before. How many.
   */
  *takeReserve(principal: number, incarnation: number): Protocol<number> {
    const author = this.#author;
    if (author === undefined) throw new ExomemError('PermissionDenied', 'this client only looks at the region');
    const first = userGroups(this.geometry);
    const high = ownerHalf(author.identity.principal, author.identity.incarnation);
    const words = yield* this.#reserveWords();
    let taken = 0;
    let named: Set<number> | undefined;
    for (let at = 0; at < words.length / 2; at++) {
      const theirs = words[2 * at + 1]!;
      if (theirs >>> 16 !== principal || (theirs & 0xffff) > incarnation || theirs === high) continue;
      named ??= yield* this.#rootGroups();
      // Where the root points may change before the word does: it is judged once more.
      this.#reserved = true;
      this.#judgedRoot = undefined;
      const expected = joinWord(theirs, words[2 * at]!);
      const desired = named.has(first + at) ? joinWord(high, words[2 * at]!) : 0n;
      if ((yield* exchangeSurely(groupWordOffset(this.geometry, first + at), expected, desired)) === expected) taken++;
    }
    return taken;
  }

  /**
   * Swings the root to where it points already, with a new version: a compareExchange on it that a dead one has on its way
   * fails.
   */
  *seal(): Protocol<void> {
    const rootOffset = this.geometry.controlOffset + controlFields.root;
    for (;;) {
      const word = (yield* surely(load(rootOffset))) as bigint;
      const { version, page } = decodeRoot(word);
      // At the last version nothing swings it any more: it counts as sealed.
      if (version >= maxRootVersion) return;
      const sealed = encodeRoot(version + 1, page);
      if ((yield* exchangeSurely(rootOffset, word, sealed)) !== word) continue;
      if (this.root.word === word) this.root = { ...this.root, word: sealed };
      return;
    }
  }

  /**
   * Appends that nothing counts any more that a principal appends in that incarnation or a lower one, unless the log says so already.
   * @param adopt what it had goes on as its next incarnation's; else it is dead: only who has set or seen it DYING may say so
   */
  *fence(principal: number, incarnation: number, adopt = false): Protocol<void> {
    yield* this.append((state) =>
      (state.fences.get(principal) ?? -1) >= incarnation ? [] : [{ op: 'fence', principal, incarnation, adopt }],
    );
  }

  /** Ends the files that end with a principal, which ends now and is the author's own. Its files must be known: catch up before. */
  *disown({ principal, incarnation }: FileOwner): Protocol<void> {
    yield* this.append((state) =>
      state.ownedBy(principal, incarnation).length === 0 ? [] : [{ op: 'disown', principal, incarnation }],
    );
  }

  /** Own groups of the reserve. */
  *#reserveOf(high: number): Protocol<number[]> {
    const first = userGroups(this.geometry);
    const words = yield* this.#reserveWords();
    const found: number[] = [];
    for (let at = 0; at < words.length / 2; at++) if (words[2 * at + 1] === high) found.push(first + at);
    return found;
  }

  *#reserveWords(): Protocol<Uint32Array> {
    const words = new Uint32Array(2 * this.geometry.reserveGroups);
    yield* surely(read(groupWordOffset(this.geometry, userGroups(this.geometry)), new Uint8Array(words.buffer)));
    return words;
  }

  /** Whether this principal owns groups of the reserve. */
  *ownsReserve(): Protocol<boolean> {
    const author = this.#author;
    if (author === undefined) return false;
    const high = ownerHalf(author.identity.principal, author.identity.incarnation);
    return (yield* this.#reserveOf(high)).length > 0;
  }

  *#claimReserve(count: number, identity: Identity): Protocol<number[]> {
    const first = userGroups(this.geometry);
    const high = ownerHalf(identity.principal, identity.incarnation);
    const claimed: number[] = [];
    try {
      for (let attempt = 0; ; attempt++) {
        const words = yield* this.#reserveWords();
        for (let at = 0; at < words.length / 2 && claimed.length < count; at++) {
          if (words[2 * at + 1] !== 0) continue;
          const group = first + at;
          const expected = joinWord(0, words[2 * at]!);
          const desired = joinWord(high, repeatBits(this.geometry.groupPages, pageBits.withheld));
          this.#constructing.add(group);
          this.#reserved = true;
          if ((yield* exchangeSurely(groupWordOffset(this.geometry, group), expected, desired)) === expected)
            claimed.push(group);
          else this.#constructing.delete(group);
        }
        const principal = (yield* surely(load(principalWordOffset(this.geometry, identity.principal)))) as bigint;
        if (principal !== identity.word) throw fenced('another client took over this principal');
        if (claimed.length === count && joinRuns(claimed).length <= mostRuns) return claimed;
        if (attempt >= 20)
          throw new ExomemError('RegionFull', `no room for a snapshot of ${count} groups in the reserve`);
        yield* this.judgeReserve();
        // The one before the last belongs to whoever cut it, who frees it at the next heartbeat.
        yield pause(50);
      }
    } catch (error) {
      for (const group of claimed) this.#constructing.delete(group);
      yield* this.#releaseReserve(claimed, identity);
      throw error;
    }
  }

  *#releaseReserve(groups: readonly number[], identity: Identity): Protocol<void> {
    const high = ownerHalf(identity.principal, identity.incarnation);
    const full = joinWord(high, repeatBits(this.geometry.groupPages, pageBits.withheld));
    for (const group of groups) yield* exchangeSurely(groupWordOffset(this.geometry, group), full, 0n);
  }

  /** Makes the slots below `index` ready for the next lap. */
  *#truncate(index: number): Protocol<void> {
    const { logSlots } = this.geometry;
    for (let at = Math.max(0, index - logSlots); at < index; ) {
      const count = Math.min(slotChunk, index - at, logSlots - (at % logSlots));
      const words = new BigUint64Array(count);
      yield* surely(read(logSlotOffset(this.geometry, at), new Uint8Array(words.buffer)));
      const steps: WordStep[] = [];
      for (const [number, word] of words.entries()) {
        const lap = this.#lap(at + number);
        if (decodeSlot(word).lap !== lap) continue;
        steps.push(compareExchange(logSlotOffset(this.geometry, at + number), word, encodeSlot(lap + 1, 0)));
      }
      // Whatever becomes of one of these: it happens once, by us or by another, and is the same.
      if (steps.length > 0) yield* surely(batch(steps));
      at += count;
    }
  }
}

function joinRuns(groups: readonly number[]): SnapshotRun[] {
  const runs: { group: number; groups: number }[] = [];
  for (const group of groups) {
    const last = runs.at(-1);
    if (last !== undefined && last.group + last.groups === group) last.groups++;
    else runs.push({ group, groups: 1 });
  }
  return runs;
}
