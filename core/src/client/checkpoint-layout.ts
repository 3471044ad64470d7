import { ExomemError } from '../errors.js';
import type { FileOwner } from '../namespace/operation.js';
import { encodeSnapshotHeader, encodeState, snapshotHeaderBytes } from '../namespace/snapshot.js';
import type { NamespaceState } from '../namespace/state.js';
import type { Occupancy } from '../policy/occupancy.js';
import type { Identity } from '../policy/policy.js';
import { decodeKeep } from '../protocol/adopt.js';
import type { MemberLine, PrincipalLine } from '../protocol/membership.js';
import { crc32c } from '../region/crc32c.js';
import {
  controlFields,
  type Geometry,
  memberFields,
  memberStride,
  pageOffset,
  principalWordOffset,
  superblockBytes,
  userGroups,
} from '../region/geometry.js';
import { encodeSuperblock, inOnePiece, type Superblock, stateOffset, superblockState } from '../region/superblock.js';
import {
  bitsOf,
  encodeMember,
  encodePrincipal,
  encodeRoot,
  encodeSlot,
  memberState,
  ownerHalf,
  pageBits,
  principalState,
  repeatBits,
  withBits,
} from '../region/words.js';

/** Pages in a row. */
export interface PageSpan {
  readonly page: number;
  readonly pages: number;
}

/** Bytes at a place of the region. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Whether a principal outlives its member, to be adopted. */
export function isKept({ state, policy }: PrincipalLine): boolean {
  return state === principalState.active && decodeKeep(policy) > 0;
}

/**
 * What the namespace comes to when all have died but `survivor` and the applications that are kept: one more record of
 * `survivor` fences them, and ends the files of whoever has ended since the log was read.
 */
export function fenceAll(state: NamespaceState, principals: readonly PrincipalLine[], survivor: Identity): void {
  const dead = principals.filter(
    (line) => line.state !== principalState.free && !isKept(line) && line.principal !== survivor.principal,
  );
  const stay = new Set([survivor, ...principals.filter(isKept)].map(nameOf));
  const owners = [...state.owned.values()].flatMap((files) => [...files].map(({ owner }) => owner!));
  const ended = new Map(owners.filter((owner) => !stay.has(nameOf(owner))).map((owner) => [nameOf(owner), owner]));
  if (dead.length === 0 && ended.size === 0) return;
  const last = state.sequences.get(survivor.principal);
  const sequence = last?.incarnation === survivor.incarnation ? last.sequence + 1 : 1;
  state.apply({
    index: state.index,
    lap: 0,
    author: survivor.principal,
    incarnation: survivor.incarnation,
    sequence,
    operations: [
      ...dead.map(({ principal, incarnation }) => ({ op: 'fence', principal, incarnation, adopt: false }) as const),
      ...[...ended.values()].map((owner) => ({ op: 'disown', ...owner }) as const),
    ],
  });
}

function nameOf({ principal, incarnation }: FileOwner): string {
  return `${principal}.${incarnation}`;
}

/** Runs of memory that applications which are kept have been given, as these words show them. */
export function keptRuns({ geometry, words }: Occupancy, principals: readonly PrincipalLine[]): PageSpan[] {
  const kept = new Set(principals.filter(isKept).map((line) => ownerHalf(line.principal, line.incarnation)));
  const found: PageSpan[] = [];
  if (kept.size === 0) return found;
  const { groupPages } = geometry;
  let run: { page: number; pages: number; high: number } | undefined;
  const end = (): void => {
    if (run !== undefined) found.push({ page: run.page, pages: run.pages });
    run = undefined;
  };
  for (let group = 0; group < userGroups(geometry); group++) {
    const high = words[2 * group + 1]!;
    if (!kept.has(high)) {
      end();
      continue;
    }
    for (let index = 0; index < groupPages; index++) {
      const bits = bitsOf(words[2 * group]!, index);
      // What continues nothing was never committed.
      if (bits === pageBits.continuation && run?.high === high) run.pages++;
      else end();
      if (bits === pageBits.head) run = { page: group * groupPages + index, pages: 1, high };
    }
  }
  end();
  return found;
}

