import { type Client, ExomemError, inodesPerIndex, type Operation, rootInode } from '@exomem/core';
import { WholeFile } from '../whole-file.js';
import { type ByteSink, split, type TreeEntry, type TreeSink } from './tree.js';

/** Writes a tree into a region: below the directory `parent` with the name `base`, or into `parent` itself if that is ``. */
export class RegionSink implements TreeSink {
  readonly #client: Client;
  readonly #parent: number;
  readonly #base: string;
  readonly #inodes = new Map<string, number>();

  constructor(client: Client, parent: number, base: string) {
    this.#client = client;
    this.#parent = parent;
    this.#base = base;
  }

  /**
   * Holds the tree against what is there. Nothing is written yet.
   * @throws `Exists` (a file, if files are to be kept), `IsDirectory`, `NotDirectory`
   */
  check(entries: readonly TreeEntry[], clobber: boolean): void {
    const { state, where } = this.#client;
    const found = new Map<string, number>();
    for (const { path, kind } of entries) {
      const old = this.#lookup(path, (directory) => found.get(directory));
      if (old === undefined) continue;
      found.set(path, old);
      const was = state.inode(old).kind;
      if (kind === 'directory' && was !== 'directory') {
        throw new ExomemError('NotDirectory', `${this.#shown(path)} is no directory there`, { where });
      }
      if (kind !== 'directory' && was === 'directory') {
        throw new ExomemError('IsDirectory', `${this.#shown(path)} is a directory there`, { where });
      }
      if (kind !== 'directory' && !clobber) {
        throw new ExomemError('Exists', `${this.#shown(path)} exists`, { where });
      }
    }
  }

  #shown(path: string): string {
    return path || this.#base || '/';
  }

  /** The inode that has the name of an entry. */
  #lookup(path: string, known: (directory: string) => number | undefined): number | undefined {
    const { state } = this.#client;
    if (path === '') {
      return this.#base === '' ? this.#parent : state.directory(this.#parent).entries.get(this.#base);
    }
    const { directory, name } = split(path);
    const parent = known(directory);
    return parent === undefined ? undefined : state.inodes.get(parent)?.entries?.get(name);
  }

  #place(path: string): { parent: number; name: string } {
    if (path === '') return { parent: this.#parent, name: this.#base };
    const { directory, name } = split(path);
    return { parent: this.#inodes.get(directory)!, name };
  }

  async directory(entry: TreeEntry): Promise<void> {
    if (entry.path === '' && this.#base === '') {
      this.#inodes.set('', this.#parent);
      return;
    }
    const { parent, name } = this.#place(entry.path);
    const old = this.#client.state.lookup(parent, name);
    if (old?.kind === 'directory') this.#inodes.set(entry.path, old.inode);
    else this.#inodes.set(entry.path, await this.#create(entry, parent, name));
  }

  async file(entry: TreeEntry, fill: (sink: ByteSink) => Promise<boolean>): Promise<boolean> {
    const { parent, name } = this.#place(entry.path);
    const { mode, uid, gid, mtime } = entry;
    await using file = new WholeFile(this.#client, entry.size);
    if (!(await fill((bytes) => file.write(bytes)))) return false;
    const inode = await file.commit(parent, name, { mode, uid, gid, replace: true, as: { mtime } });
    this.#inodes.set(entry.path, inode);
    return true;
  }

  async symlink(entry: TreeEntry): Promise<void> {
    const { parent, name } = this.#place(entry.path);
    this.#inodes.set(entry.path, await this.#create(entry, parent, name));
  }

  async link({ path }: TreeEntry, existing: string): Promise<void> {
    const { parent, name } = this.#place(path);
    const inode = this.#inodes.get(existing)!;
    const time = this.#client.surroundings.wallClock();
    await this.#client.append((state) => {
      const old = state.lookup(parent, name);
      if (old?.inode === inode) return [];
      const operations: Operation[] = [];
      if (old !== undefined) {
        operations.push({ op: 'unlink', parent, name, inode: old.inode, directory: false, time });
      }
      return checked(state, operations, { op: 'link', parent, name, inode, time });
    });
  }

  async finish({ path, mode, uid, gid, mtime }: TreeEntry): Promise<void> {
    const inode = this.#inodes.get(path)!;
    // What was the root before stays as it was.
    if (inode === rootInode && path === '') return;
    await this.#client.namespace.setAttributes(inode, { mode, uid, gid, mtime });
  }

  /** A directory or a symbolic link, with its time, in one record; in place of a file that has its name. */
  async #create(entry: TreeEntry, parent: number, name: string): Promise<number> {
    const { kind, mode, uid, gid, mtime } = entry;
    const ctime = this.#client.surroundings.wallClock();
    let number = 0;
    const create = {
      op: 'create',
      parent,
      name,
      kind,
      mode,
      uid,
      gid,
      time: ctime,
      target: entry.target ?? '',
      size: 0,
      extents: [],
    } as const;
    const index = await this.#client.append((state, at) => {
      const old = state.lookup(parent, name);
      const operations: Operation[] = [];
      if (old !== undefined) {
        operations.push({ op: 'unlink', parent, name, inode: old.inode, directory: false, time: ctime });
      }
      number = operations.length;
      checked(state, operations, create);
      operations.push({ op: 'setattr', inode: at * inodesPerIndex + number, mtime, ctime });
      return operations;
    });
    return index * inodesPerIndex + number;
  }
}

/** Appends `last` to what makes room for it; without that it must fit the state as it is. */
function checked(
  state: { check(operation: Operation): void },
  before: Operation[],
  last: Operation,
): readonly Operation[] {
  state.check(before[0] ?? last);
  before.push(last);
  return before;
}
