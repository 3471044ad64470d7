import type { Exclusion } from '../protocol/exclusion.js';
import type { Member } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import type { Superblock } from '../region/superblock.js';
import type { ManyRequest } from './many.js';
import type { Placement } from './placement.js';

/** Whose name an allocator acts in. It learns of a change (a new incarnation) by a new allocator. */
export interface Identity {
  /** 1 up. */
  readonly principal: number;
  readonly incarnation: number;
  /** The principal's word while it is ACTIVE and ours: every claim reads it again (fencing). */
  readonly word: bigint;
}

/** A run of pages that an allocator has given out. It is worth something once: whoever frees it has no other use of it. */
export interface Extent {
  /** The first page, counted over all groups of the region. */
  readonly page: number;
  readonly pages: number;
  /** False once it was freed, or is being freed. */
  readonly live: boolean;
}

export interface AllocationRequest {
  /** 1 up to the longest run of the region. */
  readonly pages: number;
  /** Bytes, a power of two: the offset in the region is a multiple of it. Default: the page size. */
  readonly alignment?: number;
  /**
   * `zero`: every byte is 0. `none`: bytes that this principal wrote itself, or 0. `caller`: the caller writes every
   * byte before anyone else can read one; only for `named`.
   */
  readonly initialise: 'zero' | 'none' | 'caller';
  /** The pages are to become part of a named file: they are withheld (11) from the start, and the log decides. */
  readonly named?: boolean;
  /**
   * Milliseconds for which a request that finds nothing looks again at a table that others keep changing; then
   * `DeadlineExceeded`. Default 10,000. A table that holds still is believed at once.
   */
  readonly timeout?: number;
}

/** How full a region is. Counts of pages. */
export interface Usage {
  readonly total: number;
  /** In groups that nobody owns. */
  readonly free: number;
  /** Free pages inside groups that somebody owns. */
  readonly room: number;
  /** Given out: heads and continuations. */
  readonly held: number;
  /** Withheld (11): under construction, or a page of a named file or snapshot. */
  readonly withheld: number;
  /** The longest run of free groups, in pages. */
  readonly largestRun: number;
  /** The same for each principal that owns a group: room, held, withheld. */
  readonly principals: ReadonlyMap<number, { groups: number; room: number; held: number; withheld: number }>;
}

/** What {@link Allocator.suspects} answers; of use to {@link Allocator.judge} alone. */
export type Suspects = readonly object[];

/** A contradiction that `validate()` found. */
export interface Violation {
  readonly law: string;
  readonly what: string;
}

/**
 * What chooses space, for one principal. Its methods are protocols: generators of one-sided steps. Several may be
 * under way at once on one allocator.
 */
