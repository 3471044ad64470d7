import {
  type Attributes,
  abandonable,
  type Client,
  ExomemError,
  type Inode,
  type RegionFile,
  type Stat,
} from '@exomem/core';
import { type DirectoryEntry, type FileHandle, HandleTable } from './handles.js';
import { type SpaceUsage, StatFs } from './stat-fs.js';

export interface FileSystemOptions {
  /** Milliseconds after which an operation that the appliance did not answer fails: `DeadlineExceeded`. Default 10,000. */
  readonly ioTimeout?: number;
}

/** Where a new file is made, and what it is like. */
export interface CreateOptions {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * The namespace of a region and the bytes of its files, as a file system by inode and handle. No kernel in sight: hosts
 * bring its requests here.
 *
 * Close-to-open: `refresh()` comes before a name or a file is looked up, so what was closed, renamed or removed anywhere
 * before is seen; reads and writes of an open file do not look again. `flush`, `fsync` and the last `release` publish.
 *
 * Everything throws `ExomemError`; `errno.ts` says what becomes of the codes.
 */
export class FileSystem {
  #client: Client;
  #rejoining: Promise<void> | undefined;
  readonly #timeout: number;
  readonly #handles = new HandleTable<FileHandle>();
  readonly #directories = new HandleTable<readonly DirectoryEntry[]>();
  #space: StatFs;

  /** @throws `InvalidArgument` (the timeout), `PermissionDenied` (the client only looks). */
  constructor(client: Client, options: FileSystemOptions = {}) {
    const { ioTimeout = 10_000 } = options;
    if (!(ioTimeout > 0 && ioTimeout < 2 ** 31)) {
      throw new ExomemError('InvalidArgument', `the I/O timeout cannot be ${ioTimeout} ms`, {
        advice: 'give a positive number of milliseconds',
      });
    }
    client.identity;
    this.#client = client;
    this.#timeout = ioTimeout;
    this.#space = new StatFs(client);
  }

  /** Closes what is open, and so publishes it. Nothing may be called after it. */
  async close(): Promise<void> {
    for (const { file } of this.#handles.values()) await this.#within(file.close()).catch(() => undefined);
  }

  /** Another one once this was declared dead and has joined again. */
  get client(): Client {
    return this.#client;
  }

  /**
   * Whoever was declared dead joins again, by itself: what failed meanwhile has failed (EIO), and what was written to an
   * open file and not flushed is lost, which the next operation on its handle says once. Names and files that were flushed are there.
   */
  #rejoin(): Promise<void> {
    this.#rejoining ??= this.#client
      .rejoin()
      .then((client) => {
        this.#client = client;
        this.#space = new StatFs(client);
      })
      .finally(() => {
        this.#rejoining = undefined;
      });
    return this.#rejoining;
  }

  /** The file behind a handle. @throws `StaleHandle`; `Fenced`, once, if something that was written to it is lost. */
  #file(handle: number): RegionFile {
    const opened = this.#handles.get(handle);
    const before = opened.file;
    if (before.client === this.#client) return before;
    opened.file = this.#client.openFile(opened.inode);
    if (before.unflushed > 0) before.client.check();
    return opened.file;
  }

  // ---- names