/** Whether two looks show a run of pages the same. */
export function sameRun(before: Occupancy, after: Occupancy, { page, pages }: PageSpan): boolean {
  const { groupPages } = before.geometry;
  const bits = ({ words }: Occupancy, at: number): number => {
    const group = Math.floor(at / groupPages);
    return bitsOf(words[2 * group]!, at - group * groupPages);
  };
  for (let at = page; at < page + pages; at++) {
    const group = Math.floor(at / groupPages);
    if (before.words[2 * group + 1] !== after.words[2 * group + 1] || bits(before, at) !== bits(after, at))
      return false;
  }
  const end = page + pages;
  // What follows may have been another run, and have become a part of this one.
  const last = Math.floor(end / groupPages);
  if (last >= userGroups(before.geometry)) return true;
  const goesOn = after.words[2 * last + 1] === after.words[2 * Math.floor(page / groupPages) + 1];
  return !goesOn || bits(after, end) !== pageBits.continuation;
}

/** What the tables of a region at rest are made of. */
export interface Contents {
  readonly superblock: Superblock;
  readonly members: readonly MemberLine[];
  readonly principals: readonly PrincipalLine[];
  /** Who leaves last, and the bytes of its line. */
  readonly survivor: Identity;
  readonly slot: number;
  readonly line: Uint8Array;
  readonly state: NamespaceState;
  /** The version of the root before. */
  readonly version: number;
  /** Memory of applications, and the words that show it. */
  readonly held: readonly PageSpan[];
  readonly words: Uint32Array;
  /** Pages whose bytes are perhaps not zero although nobody has them. */
  readonly soiled: readonly PageSpan[];
}

/** Everything but the pages themselves: what is not in a piece is zero. The superblock comes last. */
export function* layOut(contents: Contents): Generator<Piece, void, undefined> {
  const { superblock, state } = contents;
  const { geometry } = superblock;
  const snapshot = snapshotOf(contents);
  yield* snapshot.pieces;
  yield { offset: geometry.groupOffset, bytes: groupWords(contents, snapshot.groups) };
  yield { offset: geometry.logOffset, bytes: emptySlots(geometry, state.index) };
  yield { offset: principalWordOffset(geometry, 0), bytes: principalWords(contents) };
  yield { offset: geometry.memberOffset, bytes: memberLines(contents) };
  const control = new DataView(new ArrayBuffer(4096));
  const root = encodeRoot(contents.version + 1, snapshot.offset / 4096);
  control.setBigUint64(controlFields.root, root, true);
  yield { offset: geometry.controlOffset, bytes: new Uint8Array(control.buffer) };
  const block = encodeSuperblock(inOnePiece(superblock));
  yield { offset: geometry.copyOffset, bytes: block.slice() };
  new DataView(block.buffer).setBigUint64(stateOffset, BigInt(superblockState.ready), true);
  yield { offset: 0, bytes: block.subarray(0, superblockBytes) };
}

/** The namespace as a snapshot in the first groups of the reserve. */
function snapshotOf({ superblock: { geometry }, state }: Contents): {
  offset: number;
  groups: number;
  pieces: Piece[];
} {
  const body = encodeState(state);
  const groupBytes = geometry.groupPages * geometry.pageSize;
  const groups = Math.ceil((snapshotHeaderBytes + body.length) / groupBytes);
  const group = userGroups(geometry);
  if (groups > geometry.reserveGroups) {
    throw new ExomemError('NamespaceFull', `a snapshot of ${body.length} bytes does not fit the reserve`);
  }
  const header = { index: state.index, length: body.length, checksum: crc32c(body), runs: [{ group, groups }] };
  const offset = pageOffset(geometry, group * geometry.groupPages);
  const pieces = [
    { offset, bytes: encodeSnapshotHeader(header) },
    { offset: offset + snapshotHeaderBytes, bytes: body },
  ];
  return { offset, groups, pieces };
}