export interface Allocator {
  readonly identity: Identity;
  /**
   * Claims a run of pages and records it, in one atomic step of the shared structure.
   * @throws `OutOfRange` (a request no region of this size can meet, or no positive whole number), `RegionFull`,
   * `Fragmented`, `Fenced`, and what the session throws for good. Nothing is held after a throw.
   */
  allocate(request: AllocationRequest): Protocol<Extent>;
  /**
   * Gives a run back.
   * @throws `StaleHandle` if it was freed before, `PermissionDenied` if another allocator gave it out, `Fenced`.
   */
  free(extent: Extent): Protocol<void>;
  /**
   * Claims many runs of the same size: all of them, or nothing. Absent: the policy has no way of its own, and
   * the function `allocateMany` asks it run by run.
   * @throws as `allocate`.
   */
  allocateMany?(request: ManyRequest): Protocol<readonly Extent[]>;
  /** Gives many anonymous runs back. Absent as above. @throws as `free`; then none of them is freed. */
  freeMany?(extents: readonly Extent[]): Protocol<void>;
  /** Withheld pages that were under construction and shall not be named after all become free. Others are left alone. */
  release(page: number, pages: number): Protocol<void>;
  /** The pages of an anonymous run become withheld ones, ready to be named. The extent is spent. */
  withhold(extent: Extent): Protocol<void>;
  /** These withheld pages are named now: no construction of ours any more, the log decides about them. */
  settle(page: number, pages: number): void;
  /** Reads the table and takes into account what it shows as ours and we did not know (given or handed to us). */
  discover(): Protocol<void>;
  /** Re-tags everything of `from`, which is ours too, to this principal. */
  merge(from: Identity): Protocol<number>;
  /**
   * Re-tags everything of this principal in lower incarnations to the own one, as it is. For who acts for it anew, while its
   * word says that it is being adopted. How many groups it changed.
   * @throws `Fenced` (somebody else acts for it since).
   */
  inherit(): Protocol<number>;
  /**
   * Takes over what a dead principal left, in this and lower incarnations: anonymous pages become free, withheld ones
   * ours, to be judged. Idempotent, by any number of recoverers at once. How many groups it changed.
   * @throws `Busy` if the principal is alive in that incarnation, `Fenced`.
   */
  recover(from: { principal: number; incarnation: number }): Protocol<number>;
  /** Gives a started group with at least `pages` free pages to a principal that asked. Whether there was one. */
  giveRoom(to: { principal: number; incarnation: number }, pages: number): Protocol<boolean>;
  /**
   * What the structure says that this principal holds: a handle for each anonymous run. For an allocator that begins
   * with a principal taken from another client; what that one had begun and not committed is freed.
   */
  holdings(): Protocol<readonly Extent[]>;
  /** Frees every anonymous run and every empty group: what a leaving client does. */
  surrender(): Protocol<void>;
  /** The log names these pages no more since the record at `index`; those that are ours wait for `sweep`. */
  dismiss(page: number, pages: number, index: number): void;
  /** The log names these pages again, which it did not for a while: what waits for `sweep` of them does no more. */
  retain(page: number, pages: number): void;
  /**
   * Groups that came into our hands from others and whose withheld pages nobody has judged yet. The order matters: ask
   * this first, *then* replay the log to its end, then `judge`.
   */
  suspects(): Suspects;
  /** Dismisses every withheld page of the suspects that no name refers to. How many. */
  judge(suspects: Suspects, isNamed: (page: number) => boolean, index: number): number;
  /** Which withheld pages are named is to be judged anew, for all groups: records were missed. */
  doubtNames(): void;
  /** Frees the dismissed pages whose record every member has applied: all records below `applied`. How many. */
  sweep(applied: number): Protocol<number>;
  /** Pages that wait for `sweep`. */
  readonly dismissed: number;
  /**
   * Zeroes up to about so many pages that nobody uses and that may not be zero, of groups that nobody owns and of own ones:
   * who is given them next need not. It owns what it zeroes as any user does. Goes on where the last call ended. How many
   * pages. Absent: pages are zeroed when they are given out, and at no other time.
   */
  clean?(pages: number): Protocol<number>;
  /** The principal acts elsewhere from now on: every later call throws `Fenced`, and so do handles. */
  retire(): void;
  readonly retired: boolean;
  /** Pages that are given out. */
  readonly held: number;
  /** Pages that could be given out without asking anybody, as far as is known without a look. Absent: nobody can say. */
  readonly room?: number;
  /** Whether this principal owns any group at all. */
  readonly empty: boolean;
  inspect(): Protocol<Usage>;
  /** Holds the table against what this allocator knows, and against the format. Empty is well. */
  validate(): Protocol<Violation[]>;
  /** In words, why that run was chosen. */
  explain(extent: Extent): string;
}

/** What a policy is given. */
export interface PolicyContext {
  readonly geometry: Geometry;
  readonly identity: Identity;
  /** Where it puts what it allocates. Default: `low-fragmentation`. */
  readonly placement?: Placement | undefined;
  /** The region wants pages to be zeroed before they become free. Default: they are zeroed when they are given out again. */
  readonly wipe?: boolean;
  /** Pages that may be in use by the identity just now; undefined: any number. Asked with each allocation. */
  readonly limit?: () => number | undefined;
  /** Whether a batch can stop at its first failed compareExchange, as the transport declares. Default: it can. */
  readonly stopOnFail?: boolean;
}

/** What a coordination is given, once its client is a member. */
export interface CoordinationContext {
  readonly superblock: Pick<Superblock, 'wait' | 'configured'>;
  readonly geometry: Geometry;
  readonly member: Pick<Member, 'slot' | 'incarnation'>;
  readonly exclusion: Exclusion;
}

/**
 * How all changes of the table of group words of one member reach the region. Every protocol of the member on its main lane
 * is run through it, whatever it is about: allocation, recovery, adoption, merging, snapshots.
 */
export interface Coordinator {
  /**
   * The same protocol, which ends as that one would. What it steps on that the coordination is not about is passed on as
   * it is. Several may be under way at once.
   */
  coordinate<T>(protocol: Protocol<T>): Protocol<T>;
  /**
   * What the member owes the others for as long as it is one. It is run by itself, again and again: answers after how many
   * milliseconds.
   */
  attend?(): Protocol<number>;
  /** The last that a member does with it: it leaves. Run by itself. */
  leave?(): Protocol<void>;
}

/** A way to choose and coordinate space: what a plug-in implements and registers by name. */
export interface AllocationPolicy {
  readonly name: string;
  readonly apiVersion: 1;
  /**
   * The coordination variant of the regions that it works in: the bit of the superblock's incompatible features. Default: one
   * of its own, of which the region has the name, so that nobody else's policy is mixed with it. That of `atomic` is for a
   * policy that changes words as `atomic` does, so that its clients and those may share a region.
   */
  readonly feature?: bigint;
  /**
   * Its words are changed by plain writes, of which a late one could undo what came since: nobody is ever declared dead where
   * nobody can be shut out.
   */
  readonly writes?: true;
  create(context: PolicyContext): Allocator;
  /** Absent: each change of a word is what its protocol steps, and costs nothing more. */
  coordinate?(context: CoordinationContext): Coordinator;
}
