import {
  type Client,
  ExomemError,
  type Extent,
  type FileExtent,
  inodesPerIndex,
  insertExtent,
  isExomemError,
  type Operation,
  pageOffset,
} from '@exomem/core';

/** Bytes that are allocated ahead of a file whose length is not known. */
const mostAhead = 64 * 1024 * 1024;
/** Pieces of a file that one record can carry, with room for two long names. */
const piecesPerRecord = 96;

/** Files of this process that were gathered under another name: two of one directory must not meet. */
let gathered = 0;

export interface CommitOptions {
  /** Permission bits and owner; a file that is replaced keeps what it has. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** A file that has the name gives way in the same step; otherwise `Exists`. */
  readonly replace: boolean;
  /** It is a copy in all: permissions and owner are those given, whatever it replaces, and so is its time. */
  readonly as?: { readonly mtime: bigint };
}

/**
 * A file that comes into being whole. Its bytes go into pages that no name refers to; then one record gives it its name,
 * and takes that from the file that had it. Nobody sees a part of it, and what its author leaves behind when it is
 * killed is recovered like anonymous memory.
 */
export class WholeFile implements AsyncDisposable {
  readonly #client: Client;
  /** Bytes in all, where that is known: then they lie in one piece if there is one. */
  readonly #expected: number | undefined;
  readonly #pieces: FileExtent[] = [];
  #ahead: { page: number; pages: number } | undefined;
  #pages = 0;
  #size = 0;
  /** How many of the pieces a name refers to. */
  #settled = 0;

  constructor(client: Client, expected?: number) {
    this.#client = client;
    this.#expected = expected;
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size;
  }