function groupWords({ superblock, state, survivor, held, words, soiled }: Contents, snapshot: number): Uint8Array {
  const { geometry } = superblock;
  const { groupPages, groupCount } = geometry;
  const table = new Uint32Array(2 * groupCount);
  const clean = repeatBits(groupPages, pageBits.clean);
  for (let group = 0; group < groupCount; group++) table[2 * group] = clean;
  for (const { page, pages } of soiled) {
    const last = Math.floor((page + pages - 1) / groupPages);
    for (let group = Math.floor(page / groupPages); group <= last; group++) table[2 * group] = 0;
  }
  const put = (page: number, bits: number, high: number): void => {
    const group = Math.floor(page / groupPages);
    if (table[2 * group + 1] === 0) {
      table[2 * group] = 0;
      table[2 * group + 1] = high;
    }
    table[2 * group] = withBits(table[2 * group]!, page - group * groupPages, bits);
  };
  for (const { page, pages } of held) {
    for (let at = page; at < page + pages; at++) {
      const group = Math.floor(at / groupPages);
      put(at, at === page ? pageBits.head : pageBits.continuation, words[2 * group + 1]!);
    }
  }
  const own = ownerHalf(survivor.principal, survivor.incarnation);
  for (const { extents } of [...state.inodes.values(), ...state.kept.values()]) {
    for (const { page, pages } of extents) {
      for (let at = page; at < page + pages; at++) put(at, pageBits.withheld, own);
    }
  }
  const reserve = userGroups(geometry);
  for (let group = reserve; group < reserve + snapshot; group++) {
    table[2 * group] = repeatBits(groupPages, pageBits.withheld);
    table[2 * group + 1] = own;
  }
  return new Uint8Array(table.buffer);
}

/** Every slot waits for the first index that it will serve. */
function emptySlots({ logSlots }: Geometry, next: number): Uint8Array {
  const slots = new BigUint64Array(logSlots);
  for (let index = next; index < next + logSlots; index++) {
    slots[index % logSlots] = encodeSlot(Math.floor(index / logSlots), 0);
  }
  return new Uint8Array(slots.buffer);
}

function principalWords({ superblock: { geometry }, principals, survivor }: Contents): Uint8Array {
  const words = new BigUint64Array(geometry.principalSlots + 1);
  const gone = { state: principalState.free, member: 0, memberIncarnation: 0, policy: 0 };
  for (const line of principals) {
    const stays = isKept(line) || line.principal === survivor.principal;
    words[line.principal] = stays ? line.word : encodePrincipal({ ...gone, incarnation: line.incarnation });
  }
  words[survivor.principal] = survivor.word;
  return new Uint8Array(words.buffer);
}

function memberLines({ superblock: { geometry }, members, slot, line }: Contents): Uint8Array {
  const bytes = new Uint8Array(geometry.memberSlots * memberStride);
  const view = new DataView(bytes.buffer);
  for (const { slot: one, incarnation } of members) {
    const word = encodeMember({ state: memberState.free, incarnation, beat: 0 });
    view.setBigUint64(one * memberStride + memberFields.w0, word, true);
  }
  bytes.set(line, slot * memberStride);
  const { incarnation } = members[slot]!;
  const left = encodeMember({ state: memberState.fenced, incarnation, beat: 0 });
  view.setBigUint64(slot * memberStride + memberFields.w0, left, true);
  view.setBigUint64(slot * memberStride + memberFields.wanted, 0n, true);
  return bytes;
}

/** The pages of files, in the order of the region. */
export function namedSpans(state: NamespaceState): PageSpan[] {
  const spans: PageSpan[] = [];
  for (const { extents } of state.inodes.values()) for (const { page, pages } of extents) spans.push({ page, pages });
  for (const { extents } of state.kept.values()) for (const { page, pages } of extents) spans.push({ page, pages });
  return spans.sort((a, b) => a.page - b.page);
}