  /** Sees to it that what was acknowledged anywhere before this call is known after it. */
  refresh(): Promise<void> {
    const client = this.#client;
    return this.#within(client.refresh()).catch((error) => {
      if (client.fate === undefined) throw error;
      return this.#within(this.#client === client ? this.#rejoin() : Promise.resolve());
    });
  }

  /** The inode behind a name, from what is known; undefined if there is none. @throws `StaleHandle`, `NotDirectory`. */
  find(parent: number, name: string): Inode | undefined {
    return this.client.namespace.lookup(parent, name);
  }

  /** @throws `NotFound`, `StaleHandle`, `NotDirectory`. */
  async lookup(parent: number, name: string): Promise<Stat> {
    await this.refresh();
    return this.stat(this.#found(parent, name).inode);
  }

  #found(parent: number, name: string): Inode {
    const inode = this.find(parent, name);
    if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
    return inode;
  }

  /** From what is known, with what this mount has written and not published yet. @throws `StaleHandle`. */
  stat(inode: number): Stat {
    return this.client.namespace.stat(inode);
  }

  /** An open file's attributes are looked up where the handle is; by inode alone it asks for news first. */
  async getattr(inode: number, handle?: number): Promise<Stat> {
    if (handle === undefined) await this.refresh();
    return this.stat(inode);
  }

  /** Times in nanoseconds since 1970, `size` in bytes. @throws `StaleHandle`, `RegionFull`, `OutOfRange`. */
  async setattr(inode: number, change: Attributes & { readonly size?: number }): Promise<Stat> {
    const { size, ...attributes } = change;
    if (size !== undefined) await this.#truncate(inode, size);
    if (Object.values(attributes).some((value) => value !== undefined))
      await this.#within(this.client.namespace.setAttributes(inode, attributes));
    return this.stat(inode);
  }

  async #truncate(inode: number, size: number): Promise<void> {
    const file = this.client.openFile(inode);
    try {
      await this.#within(file.truncate(size));
    } finally {
      await this.#within(file.close());
    }
  }

  /** @throws `NotSymlink`, `StaleHandle`. */
  readlink(inode: number): string {
    return this.client.namespace.readlinkOf(inode);
  }

  /** Makes an empty file; answers its inode. @throws `Exists`, `NotFound`, `NamespaceFull`, `NameTooLong`, ... */
  async mknod(parent: number, name: string, options: CreateOptions): Promise<number> {
    const { mode, uid, gid } = options;
    return this.#within(this.client.namespace.create(parent, name, { kind: 'file', mode, uid, gid }));
  }

  async mkdir(parent: number, name: string, options: CreateOptions): Promise<number> {
    const { mode, uid, gid } = options;
    return this.#within(this.client.namespace.create(parent, name, { kind: 'directory', mode, uid, gid }));
  }

  async symlink(
    parent: number,
    name: string,
    target: string,
    options: Omit<CreateOptions, 'mode'> = {},
  ): Promise<number> {
    const { uid, gid } = options;
    return this.#within(this.client.namespace.create(parent, name, { kind: 'symlink', target, uid, gid }));
  }

  async link(inode: number, parent: number, name: string): Promise<void> {
    await this.#within(this.client.namespace.linkEntry(inode, parent, name));
  }

  /** Removes a name of anything but a directory. Whoever has the file open, on any mount, keeps it until `release`. */
  async unlink(parent: number, name: string): Promise<void> {
    await this.#within(this.client.namespace.removeEntry(parent, name, false));
  }

  async rmdir(parent: number, name: string): Promise<void> {
    await this.#within(this.client.namespace.removeEntry(parent, name, true));
  }

  /** `replace: false` refuses a new name that exists. */
  async rename(parent: number, name: string, newParent: number, newName: string, replace = true): Promise<void> {
    await this.#within(this.client.namespace.renameEntry(parent, name, newParent, newName, replace));
  }

  // ---- open files

  /** Answers a handle. @throws `StaleHandle`, `IsDirectory`, `InvalidArgument` (a symbolic link). */
  async open(inode: number, options: { readonly truncate?: boolean } = {}): Promise<number> {
    await this.refresh();
    const handle = this.openKnown(inode);
    if (options.truncate && this.stat(inode).size > 0) {
      try {
        await this.#within(this.#file(handle).truncate(0));
      } catch (error) {
        await this.release(handle).catch(() => undefined);
        throw error;
      }
    }
    return handle;
  }

  /** Makes a file and opens it. @throws `Exists`, ... */
  async create(parent: number, name: string, options: CreateOptions): Promise<{ inode: number; handle: number }> {
    const inode = await this.mknod(parent, name, options);
    return { inode, handle: this.openKnown(inode) };
  }

  /** {@link open} for who has just refreshed. */
  openKnown(inode: number): number {
    const file = this.client.openFile(inode);
    return this.#handles.add({ inode, file });
  }

  /** Whether there is a handle of it here. */
  isOpen(inode: number): boolean {
    return this.client.openedFile(inode) !== undefined;
  }

  inodeOf(handle: number): number {
    return this.#handles.get(handle).inode;
  }

  /** Fills `target` from `position` on; answers how many bytes there were. `target` must not be used again after a failure. */
  async read(handle: number, position: number, target: Uint8Array): Promise<number> {
    return this.#within(this.#file(handle).read(position, target));
  }

  /**
   * Writes all of `source`, which must not change until it is done, nor be used again after a failure. Where the region
   * is full it fails whole: what had no place before is not in the file.
   * @throws `RegionFull`, `StaleHandle`, `OutOfRange`.
   */
  async write(handle: number, position: number, source: Uint8Array): Promise<void> {
    return this.#within(this.#file(handle).write(position, source));
  }

  /** One of the descriptors of a handle is closed: publishes what was written. */
  async flush(handle: number): Promise<void> {
    await this.#within(this.#file(handle).flush());
  }

  async fsync(handle: number): Promise<void> {
    return this.#within(this.#file(handle).flush());
  }

  /** The last descriptor of a handle is closed. */
  async release(handle: number): Promise<void> {
    const { file } = this.#handles.take(handle);
    // One of a client that is no more has nothing left to close.
    if (file.client === this.#client) await this.#within(file.close());
  }

  // ---- directories and the whole

  /** What is in a directory, without `.` and `..`. @throws `NotDirectory`, `StaleHandle`. */
  async list(inode: number): Promise<DirectoryEntry[]> {
    await this.refresh();
    const { state } = this.client;
    const entries: DirectoryEntry[] = [];
    for (const [name, number] of state.directory(inode).entries) {
      entries.push({ name, inode: number, kind: state.inode(number).kind });
    }
    return entries;
  }

  /** A handle to a directory as it is now. */
  async opendir(inode: number): Promise<number> {
    return this.#directories.add(await this.list(inode));
  }

  /** Entries from the `from`-th on. */
  readdir(handle: number, from = 0): readonly DirectoryEntry[] {
    const entries = this.#directories.get(handle);
    return from === 0 ? entries : entries.slice(from);
  }

  releasedir(handle: number): void {
    this.#directories.take(handle);
  }

  /** How full the region is, at most a second ago. */
  statfs(): Promise<SpaceUsage> {
    return this.#within(this.#space.get());
  }

  /** Whether a user may do that by owner, group and permission bits; `mask` of read 4, write 2, execute 1. */
  access(inode: number, mask: number, user: { readonly uid: number; readonly gids: readonly number[] }): boolean {
    const { mode, uid, gid, kind } = this.stat(inode);
    if (user.uid === 0) return (mask & 1) === 0 || kind === 'directory' || (mode & 0o111) !== 0;
    const shift = user.uid === uid ? 6 : user.gids.includes(gid) ? 3 : 0;
    return ((mode >> shift) & mask) === mask;
  }

  /** What the appliance does not answer in time fails, and goes on behind our back to whatever end it finds. */
  #within<T>(work: Promise<T>): Promise<T> {
    return abandonable(work, { timeout: this.#timeout }, async () => undefined).catch((error) => {
      // Whatever comes next finds a client that lives, or waits for it.
      if (this.#client.fate !== undefined) this.#rejoin().catch(() => undefined);
      throw error;
    });
  }
}
