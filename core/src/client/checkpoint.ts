import { decodeState, encodeState } from '../namespace/snapshot.js';
import type { NamespaceState } from '../namespace/state.js';
import { type Occupancy, readOccupancy } from '../policy/occupancy.js';
import { surely } from '../policy/resolve.js';
import { type MemberLine, type PrincipalLine, readMembers, readPrincipals } from '../protocol/membership.js';
import { memberLineOffset, memberStride, pageOffset } from '../region/geometry.js';
import { decodeRoot, ownerHalf } from '../region/words.js';
import { read } from '../transport/step.js';
import {
  fenceAll,
  isKept,
  keptRuns,
  layOut,
  namedSpans,
  type PageSpan,
  type Piece,
  sameRun,
} from './checkpoint-layout.js';
import type { Client } from './client.js';

export type { PageSpan, Piece } from './checkpoint-layout.js';

/** What a checkpoint is made of: words first, then the principals that they name, then the members that these name. */
interface Look {
  readonly occupancy: Occupancy;
  readonly principals: readonly PrincipalLine[];
  readonly members: readonly MemberLine[];
}

/**
 * A region as it would be if, at one index of the log, everybody in it had died and been recovered by this client, and
 * that had left as the last one. The others go on meanwhile; what is put together fits all the same:
 *
 * - Names, sizes and attributes are those of the log below `index`: of files that are being written, what was flushed.
 * - No page that the log names there is used for anything else before the checkpoint is closed, because this client publishes no
 *   index beyond it. What somebody writes into pages that a file has already is of some moment of the reading.
 * - Memory of applications that are kept for adoption belongs to it if it was theirs when the reading began, and still was
 *   when it ended. Other anonymous memory is free.
 *
 * Whoever opens it finds one member that has left and was recovered by nobody, as after a restart of the appliance.
 *
 * ```ts
 * using checkpoint = await Checkpoint.begin(client);
 * for (const { page, pages } of checkpoint.pages) ... // copy them with `read`
 * for (const { offset, bytes } of await checkpoint.finish()) ... // all other bytes are zero
 * ```
 */
export class Checkpoint implements Disposable {
  /** Every record below is in it. */
  readonly index: number;
  /** Pages whose bytes belong to it, in the order of the region. */
  readonly pages: readonly PageSpan[];
  readonly #client: Client;
  readonly #state: NamespaceState;
  readonly #version: number;
  readonly #look: Look;
  /** Memory of applications. */
  readonly #held: readonly PageSpan[];
  #closed = false;

  private constructor(client: Client, index: number, state: NamespaceState, version: number, look: Look) {
    this.#client = client;
    this.#state = state;
    this.#version = version;
    this.#look = look;
    this.index = index;
    this.#held = keptRuns(look.occupancy, look.principals);
    this.pages = [...namedSpans(state), ...this.#held].sort((a, b) => a.page - b.page);
  }

  /** @throws `PermissionDenied` for a client that only looks, `Fenced`, `Closed`, and what the connection throws. */
  static async begin(client: Client): Promise<Checkpoint> {
    client.mustBeMember();
    await client.refresh();
    const { index } = client.state;
    // No await between the two: from here on nothing that this state names is used again.
    client.pins.take(index);
    try {
      const body = encodeState(client.state);
      const { version } = decodeRoot(client.replica.root.word);
      const look = await lookAt(client);
      const state = decodeState(body, client.geometry.pageSize, index);
      fenceAll(state, look.principals, client.identity);
      return new Checkpoint(client, index, state, version, look);
    } catch (error) {
      client.pins.give(index);
      throw error;
    }
  }

  /** Bytes of the region. */
  get size(): number {
    return this.#client.geometry.regionBytes;
  }
  get pageSize(): number {
    return this.#client.geometry.pageSize;
  }
  /** Where a page lies. */
  offsetOf(page: number): number {
    return pageOffset(this.#client.geometry, page);
  }
  get files(): number {
    let files = 0;
    for (const { kind } of this.#state.inodes.values()) if (kind === 'file') files++;
    return files;
  }

  /** Reads bytes of the pages. @throws `Fenced` if they were perhaps not ours to look at any more. */
  async read(offset: number, target: Uint8Array): Promise<void> {
    const before = this.#client.lease();
    if (before !== undefined) await before;
    const reading = this.#client.readBytes(offset, target);
    if (reading !== undefined) await reading;
    const after = this.#client.lease();
    if (after !== undefined) await after;
  }

  /**
   * When all pages were read: every byte of the region that is neither zero nor one of the pages. Pages of `pages` that were
   * given up meanwhile are free in it, whatever was read of them. The superblock is the last piece.
   * @throws `Fenced`, `NamespaceFull` (the reserve has no room for the names)
   */
  async finish(): Promise<Iterable<Piece>> {
    const client = this.#client;
    const now = await lookAt(client);
    const line = new Uint8Array(memberStride);
    const { slot } = client.member;
    await client.run(surely(read(memberLineOffset(client.geometry, slot), line)));
    const lease = client.lease();
    if (lease !== undefined) await lease;
    const { occupancy, principals, members } = this.#look;
    // It may have moved to another member meanwhile: that changes nothing of what it holds.
    const applications = new Set(now.principals.filter(isKept).map(ownerHalfOf));
    const groupOf = ({ page }: PageSpan): number => Math.floor(page / client.geometry.groupPages);
    const held: PageSpan[] = [];
    const soiled: PageSpan[] = [];
    for (const run of this.#held) {
      const stayed = applications.has(occupancy.words[2 * groupOf(run) + 1]!) && sameRun(occupancy, now.occupancy, run);
      (stayed ? held : soiled).push(run);
    }
    return layOut({
      superblock: client.superblock,
      members,
      principals,
      survivor: client.identity,
      slot,
      line,
      state: this.#state,
      version: this.#version,
      held,
      words: occupancy.words,
      soiled,
    });
  }

  /** Lets the pages go. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#client.pins.give(this.index);
  }
}

async function lookAt(client: Client): Promise<Look> {
  const occupancy = await client.run(readOccupancy(client.geometry));
  const principals = await client.run(readPrincipals(client.geometry));
  return { occupancy, principals, members: await client.run(readMembers(client.geometry)) };
}

function ownerHalfOf({ principal, incarnation }: PrincipalLine): number {
  return ownerHalf(principal, incarnation);
}
