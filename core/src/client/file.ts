import { ExomemError, isExomemError } from '../errors.js';
import { extentAt, type Inode, insertExtent, withoutRange } from '../namespace/inode.js';
import type { ByteRange, FileExtent } from '../namespace/operation.js';
import { pageOffset } from '../region/geometry.js';
import type { Client } from './client.js';
import { Lock } from './lock.js';
import { inPieces, type MemoryWindow, windowsOf } from './windows.js';

/** Bytes that may be written before their size is published. */
const publishBytes = 64 * 1024 * 1024;
/** Milliseconds, likewise. */
const publishAge = 1000;
/** Bytes that are allocated ahead of a file that grows. */
const mostAhead = 64 * 1024 * 1024;
/** Extents that one record carries. */
const extentsPerRecord = 96;

/**
 * A file that is open in this client, shared by everybody here who has it open.
 *
 * Pages are written before the log names them, and enter the file, with its new size, on `flush`, on the last `close`,
 * and when much or old data waits. Before that only this client sees them.
 */
export class RegionFile implements AsyncDisposable {
  readonly client: Client;
  readonly inode: number;
  readonly #onClosed: () => void;
  readonly #lock = new Lock();
  #users = 0;
  /** Pages of ours, with every byte written, that no record names yet. Ascending. */
  #pending: FileExtent[] = [];
  /** Pages allocated ahead for the file's page `at` and behind it; nothing is in them yet. */
  #ahead: FileExtent | undefined;
  /** What was written where the log says that bytes read as zero. */
  #written: ByteRange[] = [];
  #size = 0;
  #time: bigint | undefined;
  /** Counts writes: the clock may stand still between two of them. */
  #changes = 0;
  #unpublished = 0;
  /** The end of what was written since to pages that the file had. */
  #longer = 0;
  #orphan: Inode | undefined;
  #since = 0;

  constructor(client: Client, inode: number, onClosed: () => void) {
    this.client = client;
    this.inode = inode;
    this.#onClosed = onClosed;
  }

  enter(): void {
    this.#users++;
  }

