import { surely } from '../policy/resolve.js';
import type { Protocol, Step, StepResult } from '../protocol/protocol.js';
import {
  controlFields,
  type Geometry,
  groupWordOffset,
  memberFields,
  pageOffset,
  principalWordOffset,
  userGroups,
} from '../region/geometry.js';
import { memberState } from '../region/words.js';
import { type BatchAnswer, read } from '../transport/step.js';
import { type Counts, countPages } from './counts.js';
import { type DataImage, readDataImage } from './data-image.js';
import { type LockImage, readLock } from './lock-image.js';
import { type LogImage, readLog } from './log-image.js';
import { type MailImage, readMail } from './mail-image.js';
import { type MemberImage, readMemberImages } from './member-image.js';
import { NamedPages } from './named-pages.js';
import { Standings } from './standing.js';
import { readSuperblocks, type SuperblockImage } from './superblock-image.js';

/** Bytes that one step reads. */
const chunk = 256 * 1024;

/** A region, read once: as its bytes were, whatever they mean. */
export interface RegionImage {
  /** Bytes that the region really has. */
  readonly size: number;
  readonly superblock: SuperblockImage;
  /** Of a data region of its own. */
  readonly data?: DataImage | undefined;
  /** Undefined: no superblock says where they lie. */
  readonly tables: Tables | undefined;
}

/**
 * Reads a region through one-sided reads. What it keeps in memory: the tables (half a byte a page, 8 bytes a log slot), and
 * the namespace. Bad bytes are kept as they are; it throws what the session throws for good, and nothing else.
 *
 * The tables are read in the order in which nothing can look newer than what it must not be newer than, where others
 * change them meanwhile: words, then the principals that they name, then mailboxes, then the members that these name, then the log.
 * @param size bytes of the region
 */
export function* readImage(size: number): Protocol<RegionImage> {
  const superblock = yield* readSuperblocks(size);
  const { block } = superblock;
  if (block === undefined) return { size, superblock, tables: undefined };
  const { geometry } = block;
  // Before the members, which are always ahead of their gates.
  const data = yield* readDataImage(block);
  const words = new Uint32Array(2 * geometry.groupCount);
  yield* fill(geometry.groupOffset, words);
  const principals = new BigUint64Array(geometry.principalSlots + 1);
  yield* fill(geometry.principalOffset, principals);
  const mail = yield* readMail(geometry);
  const members = yield* readMemberImages(geometry);
  const lock = yield* readLock(geometry);
  const log = yield* readLog(geometry);
  return { size, superblock, data, tables: new Tables({ geometry, words, principals, mail, members, lock, log }) };
}

/** Memory that answers at once: a region in this process, or a simulated one. */
export interface ReadableMemory {
  readonly size: number;
  load(offset: number): bigint;
  read(offset: number, target: Uint8Array): void;
}

/** {@link readImage} of memory that nobody changes meanwhile: of one instant. */
export function imageOf(memory: ReadableMemory): RegionImage {
  const protocol = readImage(memory.size);
  const perform = (step: Step): StepResult => {
    if (step.op === 'load') return memory.load(step.offset);
    if (step.op === 'batch') return step.steps.map((one) => perform(one)) as BatchAnswer;
    // Of all steps a reading has no others.
    if (step.op === 'read') memory.read(step.offset, step.bytes);
    return undefined;
  };
  let state = protocol.next();
  while (!state.done) state = protocol.next(perform(state.value));
  return state.value;
}

function* fill(offset: number, words: Uint32Array | BigUint64Array): Protocol<void> {
  for (let at = 0; at < words.byteLength; at += chunk) {
    const length = Math.min(chunk, words.byteLength - at);
    yield* surely(read(offset + at, new Uint8Array(words.buffer, words.byteOffset + at, length)));
  }
}

interface Bytes {
  readonly geometry: Geometry;
  readonly words: Uint32Array;
  readonly principals: BigUint64Array;
  readonly mail: MailImage | undefined;
  readonly members: readonly MemberImage[];
  readonly lock: LockImage;
  readonly log: LogImage;
}

/** The tables of a region, and what follows from them. */
export class Tables implements Bytes {
  readonly geometry: Geometry;
  /** Two 32-bit halves a group, the low one first. */
  readonly words: Uint32Array;
  /** By number; 0 is unused. */
  readonly principals: BigUint64Array;
  /** Of a region of the variant `message`. */
  readonly mail: MailImage | undefined;
  readonly members: readonly MemberImage[];
  readonly lock: LockImage;
  readonly log: LogImage;
  /** Whose words are whose. */
  readonly standings: Standings;
  #named: NamedPages | undefined;
  #counts: Counts | undefined;

  constructor({ geometry, words, principals, mail, members, lock, log }: Bytes) {
    this.geometry = geometry;
    this.words = words;
    this.principals = principals;
    this.mail = mail;
    this.members = members;
    this.lock = lock;
    this.log = log;
    this.standings = new Standings(principals, members);
  }

  /** Pages that the namespace refers to. Means something only if `log.complete`. */
  get named(): NamedPages {
    this.#named ??= new NamedPages(this.log.state, this.userPages);
    return this.#named;
  }
  get counts(): Counts {
    this.#counts ??= countPages(this);
    return this.#counts;
  }

  /** Pages that allocations can take: those of the reserve are not among them. */
  get userPages(): number {
    return userGroups(this.geometry) * this.geometry.groupPages;
  }
  /** Whether somebody is there who tidies up. */
  get attended(): boolean {
    return this.members.some(({ state }) => state === memberState.active);
  }

  high(group: number): number {
    return this.words[2 * group + 1]!;
  }
  low(group: number): number {
    return this.words[2 * group]!;
  }
  groupOf(page: number): number {
    return Math.floor(page / this.geometry.groupPages);
  }
  /** The two bits of a page. */
  bits(page: number): number {
    const group = this.groupOf(page);
    return (this.low(group) >>> (30 - 2 * (page - group * this.geometry.groupPages))) & 3;
  }

  wordAt(group: number): number {
    return groupWordOffset(this.geometry, group);
  }
  pageAt(page: number): number {
    return pageOffset(this.geometry, page);
  }
  principalAt(principal: number): number {
    return principalWordOffset(this.geometry, principal);
  }
  w1At(member: MemberImage): number {
    return member.offset + memberFields.w1;
  }
  get rootAt(): number {
    return this.geometry.controlOffset + controlFields.root;
  }
  get lockAt(): number {
    return this.geometry.controlOffset + controlFields.lock;
  }
}
