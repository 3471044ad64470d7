import { ExomemError } from '../errors.js';
import type { Inode } from '../namespace/inode.js';
import type { FileExtent, FileKind, FileOwner } from '../namespace/operation.js';
import { checkTarget, inodesPerIndex, rootInode } from '../namespace/state.js';
import type { Client } from './client.js';
import type { RegionFile } from './file.js';

/** Whom a file can end with. */
export interface Owner {
  /** The principal, as it is now. @throws `Closed` if it has ended. */
  owning(): FileOwner;
}

export interface CreateOptions {
  readonly kind: FileKind;
  /** Permission bits. Default 0o644, of a directory 0o755, of a symlink 0o777. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Of a symlink. */
  readonly target?: string;
  readonly size?: number;
  readonly extents?: readonly FileExtent[];
  /** Of a file: its names vanish when that one ends, or dies. Absent: it outlives its creator. */
  readonly owner?: Owner;
}

export interface Attributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Nanoseconds since 1970. */
  readonly atime?: bigint;
  readonly mtime?: bigint;
}

/** What there is to know of a file. Times in nanoseconds since 1970. */
export interface Stat {
  readonly inode: number;
  readonly kind: FileKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly size: number;
  /** Bytes of region that it takes. */
  readonly allocated: number;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  /** The principal that it ends with; undefined: it outlives everybody. */
  readonly owner: FileOwner | undefined;
}

const mostSymlinks = 40;

/**
 * The names of a region. Methods that take a path look first whether the log has moved, so they see what anybody
 * acknowledged before; methods that take inodes work on what this client knows, and learn what they must when they
 * append. Paths begin with `/`.
 */
export class Namespace {
  readonly #client: Client;
  constructor(client: Client) {
    this.#client = client;
  }

  // ---- by inode

  /** The inode of a name, from what this client knows. */
  lookup(parent: number, name: string): Inode | undefined {
    const { state } = this.#client;
    if (name === '.') return state.directory(parent);
    if (name === '..') return state.inode(state.directory(parent).parent);
    return state.lookup(parent, name);
  }

  stat(inode: number): Stat {
    const open = this.#client.openedFile(inode);
    const found = open?.orphan ?? this.#client.state.inode(inode);
    const { pageSize } = this.#client.geometry;
    let pages = open?.pendingPages ?? 0;
    for (const extent of found.extents) pages += extent.pages;
    return {
      inode,
      kind: found.kind,
      mode: found.mode,
      uid: found.uid,
      gid: found.gid,
      links: found.links,
      size: Math.max(found.size, open?.pendingSize ?? 0),
      allocated: pages * pageSize,
      atime: found.atime,
      mtime: open?.pendingTime !== undefined && open.pendingTime > found.mtime ? open.pendingTime : found.mtime,
      ctime: found.ctime,
      owner: found.owner,
    };
  }