  /** Bytes, with what is not published yet. @throws `StaleHandle`. */
  get size(): number {
    return Math.max(this.#record().size, this.#size);
  }
  get pendingSize(): number {
    return this.#size;
  }
  get pendingTime(): bigint | undefined {
    return this.#time;
  }
  /** Bytes that were written since it was flushed and are not in pages which the file has: lost, should it not be flushed any more. */
  get unflushed(): number {
    if (this.#time === undefined || this.#orphan !== undefined) return 0;
    const { pageSize } = this.client.geometry;
    const inode = this.client.state.inodes.get(this.inode);
    const [size, extents, unwritten] = [inode?.size ?? 0, inode?.extents ?? [], inode?.unwritten ?? []];
    const end = Math.max(size, this.#size);
    let bytes = 0;
    for (const { at, pages } of this.#pending) bytes += within(at * pageSize, (at + pages) * pageSize, 0, end);
    // What made it longer, in the page that ended it.
    for (const { at, pages } of extents) bytes += within(at * pageSize, (at + pages) * pageSize, size, this.#longer);
    // What reads as zero until the log says that it was written.
    let left = unwritten;
    for (const { from, to } of this.#written) left = withoutRange(left, from, to);
    bytes += lengthBelow(unwritten, size) - lengthBelow(left, size);
    return Math.min(bytes, this.#unpublished);
  }
  get pendingPages(): number {
    return this.#pending.reduce((sum, { pages }) => sum + pages, 0);
  }

  /** The file as the log has it; or as it was when its last name went, which its holders may go on using. */
  #record(): Inode {
    return this.#orphan ?? this.client.state.file(this.inode);
  }
  /** What is left of a file without a name, for those who have it open. */
  get orphan(): Inode | undefined {
    return this.#orphan;
  }
  /** Its last name is gone: from now on it is a matter of those who have it open. */
  orphaned(inode: Inode): void {
    this.#orphan = { ...inode, links: 0, extents: [...inode.extents], unwritten: [...inode.unwritten] };
  }

  /** Where a file of one extent lies in the region. @throws `UnsupportedCapability` for one of several. */
  get offset(): number {
    const { extents } = this.#record();
    if (extents.length !== 1 || extents[0]!.at !== 0 || this.#pending.length > 0) {
      throw new ExomemError('UnsupportedCapability', 'this file does not lie in one piece', {
        advice: 'read and write it',
      });
    }
    return pageOffset(this.client.geometry, extents[0]!.page);
  }

  /** Fills `target` from `position` on; answers how many bytes there were. @throws `StaleHandle`, `OutOfRange`. */
  async read(position: number, target: Uint8Array): Promise<number> {
    checkPosition(position);
    const { client } = this;
    if (client.role === 'observer') return this.#readAsObserver(position, target);
    const waiting = client.lease();
    if (waiting !== undefined) await waiting;
    const index = client.replica.index;
    client.pins.take(index);
    try {
      const { extents, unwritten, size } = this.#record();
      const length = await this.#gather(extents, unwritten, Math.max(size, this.#size), position, target);
      const late = client.lease();
      if (late !== undefined) await late;
      return length;
    } finally {
      client.pins.give(index);
    }
  }

  async #gather(
    extents: readonly FileExtent[],
    unwritten: readonly ByteRange[],
    size: number,
    position: number,
    target: Uint8Array,
  ): Promise<number> {
    const length = Math.min(target.byteLength, size - position);
    if (length <= 0) return 0;
    const waits: Promise<void>[] = [];
    for (const piece of this.#pieces(extents, position, length)) {
      const bytes = target.subarray(piece.from - position, piece.to - position);
      if (piece.offset < 0) bytes.fill(0);
      else {
        const wait = this.client.readBytes(piece.offset, bytes);
        if (wait !== undefined) waits.push(wait);
      }
    }
    let zero = unwritten;
    if (zero.length > 0) for (const { from, to } of this.#written) zero = withoutRange(zero, from, to);
    if (waits.length > 0) await allOf(waits);
    for (const { from, to } of zero) {
      if (from < position + length && to > position)
        target.fill(0, Math.max(0, from - position), Math.min(length, to - position));
    }
    return length;
  }

  /**
   * Nobody waits for an observer before pages are reused. But what the log still names after the bytes were read was
   * named all the while; what it does not is read again.
   */
  async #readAsObserver(position: number, target: Uint8Array): Promise<number> {
    const { client } = this;
    for (let attempt = 0; attempt < 100; attempt++) {
      const { extents, unwritten, size } = this.#record();
      const length = await this.#gather([...extents], unwritten, size, position, target);
      await client.refresh();
      const after = this.#record();
      // A file that only grew still has the same list of extents; one that was cut off has a new one.
      if (after.extents === extents && after.unwritten === unwritten) return length;
    }
    throw new ExomemError('Busy', 'the file changes faster than it can be read', { where: client.where });
  }

  /** Writes `source` at `position`; the file grows as needed. @throws `StaleHandle`, `RegionFull`, `OutOfRange`. */
  async write(position: number, source: Uint8Array): Promise<void> {
    checkPosition(position + source.byteLength);
    const { client } = this;
    client.mustBeMember();
    if (source.byteLength === 0) return;
    const waiting = client.lease();
    if (waiting !== undefined) await waiting;
    const index = client.replica.index;
    client.pins.take(index);
    try {
      const end = position + source.byteLength;
      if (this.#hasHole(position, end)) await this.#lock.run(() => this.#fill(position, source));
      else await this.#overwrite(position, source);
      if (end > this.#size) this.#size = end;
      const now = client.surroundings.now();
      if (this.#time === undefined) this.#since = now;
      this.#time = client.surroundings.wallClock();
      this.#changes++;
      this.#unpublished += source.byteLength;
      if (this.#unpublished >= publishBytes || now - this.#since >= publishAge) await this.flush();
    } finally {
      client.pins.give(index);
    }
  }

  /** Bytes whose pages are there already. */
  async #overwrite(position: number, source: Uint8Array): Promise<void> {
    const inode = this.#record();
    const waits: Promise<void>[] = [];
    for (const { offset, from, to } of this.#pieces(inode.extents, position, source.byteLength)) {
      const wait = this.client.writeBytes(offset, source.subarray(from - position, to - position));
      if (wait !== undefined) waits.push(wait);
    }
    if (waits.length > 0) await allOf(waits);
    this.#longer = Math.max(this.#longer, position + source.byteLength);
    for (const { from, to } of inode.unwritten) {
      const start = Math.max(from, position);
      const end = Math.min(to, position + source.byteLength);
      if (start < end) this.#written.push({ from: start, to: end });
    }
  }

  /** Bytes of which some have no page yet. One such write at a time, so that no page is filled twice. */
  async #fill(position: number, source: Uint8Array): Promise<void> {
    const { client } = this;
    const end = position + source.byteLength;
    const filled: FileExtent[] = [];
    try {
      await this.#fillHoles(position, end, source, filled);
    } catch (error) {
      // Nothing of a write that failed becomes part of the file but what lay in pages that were there before.
      for (const { page, pages } of filled)
        await client.run(client.allocator.release(page, pages)).catch(() => undefined);
      throw error;
    }
    for (const run of filled) insertExtent(this.#pending, run);
  }

  async #fillHoles(position: number, end: number, source: Uint8Array, filled: FileExtent[]): Promise<void> {
    const { client } = this;
    const { pageSize } = client.geometry;
    for (let at = position; at < end; ) {
      const { extents } = this.#record();
      const page = Math.floor(at / pageSize);
      const hole = this.#holeAt(extents, page);
      if (hole === 0) {
        const next = Math.min(end, (page + this.#mappedFrom(extents, page)) * pageSize);
        await this.#overwrite(at, source.subarray(at - position, next - position));
        at = next;
        continue;
      }
      const wanted = Math.min(hole, Math.ceil(end / pageSize) - page);
      const run = await this.#takePages(page, wanted, extents);
      const next = Math.min(end, (page + run.pages) * pageSize);
      filled.push(run);
      await this.#writePages(run, at, source.subarray(at - position, next - position));
      at = next;
    }
  }

  /** Writes fresh pages whole: what the data leaves of the first and the last one is zero. */
  async #writePages(run: FileExtent, position: number, data: Uint8Array): Promise<void> {
    const { pageSize } = this.client.geometry;
    const start = run.at * pageSize;
    const end = start + run.pages * pageSize;
    const offset = pageOffset(this.client.geometry, run.page);
    const dataEnd = position + data.byteLength;
    const waits: (Promise<void> | undefined)[] = [];
    let from = position;
    let to = dataEnd;
    if (position > start) {
      const first = new Uint8Array(pageSize);
      first.set(data.subarray(0, pageSize - (position - start)), position - start);
      waits.push(this.client.writeBytes(offset, first));
      from = Math.min(dataEnd, start + pageSize);
    }
    if (dataEnd < end && from < dataEnd) {
      const lastStart = end - pageSize;
      const last = new Uint8Array(pageSize);
      last.set(data.subarray(lastStart - position));
      waits.push(this.client.writeBytes(offset + (lastStart - start), last));
      to = lastStart;
    }
    if (from < to)
      waits.push(this.client.writeBytes(offset + (from - start), data.subarray(from - position, to - position)));
    await allOf(waits.filter((wait) => wait !== undefined));
  }

  /** Pages of ours for the file's page `at` on, up to `wanted`: from what is allocated ahead, or new ones. */
  async #takePages(at: number, wanted: number, extents: readonly FileExtent[]): Promise<FileExtent> {
    const ahead = this.#ahead;
    if (ahead !== undefined && ahead.at === at) {
      const pages = Math.min(wanted, ahead.pages);
      this.#ahead =
        pages === ahead.pages ? undefined : { at: at + pages, page: ahead.page + pages, pages: ahead.pages - pages };
      return { at, page: ahead.page, pages };
    }
    const { client } = this;
    const have = this.pendingPages + extents.reduce((sum, { pages }) => sum + pages, 0);
    // Only who appends is given more than what was asked for.
    const appends = at > 0 && this.#holeAt(extents, at - 1) === 0 && extentAt(extents, at) === extents.length;
    const most = Math.floor(mostAhead / client.geometry.pageSize);
    for (let pages = Math.max(wanted, appends ? Math.min(have, most) : 0); ; ) {
      try {
        const extent = await this.#allocate(pages, pages > wanted);
        if (extent.pages > wanted) {
          await this.#dropAhead();
          this.#ahead = { at: at + wanted, page: extent.page + wanted, pages: extent.pages - wanted };
        }
        return { at, page: extent.page, pages: Math.min(wanted, extent.pages) };
      } catch (error) {
        const full =
          isExomemError(error, 'RegionFull') ||
          isExomemError(error, 'Fragmented') ||
          isExomemError(error, 'QuotaExceeded') ||
          isExomemError(error, 'OutOfRange');
        if (!full || pages === 1) throw error;
        // No room for it in one piece: rather in several than not at all.
        pages = pages > wanted ? wanted : Math.ceil(pages / 2);
      }
    }
  }

  /** Tries at once where less would do, with patience where it would not. */
  #allocate(pages: number, optional: boolean) {
    const request = { pages, initialise: 'caller', named: true } as const;
    const { client } = this;
    return optional || pages > 1 ? client.run(client.allocator.allocate(request)) : client.allocateExtent(request);
  }

  async #dropAhead(): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) await this.client.run(this.client.allocator.release(ahead.page, ahead.pages));
  }

  // ---- publishing

  /** Something was written so long ago that others should see it. */
  get overdue(): boolean {
    return this.#time !== undefined && !this.#lock.taken && this.client.surroundings.now() - this.#since >= publishAge;
  }

  /** Gives back what was allocated ahead, unless somebody is writing just now. */
  async shrink(): Promise<void> {
    if (this.#ahead !== undefined && !this.#lock.taken) await this.#lock.run(() => this.#dropAhead());
  }

  /** Publishes what was written: from here on everybody sees it. @throws `StaleHandle` if the file is gone. */
  async flush(): Promise<void> {
    if (this.#time === undefined) return;
    await this.#lock.run(() => this.#publish());
  }

  async #publish(): Promise<void> {
    const { client, inode } = this;
    while (this.#time !== undefined) {
      if (this.#orphan !== undefined) {
        // Nobody else can open it: there is nobody to publish it to.
        this.#time = undefined;
        this.#unpublished = 0;
        this.#longer = 0;
        return;
      }
      const time = this.#time;
      const changes = this.#changes;
      const extents = this.#pending.slice(0, extentsPerRecord);
      const written = this.#written.slice(0, extentsPerRecord);
      const whole = extents.length === this.#pending.length && written.length === this.#written.length;
      const last = extents.at(-1);
      const covered = last === undefined ? 0 : (last.at + last.pages) * client.geometry.pageSize;
      const size = whole ? this.#size : Math.min(this.#size, covered);
      try {
        await client.append((state) => {
          const operation = { op: 'extend', inode, size, time, extents, written } as const;
          state.check(operation);
          return [operation];
        });
      } catch (error) {
        if (isExomemError(error, 'Exists')) {
          await this.#yield();
          continue;
        }
        if (isExomemError(error, 'StaleHandle')) {
          if (this.#orphan !== undefined) continue;
          await this.abandon();
        }
        throw error;
      }
      client.settle(inode, extents);
      this.#pending = this.#pending.slice(extents.length);
      this.#written = this.#written.slice(written.length);
      if (!whole) continue;
      this.#unpublished = 0;
      this.#longer = 0;
      this.#since = client.surroundings.now();
      // What was written meanwhile, without a lock, waits for the next time.
      if (this.#changes !== changes) return;
      this.#time = undefined;
      this.#size = 0;
    }
  }

  /** Another client gave pages to the same place first: our bytes go into those. */
  async #yield(): Promise<void> {
    const { client } = this;
    // Those pages are not ours: as long as we write to them nobody may take them for forgotten.
    const index = client.replica.index;
    client.pins.take(index);
    try {
      await this.#moveInto();
    } finally {
      client.pins.give(index);
    }
  }

  async #moveInto(): Promise<void> {
    const { client } = this;
    const { pageSize } = client.geometry;
    const { extents } = this.#record();
    const kept: FileExtent[] = [];
    for (const run of this.#pending) {
      for (let step = 0; step < run.pages; step++) {
        const at = run.at + step;
        const theirs = extents[extentAt(extents, at)];
        if (theirs === undefined || theirs.at > at) {
          insertExtent(kept, { at, page: run.page + step, pages: 1 });
          continue;
        }
        // A record of ours that we thought had failed.
        if (theirs.page + (at - theirs.at) === run.page + step) {
          client.settle(this.inode, [{ at, page: run.page + step, pages: 1 }]);
          continue;
        }
        const bytes = new Uint8Array(pageSize);
        await client.readBytes(pageOffset(client.geometry, run.page + step), bytes);
        await client.writeBytes(pageOffset(client.geometry, theirs.page + (at - theirs.at)), bytes);
        await client.run(client.allocator.release(run.page + step, 1));
      }
    }
    this.#pending = kept;
  }

  /** Cuts the file off, or lets it grow by bytes that read as zero. @throws `StaleHandle`, `OutOfRange`. */
  async truncate(size: number): Promise<void> {
    checkPosition(size);
    const { client, inode } = this;
    const time = client.surroundings.wallClock();
    await this.#lock.run(async () => {
      await this.#publish();
      await this.#dropAhead();
      try {
        if (this.#orphan !== undefined) return await this.#truncateOrphan(this.#orphan, size);
        await client.append((state) => {
          const operation = { op: 'truncate', inode, size, time } as const;
          state.check(operation);
          return [operation];
        });
      } catch (error) {
        if (!isExomemError(error, 'StaleHandle') || this.#orphan === undefined) throw error;
        await this.#truncateOrphan(this.#orphan, size);
      }
    });
  }

  async #truncateOrphan(orphan: Inode, size: number): Promise<void> {
    const { pageSize } = this.client.geometry;
    const kept = Math.ceil(size / pageSize);
    const cut = (extents: readonly FileExtent[]): FileExtent[] =>
      extents
        .filter(({ at }) => at < kept)
        .map((extent) => ({ ...extent, pages: Math.min(extent.pages, kept - extent.at) }));
    const pending = this.#pending;
    const before = Math.max(orphan.size, this.#size);
    this.#pending = cut(pending);
    orphan.extents = cut(orphan.extents);
    orphan.unwritten = withoutRange(orphan.unwritten, size, Number.MAX_SAFE_INTEGER);
    this.#written = withoutRange(this.#written, size, Number.MAX_SAFE_INTEGER);
    if (size % pageSize !== 0 && size < before) orphan.unwritten.push({ from: size, to: kept * pageSize });
    orphan.size = size;
    this.#size = 0;
    for (const { at, page, pages } of pending) {
      const left = Math.max(0, Math.min(pages, kept - at));
      if (left < pages) await this.client.run(this.client.allocator.release(page + left, pages - left));
    }
  }

  /**
   * The memory of a file that lies in one piece, from its first byte to its last. What is written to it is there at once, for
   * everybody; size and times do not change by it. It is the file's while that is open here and nobody cuts it off.
   * @throws `UnsupportedCapability` where memory is not shared, or the file lies in pieces (see {@link windows}), `StaleHandle`.
   */
  async map(): Promise<Uint8Array> {
    await this.flush();
    const windows = await this.windows();
    const [first] = windows;
    if (this.size === 0) return this.client.session.view(0, 0);
    if (windows.length === 1 && first!.bytes.byteLength === this.size) return first!.bytes;
    throw inPieces(
      windows.length < 2 ? 'a part of this file has no memory yet' : `this file lies in ${windows.length} pieces`,
    );
  }

  /**
   * The memory of the file in the pieces that it lies in, ascending. Bytes between them are in no memory, and read as zero:
   * `write` gives them some. Otherwise as {@link map}.
   */
  async windows(): Promise<MemoryWindow[]> {
    await this.flush();
    const { session } = this.client;
    // Also where it has no memory at all it is told that there is none to be had.
    if (!session.capabilities.mapped) session.view(0, 0);
    const { extents, unwritten } = this.#record();
    let zero: readonly ByteRange[] = unwritten;
    for (const { from, to } of this.#written) zero = withoutRange(zero, from, to);
    // What follows another piece in the region as in the file is one with it.
    const runs: { offset: number; from: number; to: number }[] = [];
    for (const piece of this.#pieces(extents, 0, this.size)) {
      if (piece.offset < 0) continue;
      for (const part of withoutZeros(piece, zero)) {
        const last = runs.at(-1);
        if (last !== undefined && last.to === part.from && last.offset + (last.to - last.from) === part.offset)
          last.to = part.to;
        else runs.push({ ...part });
      }
    }
    return runs.flatMap(({ offset, from, to }) => windowsOf(session, offset, to - from, from));
  }

  /** The last one who closes it publishes what is left. */
  async close(): Promise<void> {
    if (this.#users === 0 || --this.#users > 0) return;
    try {
      await this.flush();
      if (this.#users > 0) return;
      await this.#lock.run(() => (this.#orphan === undefined ? this.#dropAhead() : this.abandon()));
      await this.client.letGo(this);
    } finally {
      if (this.#users === 0) this.#onClosed();
    }
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Gives back what was written and cannot be published any more. */
  async abandon(): Promise<void> {
    const runs = this.#ahead === undefined ? this.#pending : [...this.#pending, this.#ahead];
    this.#pending = [];
    this.#ahead = undefined;
    this.#written = [];
    this.#time = undefined;
    this.#size = 0;
    for (const { page, pages } of runs) await this.client.run(this.client.allocator.release(page, pages));
  }

  // ---- where bytes lie

  #hasHole(from: number, to: number): boolean {
    const { pageSize } = this.client.geometry;
    const { extents } = this.#record();
    const last = Math.ceil(to / pageSize);
    for (let page = Math.floor(from / pageSize); page < last; ) {
      if (this.#holeAt(extents, page) > 0) return true;
      page += this.#mappedFrom(extents, page);
    }
    return false;
  }

  /** How many pages from `page` on have no place; 0 if it has one. */
  #holeAt(extents: readonly FileExtent[], page: number): number {
    const mapped = extents[extentAt(extents, page)];
    const pending = this.#pending[extentAt(this.#pending, page)];
    const next = Math.min(mapped?.at ?? Number.MAX_SAFE_INTEGER, pending?.at ?? Number.MAX_SAFE_INTEGER);
    return Math.max(0, next - page);
  }

  /** How many pages from `page` on have a place in one piece. */
  #mappedFrom(extents: readonly FileExtent[], page: number): number {
    const own = this.#pending[extentAt(this.#pending, page)];
    const found = own !== undefined && own.at <= page ? own : extents[extentAt(extents, page)];
    return found !== undefined && found.at <= page ? found.at + found.pages - page : 0;
  }

  /** The range in pieces that lie together; `offset` -1 is a hole. */
  #pieces(
    extents: readonly FileExtent[],
    position: number,
    length: number,
  ): { offset: number; from: number; to: number }[] {
    const { geometry } = this.client;
    const { pageSize } = geometry;
    const pieces: { offset: number; from: number; to: number }[] = [];
    const end = position + length;
    for (let at = position; at < end; ) {
      const page = Math.floor(at / pageSize);
      const own = this.#pending[extentAt(this.#pending, page)];
      const found = own !== undefined && own.at <= page ? own : extents[extentAt(extents, page)];
      if (found === undefined || found.at > page) {
        const next = Math.min(own?.at ?? Number.MAX_SAFE_INTEGER, found?.at ?? Number.MAX_SAFE_INTEGER);
        const to = Math.min(end, next * pageSize);
        pieces.push({ offset: -1, from: at, to });
        at = to;
        continue;
      }
      let last = found.at + found.pages;
      // A page of ours hides one of the log's only until it is published or yields.
      if (found !== own && own !== undefined && own.at < last) last = own.at;
      const to = Math.min(end, last * pageSize);
      pieces.push({
        offset: pageOffset(geometry, found.page + (page - found.at)) + (at - page * pageSize),
        from: at,
        to,
      });
      at = to;
    }
    return pieces;
  }
}

/** What of a piece of memory is not to be read as zero instead. */
function withoutZeros(
  { offset, from, to }: { offset: number; from: number; to: number },
  zeros: readonly ByteRange[],
): { offset: number; from: number; to: number }[] {
  const parts: { offset: number; from: number; to: number }[] = [];
  const add = (start: number, end: number): void => {
    if (start < end) parts.push({ offset: offset + (start - from), from: start, to: end });
  };
  let at = from;
  for (const zero of [...zeros].sort((a, b) => a.from - b.from)) {
    if (zero.to <= at || zero.from >= to) continue;
    add(at, zero.from);
    at = Math.max(at, zero.to);
  }
  add(at, to);
  return parts;
}

function checkPosition(position: number): void {
  if (!Number.isSafeInteger(position) || position < 0)
    throw new ExomemError('OutOfRange', `${position} is no position in a file`);
}

/** All of them end before the first failure is told, so that nothing is in flight behind the caller's back. */
async function allOf(waits: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(waits)) if (result.status === 'rejected') throw result.reason;
}

/** How much of `from` to `to` lies between `low` and `high`. */
function within(from: number, to: number, low: number, high: number): number {
  return Math.max(0, Math.min(to, high) - Math.max(from, low));
}

/** Bytes of ranges that lie below `size`. */
function lengthBelow(ranges: readonly ByteRange[], size: number): number {
  return ranges.reduce((sum, { from, to }) => sum + within(from, to, 0, size), 0);
}
