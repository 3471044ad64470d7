import type {
  AllocateOptions,
  Allocation,
  CallOptions,
  Client,
  ClientEvent,
  HeldLock,
  ManyOptions,
  MemberLine,
  MemoryWindow,
  Namespace,
  PathChange,
  PrincipalLine,
  RegionFile,
  Reservation,
  Usage,
  WatchOptions,
} from '@exomem/core';
import { isExomemError } from '@exomem/core';
import type { Observable } from 'rxjs';

/**
 * A region that this program has joined.
 *
 * Every call throws `ExomemError`, whose `code` says what it is; `Fenced` and `Closed` are for good.
 */
export class Memory implements AsyncDisposable {
  /** What it is made of, for whoever needs more: sessions, the allocator, the replica of the namespace. */
  readonly client: Client;

  constructor(client: Client) {
    this.client = client;
  }

  /** The URL of the region. */
  get url(): string {
    return this.client.where;
  }

  /** Names: list, stat, mkdir, rename, link, unlink ... by absolute paths. */
  get files(): Namespace {
    return this.client.namespace;
  }

  /** Who joins and leaves, how much is held, what is named: of the whole region, while somebody subscribes. */
  get events(): Observable<ClientEvent> {
    return this.client.events;
  }

  /**
   * Sets `bytes` bytes aside for this program; with a `name` they are a file, and stay, unless its `lifetime` is `owner`:
   * then it goes when this program does. Directories on the way to it are made.
   * @throws `OutOfRange`, `RegionFull`, `Fragmented`, `Exists`, `NotDirectory`, `Aborted`, ...
   */
  async allocate(bytes: number, options: AllocateOptions = {}): Promise<Allocation> {
    const directory = options.name?.slice(0, options.name.lastIndexOf('/'));
    try {
      return await this.client.allocate(bytes, options);
    } catch (error) {
      // Most names go into directories that are there.
      if (!directory || !isExomemError(error, 'NotFound')) throw error;
      await this.client.namespace.mkdir(directory, { recursive: true });
      return this.client.allocate(bytes, options);
    }
  }

  /**
   * Sets `count` pieces of `bytes` bytes each aside at once: all of them, or none. Over a network that is one round trip for some
   * thousand of them. They are anonymous; free them one by one, or with {@link freeMany}.
   * @throws `OutOfRange`, `RegionFull`, `Fragmented`, `Aborted`, ...; nothing is held after a throw.
   */
  allocateMany(count: number, bytes: number, options: ManyOptions = {}): Promise<Allocation[]> {
    return this.client.allocateMany(count, bytes, options);
  }

  /** Gives many pieces back. @throws `StaleHandle`, `InvalidArgument` (a file), `PermissionDenied`; nothing is freed then. */
  freeMany(allocations: readonly Allocation[]): Promise<void> {
    return this.client.freeMany(allocations);
  }

  /**
   * Claims `count` units of `bytes` bytes at once, which this program then takes and gives back by itself: `take()` is no round trip.
   * Anonymous memory alone: a unit has no name. Close it.
   * @throws as {@link allocateMany}.
   */
  reserve(count: number, bytes: number, options: ManyOptions = {}): Promise<Reservation> {
    return this.client.reserve(count, bytes, options);
  }

  /** Opens a file to read and write at any place; `create` makes it if there is none. Close it. @throws `NotFound`, ... */
  open(
    path: string,
    options: { create?: boolean; exclusive?: boolean; truncate?: boolean; mode?: number; lifetime?: 'owner' } = {},
  ): Promise<RegionFile> {
    return this.client.namespace.open(path, options);
  }

  /** The bytes of a file. @throws `NotFound`, `IsDirectory` */
  async readFile(path: string): Promise<Uint8Array> {
    await using file = await this.open(path);
    const bytes = new Uint8Array(file.size);
    return bytes.subarray(0, await file.read(0, bytes));
  }

  /** Makes a file of these bytes, in place of what it held. @throws `RegionFull`, `IsDirectory`, ... */
  async writeFile(path: string, bytes: Uint8Array, options: { mode?: number } = {}): Promise<void> {
    await using file = await this.open(path, { create: true, truncate: true, ...options });
    await file.write(0, bytes);
  }

  /**
   * The memory of the whole region where the transport shares it, before anything is asked for; an allocation lies in it at its
   * `offset`. @throws `UnsupportedCapability` where it does not.
   */
  windows(): MemoryWindow[] {
    return this.client.windows();
  }

  /**
   * Takes a lock by its name, a path; waits while another has it. Directories on the way to it are made. Whoever dies while it
   * holds one loses it, once it is shut out: no write of it can land then any more.
   * @throws `Aborted`, `DeadlineExceeded`, `InvalidArgument` (the path is a file of other things), ...
   */
  async lock(path: string, options: CallOptions = {}): Promise<HeldLock> {
    const directory = path.slice(0, path.lastIndexOf('/'));
    if (directory) await this.client.namespace.mkdir(directory, { recursive: true });
    return this.client.lock(path, options);
  }

  /** What becomes of a path, and of the names in it if it is a directory, from the first `next()` on. */
  watch(path: string, options: WatchOptions = {}): AsyncIterable<PathChange> {
    return this.client.watch(path, options);
  }

  /** How full the region is, in pages, and who holds how many. */
  usage(): Promise<Usage> {
    return this.client.usage();
  }

  /** Who is there. */
  members(): Promise<{ members: MemberLine[]; principals: PrincipalLine[] }> {
    return this.client.members();
  }

  /**
   * Joins the region again in place of this one, which has ended: for who hears `Fenced`. What was lost and what is kept is in
   * the error's `fate` and that of the event. @throws as {@link open}.
   */
  async rejoin(options: CallOptions = {}): Promise<Memory> {
    return new Memory(await this.client.rejoin(options));
  }

  /** Leaves the region: anonymous memory is freed, files stay. Idempotent. */
  close(): Promise<void> {
    return this.client.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
