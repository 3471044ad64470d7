import {
  type Attributes,
  abandonable,
  type Client,
  ExomemError,
  type Inode,
  isExomemError,
  type Operation,
  type RegionFile,
  rootInode,
  type Stat,
} from '@exomem/core';
import { type DirectoryEntry, type FileHandle, HandleTable } from './handles.js';
import { Orphans, orphanDirectory } from './orphans.js';
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
  readonly client: Client;
  readonly #timeout: number;
  readonly #handles = new HandleTable<FileHandle>();
  readonly #directories = new HandleTable<readonly DirectoryEntry[]>();
  /** Inode -> how many handles. */
  readonly #users = new Map<number, number>();
  readonly #orphans: Orphans;
  readonly #space: StatFs;

  private constructor(client: Client, options: FileSystemOptions) {
    const { ioTimeout = 10_000 } = options;
    if (!(ioTimeout > 0 && ioTimeout < 2 ** 31)) {
      throw new ExomemError('InvalidArgument', `the I/O timeout cannot be ${ioTimeout} ms`, {
        advice: 'give a positive number of milliseconds',
      });
    }
    this.client = client;
    this.#timeout = ioTimeout;
    this.#orphans = new Orphans(client);
    this.#space = new StatFs(client);
  }

  /** Removes what mounts that died left behind, then it is ready. @throws `PermissionDenied` if the client only looks. */
  static async open(client: Client, options: FileSystemOptions = {}): Promise<FileSystem> {
    client.identity;
    const fileSystem = new FileSystem(client, options);
    await fileSystem.#within(fileSystem.#orphans.collect());
    return fileSystem;
  }

  /** Publishes what is open and removes what has no name any more. Nothing may be called after it. */
  async close(): Promise<void> {
    for (const { inode, file } of this.#handles.values()) {
      if (!this.#orphans.has(inode)) await this.#within(file.flush()).catch(() => undefined);
    }
    await this.#within(this.#orphans.removeAll()).catch(() => undefined);
  }

  // ---- names

  /** Sees to it that what was acknowledged anywhere before this call is known after it. */
  refresh(): Promise<void> {
    return this.#within(this.client.refresh());
  }

  /** The inode behind a name, from what is known; undefined if there is none. @throws `StaleHandle`, `NotDirectory`. */
  find(parent: number, name: string): Inode | undefined {
    if (parent === rootInode && name === orphanDirectory) return undefined;
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
    const stat = this.client.namespace.stat(inode);
    return this.#orphans.has(inode) ? { ...stat, links: stat.links - 1 } : stat;
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
    this.#visible(parent, name);
    return this.#within(this.client.namespace.create(parent, name, { kind: 'file', mode, uid, gid }));
  }

  async mkdir(parent: number, name: string, options: CreateOptions): Promise<number> {
    const { mode, uid, gid } = options;
    this.#visible(parent, name);
    return this.#within(this.client.namespace.create(parent, name, { kind: 'directory', mode, uid, gid }));
  }

  async symlink(
    parent: number,
    name: string,
    target: string,
    options: Omit<CreateOptions, 'mode'> = {},
  ): Promise<number> {
    const { uid, gid } = options;
    this.#visible(parent, name);
    return this.#within(this.client.namespace.create(parent, name, { kind: 'symlink', target, uid, gid }));
  }

  async link(inode: number, parent: number, name: string): Promise<void> {
    this.#visible(parent, name);
    if (this.#orphans.has(inode)) throw new ExomemError('NotFound', 'the file has no name any more');
    await this.#within(this.client.namespace.linkEntry(inode, parent, name));
  }

  /** Removes a name of anything but a directory. A file that is open here stays readable until its last `release`. */
  async unlink(parent: number, name: string): Promise<void> {
    this.#visible(parent, name);
    const hidden = await this.#hidingPlace(this.find(parent, name));
    let orphan: number | undefined;
    const time = this.client.surroundings.wallClock();
    await this.#append((state) => {
      orphan = undefined;
      const inode = state.lookup(parent, name);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
      const unlink = { op: 'unlink', parent, name, inode: inode.inode, directory: false, time } as const;
      state.check(unlink);
      if (!this.#lastName(inode) || hidden === undefined) return [unlink];
      orphan = inode.inode;
      return [this.#hide(parent, name, orphan, hidden, time)];
    });
    if (orphan !== undefined) await this.#hidden(orphan);
  }

  async rmdir(parent: number, name: string): Promise<void> {
    this.#visible(parent, name);
    await this.#within(this.client.namespace.removeEntry(parent, name, true));
  }

  /** `replace: false` refuses a new name that exists. */
  async rename(parent: number, name: string, newParent: number, newName: string, replace = true): Promise<void> {
    this.#visible(parent, name);
    this.#visible(newParent, newName);
    const hidden = await this.#hidingPlace(this.find(newParent, newName));
    let orphan: number | undefined;
    const time = this.client.surroundings.wallClock();
    await this.#append((state) => {
      orphan = undefined;
      const inode = state.lookup(parent, name);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
      const old = state.lookup(newParent, newName);
      if (old !== undefined && !replace) throw new ExomemError('Exists', `${newName} exists`);
      const base = { op: 'rename', parent, name, inode: inode.inode, newParent, newName, time } as const;
      const rename = { ...base, replaced: old?.inode ?? 0 };
      state.check(rename);
      if (old === undefined || old === inode || !this.#lastName(old) || hidden === undefined) return [rename];
      // In one record, so that nobody ever finds nothing under the new name.
      orphan = old.inode;
      return [this.#hide(newParent, newName, orphan, hidden, time), { ...base, replaced: 0 }];
    });
    if (orphan !== undefined) await this.#hidden(orphan);
  }

  #visible(parent: number, name: string): void {
    if (parent === rootInode && name === orphanDirectory)
      throw new ExomemError('PermissionDenied', `${name} is where files wait that are open and have no name`);
  }

  // ---- files that lose their last name while they are open

  /** Whether losing a name means that the file goes, under programs that have it open here. */
  #lastName(inode: Inode): boolean {
    return inode.kind === 'file' && inode.links === 1 && this.#users.has(inode.inode);
  }

  /** The directory for such files, made before it is needed: a record can only use what is there. */
  async #hidingPlace(inode: Inode | undefined): Promise<number | undefined> {
    return inode !== undefined && this.#lastName(inode) ? this.#within(this.#orphans.directory()) : undefined;
  }

  #hide(parent: number, name: string, inode: number, hidden: number, time: bigint): Operation {
    const newName = this.#orphans.nameOf(inode);
    return { op: 'rename', parent, name, inode, newParent: hidden, newName, replaced: 0, time };
  }

  async #hidden(inode: number): Promise<void> {
    this.#orphans.took(inode);
    // The last handle may have gone while the record was on its way.
    if (!this.#users.has(inode)) await this.#within(this.#orphans.remove(inode));
  }

  // ---- open files

  /** Answers a handle. @throws `StaleHandle`, `IsDirectory`, `InvalidArgument` (a symbolic link). */
  async open(inode: number, options: { readonly truncate?: boolean } = {}): Promise<number> {
    await this.refresh();
    const handle = this.openKnown(inode);
    if (options.truncate && this.stat(inode).size > 0) {
      try {
        await this.#within(this.#handles.get(handle).file.truncate(0));
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
    this.#users.set(inode, (this.#users.get(inode) ?? 0) + 1);
    return this.#handles.add({ inode, file });
  }

  /** Whether there is a handle of it here. */
  isOpen(inode: number): boolean {
    return this.#users.has(inode);
  }

  inodeOf(handle: number): number {
    return this.#handles.get(handle).inode;
  }

  /** Fills `target` from `position` on; answers how many bytes there were. `target` must not be used again after a failure. */
  read(handle: number, position: number, target: Uint8Array): Promise<number> {
    return this.#within(this.#handles.get(handle).file.read(position, target));
  }

  /**
   * Writes all of `source`, which must not change until it is done, nor be used again after a failure. Where the region
   * is full it fails whole, though the part that found room may be in the file.
   * @throws `RegionFull`, `StaleHandle`, `OutOfRange`.
   */
  write(handle: number, position: number, source: Uint8Array): Promise<void> {
    return this.#within(this.#handles.get(handle).file.write(position, source));
  }

  /** One of the descriptors of a handle is closed: publishes what was written. */
  async flush(handle: number): Promise<void> {
    const { inode, file } = this.#handles.get(handle);
    if (!this.#orphans.has(inode)) await this.#within(file.flush());
  }

  fsync(handle: number): Promise<void> {
    return this.#within(this.#handles.get(handle).file.flush());
  }

  /** The last descriptor of a handle is closed. */
  async release(handle: number): Promise<void> {
    const { inode, file } = this.#handles.take(handle);
    const users = this.#users.get(inode)! - 1;
    if (users > 0) this.#users.set(inode, users);
    else this.#users.delete(inode);
    await this.#within(this.#close(inode, file, users === 0));
  }

  async #close(inode: number, file: RegionFile, last: boolean): Promise<void> {
    if (!last || !this.#orphans.has(inode)) return file.close();
    await this.#orphans.remove(inode);
    try {
      await file.close();
    } catch (error) {
      // Nothing is to be published: its pages are given back.
      if (!isExomemError(error, 'StaleHandle')) throw error;
    }
  }

  // ---- directories and the whole

  /** What is in a directory, without `.` and `..`. @throws `NotDirectory`, `StaleHandle`. */
  async list(inode: number): Promise<DirectoryEntry[]> {
    await this.refresh();
    const { state } = this.client;
    const entries: DirectoryEntry[] = [];
    for (const [name, number] of state.directory(inode).entries) {
      if (inode === rootInode && name === orphanDirectory) continue;
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

  #append(draft: Parameters<Client['append']>[0]): Promise<number> {
    return this.#within(this.client.append(draft));
  }

  /** What the appliance does not answer in time fails, and goes on behind our back to whatever end it finds. */
  #within<T>(work: Promise<T>): Promise<T> {
    return abandonable(work, { timeout: this.#timeout }, async () => undefined);
  }
}