  /**
   * Makes a file, a directory or a symbolic link; answers its inode.
   * @throws `Exists`, `NotDirectory`, `NamespaceFull`, `NameTooLong` (also a target of over 2,048 bytes), `InvalidArgument` (an owner
   * of what is no file), ...
   */
  async create(parent: number, name: string, options: CreateOptions): Promise<number> {
    const { kind, target = '' } = options;
    checkTarget(target);
    const time = this.#time();
    const index = await this.#client.append((state) => {
      const operation = {
        op: 'create',
        parent,
        name,
        kind,
        mode: (options.mode ?? (kind === 'directory' ? 0o755 : kind === 'symlink' ? 0o777 : 0o644)) & 0o7777,
        uid: options.uid ?? 0,
        gid: options.gid ?? 0,
        time,
        target,
        size: options.size ?? 0,
        extents: options.extents ?? [],
        owner: options.owner?.owning(),
      } as const;
      state.check(operation);
      return [operation];
    });
    return index * inodesPerIndex;
  }

  async removeEntry(parent: number, name: string, directory: boolean): Promise<void> {
    const time = this.#time();
    await this.#client.append((state) => {
      const inode = state.lookup(parent, name);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
      const operation = { op: 'unlink', parent, name, inode: inode.inode, directory, time } as const;
      state.check(operation);
      return [operation];
    });
  }

  /** `replace: false` refuses a new name that exists (RENAME_NOREPLACE of renameat2(2)). */
  async renameEntry(parent: number, name: string, newParent: number, newName: string, replace = true): Promise<void> {
    const time = this.#time();
    await this.#client.append((state) => {
      const inode = state.lookup(parent, name);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
      const replaced = state.lookup(newParent, newName)?.inode ?? 0;
      if (replaced !== 0 && !replace) throw new ExomemError('Exists', `${newName} exists`);
      const operation = { op: 'rename', parent, name, inode: inode.inode, newParent, newName, replaced, time } as const;
      state.check(operation);
      return [operation];
    });
  }

  async linkEntry(inode: number, parent: number, name: string): Promise<void> {
    const time = this.#time();
    await this.#client.append((state) => {
      const operation = { op: 'link', parent, name, inode, time } as const;
      state.check(operation);
      return [operation];
    });
  }

  async setAttributes(inode: number, attributes: Attributes): Promise<void> {
    const ctime = this.#time();
    const open = this.#client.openedFile(inode);
    // What is written and not published yet would move the times again.
    await open?.flush();
    if (open?.orphan !== undefined) {
      Object.assign(open.orphan, attributes, { ctime });
      return;
    }
    await this.#client.append((state) => {
      const operation = { op: 'setattr', inode, ...attributes, ctime } as const;
      state.check(operation);
      return [operation];
    });
  }

  readlinkOf(inode: number): string {
    const found = this.#client.state.inode(inode);
    if (found.kind !== 'symlink') throw new ExomemError('NotSymlink', `inode ${inode} is no symbolic link`);
    return found.target;
  }

  entries(inode: number): ReadonlyMap<string, number> {
    return this.#client.state.directory(inode).entries;
  }

  // ---- by path

  /** The inode of a path. @throws `NotFound`, `NotDirectory`, `TooManyLinks`. */
  async resolve(path: string, options: { follow?: boolean } = {}): Promise<number> {
    await this.#client.refresh();
    return this.walk(path, options.follow ?? true);
  }

  /** {@link resolve} on what this client knows. */
  walk(path: string, follow = true): number {
    let left = partsOf(path);
    let at = rootInode;
    for (let links = 0; left.length > 0; ) {
      const name = left[0]!;
      left = left.slice(1);
      const inode = this.lookup(at, name);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${path}`, { where: this.#client.where });
      if (inode.kind === 'symlink' && (follow || left.length > 0)) {
        if (++links > mostSymlinks)
          throw new ExomemError('TooManyLinks', `${path} leads through too many symbolic links`);
        if (inode.target.startsWith('/')) at = rootInode;
        left = [...inode.target.split('/').filter((part) => part !== '' && part !== '.'), ...left];
      } else {
        at = inode.inode;
      }
    }
    return at;
  }

  /** The directory that a path's last name is or would be in. */
  async place(path: string): Promise<{ parent: number; base: string }> {
    const parts = partsOf(path);
    const base = parts.pop();
    if (base === undefined)
      throw new ExomemError('InvalidArgument', `${path} names the root itself`, { where: this.#client.where });
    const parent = await this.resolve(`/${parts.join('/')}`);
    this.#client.state.directory(parent);
    return { parent, base };
  }

  async statPath(path: string, options: { follow?: boolean } = {}): Promise<Stat> {
    return this.stat(await this.resolve(path, options));
  }

  /** Names and what is behind them, sorted by name. */
  async list(path: string): Promise<{ name: string; stat: Stat }[]> {
    const inode = await this.resolve(path);
    const names = [...this.entries(inode)].sort(([a], [b]) => (a < b ? -1 : 1));
    return names.map(([name, number]) => ({ name, stat: this.stat(number) }));
  }

  async mkdir(path: string, options: { mode?: number; recursive?: boolean } = {}): Promise<void> {
    if (options.recursive) {
      const parts = partsOf(path);
      for (let count = 1; count < parts.length; count++) {
        await this.mkdir(`/${parts.slice(0, count).join('/')}`, { mode: options.mode }).catch(ignoreExists);
      }
      await this.mkdir(path, { mode: options.mode }).catch(ignoreExists);
      return;
    }
    const { parent, base } = await this.place(path);
    await this.create(parent, base, { kind: 'directory', mode: options.mode });
  }

  async unlink(path: string): Promise<void> {
    const { parent, base } = await this.place(path);
    await this.removeEntry(parent, base, false);
  }
  async rmdir(path: string): Promise<void> {
    const { parent, base } = await this.place(path);
    await this.removeEntry(parent, base, true);
  }
  async rename(from: string, to: string): Promise<void> {
    const source = await this.place(from);
    const target = await this.place(to);
    await this.renameEntry(source.parent, source.base, target.parent, target.base);
  }
  async link(existing: string, path: string): Promise<void> {
    const inode = await this.resolve(existing, { follow: false });
    const { parent, base } = await this.place(path);
    await this.linkEntry(inode, parent, base);
  }
  async symlink(target: string, path: string): Promise<void> {
    const { parent, base } = await this.place(path);
    await this.create(parent, base, { kind: 'symlink', target });
  }
  async readlink(path: string): Promise<string> {
    return this.readlinkOf(await this.resolve(path, { follow: false }));
  }

  /**
   * Opens a file; `create` makes it if there is none, `truncate` empties it, `exclusive` refuses one that exists. One that
   * is made with `lifetime: 'owner'` ends with this client.
   */
  async open(
    path: string,
    options: { create?: boolean; exclusive?: boolean; truncate?: boolean; mode?: number; lifetime?: 'owner' } = {},
  ): Promise<RegionFile> {
    let inode: number | undefined;
    try {
      inode = await this.resolve(path);
      if (options.exclusive) throw new ExomemError('Exists', `${path} exists`, { where: this.#client.where });
    } catch (error) {
      if (!options.create || !(error instanceof ExomemError) || error.code !== 'NotFound') throw error;
      const { parent, base } = await this.place(path);
      const owner = options.lifetime === 'owner' ? this.#client : undefined;
      inode = await this.create(parent, base, { kind: 'file', mode: options.mode, owner });
    }
    if (this.#client.state.inodes.get(inode)?.kind === 'directory')
      throw new ExomemError('IsDirectory', `${path} is a directory`, { where: this.#client.where });
    const file = this.#client.openFile(inode);
    if (options.truncate && file.size > 0) {
      try {
        await file.truncate(0);
      } catch (error) {
        await file.close();
        throw error;
      }
    }
    return file;
  }

  #time(): bigint {
    return this.#client.surroundings.wallClock();
  }
}

function partsOf(path: string): string[] {
  if (!path.startsWith('/')) throw new ExomemError('InvalidArgument', `a path begins with /: ${JSON.stringify(path)}`);
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function ignoreExists(error: unknown): void {
  if (!(error instanceof ExomemError) || error.code !== 'Exists') throw error;
}