  /** Appends. All pieces but the last are whole pages. @throws `RegionFull`, `Fragmented`, `Fenced`, ... */
  async write(bytes: Uint8Array): Promise<void> {
    const client = this.#client;
    const { pageSize } = client.geometry;
    if (this.#size % pageSize !== 0)
      throw new ExomemError('InvalidArgument', 'the last piece was no whole number of pages');
    for (let at = 0; at < bytes.length; ) {
      const run = await this.#take(Math.ceil((bytes.length - at) / pageSize));
      insertExtent(this.#pieces, { at: this.#pages, ...run });
      this.#pages += run.pages;
      const piece = bytes.subarray(at, at + run.pages * pageSize);
      await client.lease();
      await this.#fill(pageOffset(client.geometry, run.page), piece);
      at += piece.length;
      this.#size += piece.length;
    }
  }

  /** Whole pages: behind the last byte of a file its page is zero. */
  async #fill(offset: number, bytes: Uint8Array): Promise<void> {
    const { pageSize } = this.#client.geometry;
    const whole = bytes.length - (bytes.length % pageSize);
    const first = whole > 0 ? this.#client.writeBytes(offset, bytes.subarray(0, whole)) : undefined;
    if (whole < bytes.length) {
      const last = new Uint8Array(pageSize);
      last.set(bytes.subarray(whole));
      // Nothing is in flight behind the back of whoever sees one of them fail.
      const results = await Promise.allSettled([first, this.#client.writeBytes(offset + whole, last)]);
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    } else await first;
  }

  /** Up to `wanted` pages in a row that are ours and unnamed. */
  async #take(wanted: number): Promise<{ page: number; pages: number }> {
    this.#ahead ??= await this.#allocate(wanted);
    const { page, pages } = this.#ahead;
    const taken = Math.min(wanted, pages);
    this.#ahead = taken === pages ? undefined : { page: page + taken, pages: pages - taken };
    return { page, pages: taken };
  }

  async #allocate(wanted: number): Promise<Extent> {
    const client = this.#client;
    const { pageSize } = client.geometry;
    const most =
      this.#expected === undefined
        ? Math.max(wanted, Math.min(this.#pages, mostAhead / pageSize))
        : Math.max(wanted, Math.ceil(this.#expected / pageSize) - this.#pages);
    for (let pages = most; ; pages = Math.ceil(pages / 2)) {
      const request = { pages, initialise: 'caller', named: true } as const;
      try {
        // Others are asked for room where less would not do.
        if (pages === 1) return await client.allocateExtent(request);
        return await client.run(client.allocator.allocate(request));
      } catch (error) {
        const less = ['RegionFull', 'Fragmented', 'OutOfRange'] as const;
        if (pages === 1 || !less.some((code) => isExomemError(error, code))) throw error;
      }
    }
  }

  /**
   * Gives the file its name in a directory; answers its inode.
   * @throws `Exists`, `IsDirectory`, `NotDirectory`, `StaleHandle` (the directory is gone), `NamespaceFull`
   */
  async commit(parent: number, base: string, options: CommitOptions): Promise<number> {
    const { namespace } = this.#client;
    if (this.#pieces.length <= piecesPerRecord) return this.#name(parent, base, options);
    // Too many pieces for one record: they are gathered under another name.
    const { slot, incarnation } = this.#client.member;
    const gathering = `.exomem-${slot}-${incarnation}-${gathered++}`;
    const inode = await this.#name(parent, gathering, { ...options, replace: false });
    try {
      await this.#extend(inode);
      if (options.as !== undefined) await namespace.setAttributes(inode, options.as);
      await namespace.renameEntry(parent, gathering, parent, base, options.replace);
    } catch (error) {
      await namespace.removeEntry(parent, gathering, false).catch(() => undefined);
      throw error;
    }
    return inode;
  }

  async #name(parent: number, name: string, { mode, uid, gid, replace, as }: CommitOptions): Promise<number> {
    const client = this.#client;
    const time = client.surroundings.wallClock();
    const extents = this.#pieces.slice(0, piecesPerRecord);
    const whole = extents.length === this.#pieces.length;
    const size = whole ? this.#size : covered(extents, client.geometry.pageSize);
    let created = 0;
    const index = await client.append((state, at) => {
      const old = state.lookup(parent, name);
      if (old !== undefined && !replace) throw new ExomemError('Exists', `${name} exists`, { where: client.where });
      const create = {
        op: 'create',
        parent,
        name,
        kind: 'file',
        ...(old?.kind === 'file' && as === undefined
          ? { mode: old.mode, uid: old.uid, gid: old.gid }
          : { mode, uid, gid }),
        time,
        target: '',
        size,
        extents,
      } as const;
      created = old === undefined ? 0 : 1;
      const dated: Operation[] =
        as === undefined ? [] : [{ op: 'setattr', inode: at * inodesPerIndex + created, mtime: as.mtime, ctime: time }];
      if (old === undefined) {
        state.check(create);
        return [create, ...dated];
      }
      const unlink = { op: 'unlink', parent, name, inode: old.inode, directory: false, time } as const;
      state.check(unlink);
      return [unlink, create, ...dated];
    });
    this.#settle(extents);
    await this.#dropAhead();
    return index * inodesPerIndex + created;
  }

  /** The pieces that the first record had no room for. */
  async #extend(inode: number): Promise<void> {
    const client = this.#client;
    for (let at = piecesPerRecord; at < this.#pieces.length; at += piecesPerRecord) {
      const extents = this.#pieces.slice(at, at + piecesPerRecord);
      const size = Math.min(this.#size, covered(extents, client.geometry.pageSize));
      const time = client.surroundings.wallClock();
      await client.append((state) => {
        const extend = { op: 'extend', inode, size, time, extents, written: [] } as const;
        state.check(extend);
        return [extend];
      });
      this.#settle(extents);
    }
  }

  #settle(extents: readonly FileExtent[]): void {
    for (const { page, pages } of extents) this.#client.allocator.settle(page, pages);
    this.#settled += extents.length;
  }

  async #dropAhead(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) await this.#client.run(this.#client.allocator.release(ahead.page, ahead.pages));
  }

  /** Gives back what no name refers to. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { allocator } = this.#client;
    for (const { page, pages } of this.#pieces.splice(this.#settled)) {
      await this.#client.run(allocator.release(page, pages));
    }
    await this.#dropAhead();
  }
}

/** The bytes up to the end of the last piece. */
function covered(extents: readonly FileExtent[], pageSize: number): number {
  const last = extents.at(-1);
  return last === undefined ? 0 : (last.at + last.pages) * pageSize;
}
