import { ExomemError } from '../errors.js';
import { extentAt, type Inode, insertExtent, withoutRange } from './inode.js';
import type { FileExtent, FileKind, FileOwner, Operation } from './operation.js';
import type { LogRecord } from './record.js';

export const rootInode = 1;
/** Operations that one log index can number inodes for. */
export const inodesPerIndex = 4096;
export const nameLimit = 255;
export const targetLimit = 2048;
export const linkLimit = 65_000;

/** A file without a name that somebody has open. */
export interface KeptFile {
  extents: FileExtent[];
  /** Principal -> incarnation. */
  readonly holders: Map<number, number>;
}

type Directory = Inode & { readonly entries: Map<string, number> };

/** What happens to a state that others must know of; all of it while a record is applied. */
export interface StateListener {
  /** No file refers to these pages any more. */
  released(page: number, pages: number, index: number): void;
  /** Pages that were released are referred to again, before anybody could free them. */
  kept(page: number, pages: number): void;
  /** The last name of this file is gone. */
  removed(inode: Inode, index: number): void;
}

/**
 * The directory tree as a pure state machine: the same records in the same order give the same tree everywhere.
 * An operation that does not fit the state changes nothing; it is an error of its author.
 */
export class NamespaceState {
  readonly inodes = new Map<number, Inode>();
  /** Principal -> the highest incarnation that may not append any more. */
  readonly fences = new Map<number, number>();
  /** Principal -> its incarnation and the last sequence number applied. */
  readonly sequences = new Map<number, { incarnation: number; sequence: number }>();
  /** The index of the next record. The log begins at 1. */
  index = 1;
  /** About as many bytes as a snapshot takes; never fewer. */
  weight = 0;
  /** Pages of region that files refer to. */
  pages = 0;
  readonly pageSize: number;
  /** Files without a name, by inode. */
  readonly kept = new Map<number, KeptFile>();
  /** Principal -> files that end with it. */
  readonly owned = new Map<number, Set<Inode>>();
  listener: StateListener | undefined;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    const root: Inode = {
      inode: rootInode,
      kind: 'directory',
      mode: 0o755,
      uid: 0,
      gid: 0,
      links: 2,
      size: 0,
      atime: 0n,
      mtime: 0n,
      ctime: 0n,
      target: '',
      entries: new Map(),
      parent: rootInode,
      extents: [],
      unwritten: [],
      owner: undefined,
    };
    this.add(root);
  }

  /** Whether this record counts: not fenced, and not applied before. */
  counts(record: LogRecord): boolean {
    if ((this.fences.get(record.author) ?? -1) >= record.incarnation) return false;
    const last = this.sequences.get(record.author);
    if (last === undefined || last.incarnation < record.incarnation) return true;
    return last.incarnation === record.incarnation && last.sequence < record.sequence;
  }

  /** Takes the next record. Its operations that do not fit are passed over. */
  apply(record: LogRecord): void {
    if (this.counts(record)) {
      this.sequences.set(record.author, { incarnation: record.incarnation, sequence: record.sequence });
      for (const [number, operation] of record.operations.entries()) {
        try {
          this.perform(operation, record.index * inodesPerIndex + number, record.index);
        } catch (error) {
          if (!(error instanceof ExomemError)) throw error;
        }
      }
    }
    this.index = record.index + 1;
  }

  /**
   * Holds an operation against the state as it is.
   * @throws `NotFound`, `Exists`, `NotDirectory`, `IsDirectory`, `NotEmpty`, `StaleHandle`, `InvalidArgument`, ...
   */
  check(operation: Operation): void {
    switch (operation.op) {
      case 'create':
        checkName(operation.name);
        if (operation.target.length > targetLimit)
          throw new ExomemError('NameTooLong', 'the target of a symbolic link is too long');
        if (operation.owner !== undefined) this.#checkOwner(operation.owner, operation.kind);
        this.#absent(this.directory(operation.parent), operation.name);
        break;
      case 'link': {
        checkName(operation.name);
        this.#absent(this.directory(operation.parent), operation.name);
        const inode = this.inode(operation.inode);
        if (inode.kind === 'directory') throw new ExomemError('PermissionDenied', 'a directory has one name only');
        if (inode.links >= linkLimit) throw new ExomemError('TooManyLinks', `a file has at most ${linkLimit} names`);
        break;
      }
      case 'unlink': {
        const directory = this.directory(operation.parent);
        const inode = this.#present(directory, operation.name, operation.inode);
        if (operation.directory) {
          if (inode.entries === undefined) throw new ExomemError('NotDirectory', `${operation.name} is no directory`);
          if (inode.entries.size > 0) throw new ExomemError('NotEmpty', `${operation.name} is not empty`);
        } else if (inode.kind === 'directory') {
          throw new ExomemError('IsDirectory', `${operation.name} is a directory`);
        }
        break;
      }
      case 'rename':
        this.#checkRename(operation);
        break;
      case 'extend': {
        const inode = this.file(operation.inode);
        for (const { at, pages } of operation.extents) {
          const next = inode.extents[extentAt(inode.extents, at)];
          if (next !== undefined && next.at < at + pages)
            throw new ExomemError('Exists', `page ${next.at} of the file has a place`);
        }
        break;
      }
      case 'truncate':
        this.file(operation.inode);
        break;
      case 'setattr':
        this.inode(operation.inode);
        break;
      case 'keep':
        if (this.inodes.has(operation.inode)) throw new ExomemError('Exists', `inode ${operation.inode} has a name`);
        break;
      case 'drop':
      case 'fence':
      case 'disown':
        break;
    }
  }

  /** @throws `StaleHandle` if there is none of that number. */
  inode(number: number): Inode {
    const inode = this.inodes.get(number);
    if (inode === undefined) throw new ExomemError('StaleHandle', `inode ${number} is gone`);
    return inode;
  }
  file(number: number): Inode {
    const inode = this.inode(number);
    if (inode.kind === 'directory') throw new ExomemError('IsDirectory', `inode ${number} is a directory`);
    if (inode.kind !== 'file') throw new ExomemError('InvalidArgument', `inode ${number} is a symbolic link`);
    return inode;
  }
  directory(number: number): Directory {
    const inode = this.inode(number);
    if (!isDirectory(inode)) throw new ExomemError('NotDirectory', `inode ${number} is no directory`);
    return inode;
  }
  /** The inode of a name in a directory; undefined if there is none. */
  lookup(parent: number, name: string): Inode | undefined {
    const number = this.directory(parent).entries.get(name);
    return number === undefined ? undefined : this.inodes.get(number);
  }

  #absent(directory: Directory, name: string): void {
    if (directory.entries.has(name)) throw new ExomemError('Exists', `${name} exists`);
  }
  #present(directory: Directory, name: string, expected: number): Inode {
    const number = directory.entries.get(name);
    if (number === undefined || number !== expected) throw new ExomemError('NotFound', `there is no ${name}`);
    return this.inode(number);
  }

  #checkOwner({ principal, incarnation }: FileOwner, kind: FileKind): void {
    if (kind !== 'file') throw new ExomemError('InvalidArgument', `only a file can end with its owner, no ${kind}`);
    if ((this.fences.get(principal) ?? -1) >= incarnation)
      throw new ExomemError('NotFound', `principal ${principal} (incarnation ${incarnation}) has ended`, {
        advice: 'create the file for one that lives',
      });
  }

  #checkRename(operation: Operation & { op: 'rename' }): void {
    checkName(operation.newName);
    const inode = this.#present(this.directory(operation.parent), operation.name, operation.inode);
    const target = this.directory(operation.newParent);
    const replaced = target.entries.get(operation.newName) ?? 0;
    if (replaced !== operation.replaced)
      throw new ExomemError('Exists', `${operation.newName} has become another file`);
    if (inode.kind === 'directory') {
      for (let at = target as Inode; ; at = this.inode(at.parent)) {
        if (at.inode === inode.inode) {
          throw new ExomemError('InvalidArgument', `${operation.name} cannot move into itself`);
        }
        if (at.inode === rootInode) break;
      }
    }
    if (replaced === 0 || replaced === operation.inode) return;
    const old = this.inode(replaced);
    if (inode.kind === 'directory' && old.kind !== 'directory') {
      throw new ExomemError('NotDirectory', `${operation.newName} is no directory`);
    }
    if (inode.kind !== 'directory' && old.kind === 'directory') {
      throw new ExomemError('IsDirectory', `${operation.newName} is a directory`);
    }
    if (old.entries !== undefined && old.entries.size > 0) {
      throw new ExomemError('NotEmpty', `${operation.newName} is not empty`);
    }
  }

  /**
   * Does one operation of the record at `index`.
   * @param number of the inode that it makes, if it makes one
   * @throws what `check` throws, and then nothing has changed
   */
  perform(operation: Operation, number: number, index: number): void {
    this.check(operation);
    switch (operation.op) {
      case 'create': {
        const { parent, name, kind, mode, uid, gid, time, target, size } = operation;
        const inode: Inode = {
          inode: number,
          kind,
          mode,
          uid,
          gid,
          links: kind === 'directory' ? 2 : 1,
          size: kind === 'symlink' ? new TextEncoder().encode(target).length : size,
          atime: time,
          mtime: time,
          ctime: time,
          target,
          entries: kind === 'directory' ? new Map() : undefined,
          parent: kind === 'directory' ? parent : 0,
          extents: [],
          unwritten: [],
          owner: operation.owner,
        };
        for (const extent of operation.extents) {
          insertExtent(inode.extents, extent);
          this.pages += extent.pages;
        }
        this.add(inode);
        const directory = this.directory(parent);
        if (kind === 'directory') directory.links++;
        this.#enter(directory, name, number, time);
        break;
      }
      case 'link': {
        const inode = this.inode(operation.inode);
        inode.links++;
        inode.ctime = operation.time;
        this.#enter(this.directory(operation.parent), operation.name, operation.inode, operation.time);
        break;
      }
      case 'unlink':
        this.#leave(this.directory(operation.parent), operation.name, operation.time);
        this.#unname(this.inode(operation.inode), operation.time, index);
        break;
      case 'rename': {
        if (operation.replaced === operation.inode) break; // two names of one file: POSIX says nothing happens
        const from = this.directory(operation.parent);
        const to = this.directory(operation.newParent);
        const inode = this.inode(operation.inode);
        if (operation.replaced !== 0) {
          this.#leave(to, operation.newName, operation.time);
          this.#unname(this.inode(operation.replaced), operation.time, index);
        }
        this.#leave(from, operation.name, operation.time);
        this.#enter(to, operation.newName, operation.inode, operation.time);
        if (inode.kind === 'directory') {
          from.links--;
          to.links++;
          inode.parent = to.inode;
        }
        inode.ctime = operation.time;
        break;
      }
      case 'extend': {
        const inode = this.file(operation.inode);
        const before = weightOf(inode);
        for (const extent of operation.extents) {
          insertExtent(inode.extents, extent);
          this.pages += extent.pages;
        }
        for (const { from, to } of operation.written) inode.unwritten = withoutRange(inode.unwritten, from, to);
        if (operation.size > inode.size) inode.size = operation.size;
        inode.mtime = operation.time;
        inode.ctime = operation.time;
        this.weight += weightOf(inode) - before;
        break;
      }
      case 'truncate':
        this.#truncate(this.file(operation.inode), operation.size, operation.time, index);
        break;
      case 'setattr': {
        const inode = this.inode(operation.inode);
        if (operation.mode !== undefined) inode.mode = operation.mode & 0o7777;
        if (operation.uid !== undefined) inode.uid = operation.uid;
        if (operation.gid !== undefined) inode.gid = operation.gid;
        if (operation.atime !== undefined) inode.atime = operation.atime;
        if (operation.mtime !== undefined) inode.mtime = operation.mtime;
        inode.ctime = operation.ctime;
        break;
      }
      case 'fence': {
        const { principal } = operation;
        const incarnation = Math.max(operation.incarnation, this.fences.get(principal) ?? 0);
        this.fences.set(principal, incarnation);
        for (const [inode, { holders }] of [...this.kept]) {
          if ((holders.get(principal) ?? Number.POSITIVE_INFINITY) <= incarnation) this.#drop(inode, principal, index);
        }
        if (operation.adopt) this.#passOn(principal, incarnation);
        else this.#vanish(principal, incarnation, index);
        break;
      }
      case 'disown':
        this.#vanish(operation.principal, operation.incarnation, index);
        break;
      case 'keep':
        this.#keep(operation);
        break;
      case 'drop':
        if (this.kept.get(operation.inode)?.holders.get(operation.principal) === operation.incarnation) {
          this.#drop(operation.inode, operation.principal, index);
        }
        break;
    }
  }

  #keep({ inode, principal, incarnation, extents }: Operation & { op: 'keep' }): void {
    let file = this.kept.get(inode);
    if (file === undefined) {
      file = { extents: [], holders: new Map() };
      this.kept.set(inode, file);
      this.weight += keptWeight;
    }
    file.holders.set(principal, incarnation);
    this.weight -= file.extents.length * extentWeight;
    for (const extent of extents) {
      // Every holder knows the same extents: those that the file had when its last name went.
      const known = file.extents[extentAt(file.extents, extent.at)];
      if (known !== undefined && known.at < extent.at + extent.pages) continue;
      insertExtent(file.extents, extent);
      this.pages += extent.pages;
      this.listener?.kept(extent.page, extent.pages);
    }
    this.weight += file.extents.length * extentWeight;
  }

  /** Files that end with that principal in that incarnation, or a lower one. */
  ownedBy(principal: number, incarnation: number): Inode[] {
    return [...(this.owned.get(principal) ?? [])].filter(({ owner }) => owner!.incarnation <= incarnation);
  }

  /** Their owner was adopted: they are its next incarnation's. */
  #passOn(principal: number, incarnation: number): void {
    for (const inode of this.ownedBy(principal, incarnation)) {
      inode.owner = { principal, incarnation: incarnation + 1 };
    }
  }

  /** Their owner has ended, and with it all names that they have. */
  #vanish(principal: number, incarnation: number, index: number): void {
    const ending = new Set(this.ownedBy(principal, incarnation).map(({ inode }) => inode));
    if (ending.size === 0) return;
    for (const directory of this.inodes.values()) {
      if (!isDirectory(directory)) continue;
      for (const [name, number] of directory.entries) {
        if (!ending.has(number)) continue;
        const inode = this.inode(number);
        // Nobody was asked for the time: that the directory has changed must show all the same.
        this.#leave(directory, name, directory.ctime + 1n);
        this.#unname(inode, inode.ctime + 1n, index);
      }
    }
  }

  /** Puts an inode in its place; its names come by themselves. */
  add(inode: Inode): void {
    this.inodes.set(inode.inode, inode);
    this.weight += weightOf(inode);
    if (inode.owner === undefined) return;
    const { principal } = inode.owner;
    const others = this.owned.get(principal);
    if (others === undefined) this.owned.set(principal, new Set([inode]));
    else others.add(inode);
  }

  /** Puts a kept file of a snapshot in its place. */
  addKept(inode: number, file: KeptFile): void {
    this.kept.set(inode, file);
    this.weight += keptWeight + file.extents.length * extentWeight;
    for (const { pages } of file.extents) this.pages += pages;
  }

  #drop(inode: number, principal: number, index: number): void {
    const file = this.kept.get(inode)!;
    file.holders.delete(principal);
    if (file.holders.size > 0) return;
    this.kept.delete(inode);
    this.weight -= keptWeight + file.extents.length * extentWeight;
    for (const { page, pages } of file.extents) {
      this.pages -= pages;
      this.listener?.released(page, pages, index);
    }
  }

  #enter(directory: Directory, name: string, number: number, time: bigint): void {
    directory.entries.set(name, number);
    directory.mtime = time;
    directory.ctime = time;
    this.weight += entryWeight(name);
  }

  #leave(directory: Directory, name: string, time: bigint): void {
    directory.entries.delete(name);
    directory.mtime = time;
    directory.ctime = time;
    this.weight -= entryWeight(name);
  }

  /** A name of the inode is gone; with the last one it is gone itself. */
  #unname(inode: Inode, time: bigint, index: number): void {
    inode.links--;
    inode.ctime = time;
    if (inode.kind === 'directory') this.inode(inode.parent).links--;
    else if (inode.links > 0) return;
    this.inodes.delete(inode.inode);
    this.weight -= weightOf(inode);
    if (inode.owner !== undefined) this.#disown(inode, inode.owner.principal);
    for (const { page, pages } of inode.extents) {
      this.pages -= pages;
      this.listener?.released(page, pages, index);
    }
    this.listener?.removed(inode, index);
  }

  #disown(inode: Inode, principal: number): void {
    const others = this.owned.get(principal)!;
    others.delete(inode);
    if (others.size === 0) this.owned.delete(principal);
  }

  #truncate(inode: Inode, size: number, time: bigint, index: number): void {
    const before = weightOf(inode);
    if (size < inode.size) {
      const kept = Math.ceil(size / this.pageSize);
      inode.extents = [...inode.extents];
      while (inode.extents.length > 0) {
        const last = inode.extents.at(-1)!;
        if (last.at + last.pages <= kept) break;
        inode.extents.pop();
        const pages = Math.max(0, kept - last.at);
        if (pages > 0) inode.extents.push({ at: last.at, page: last.page, pages });
        this.pages -= last.pages - pages;
        this.listener?.released(last.page + pages, last.pages - pages, index);
      }
      const end = kept * this.pageSize;
      inode.unwritten = withoutRange(inode.unwritten, size, Number.MAX_SAFE_INTEGER);
      const tail = inode.extents.at(-1);
      if (size < end && tail !== undefined && tail.at + tail.pages === kept)
        inode.unwritten.push({ from: size, to: end });
    }
    inode.size = size;
    inode.mtime = time;
    inode.ctime = time;
    this.weight += weightOf(inode) - before;
  }
}

function isDirectory(inode: Inode): inode is Directory {
  return inode.entries !== undefined;
}

/** @throws `InvalidArgument`, `NameTooLong`. */
export function checkName(name: string): void {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new ExomemError('InvalidArgument', `${JSON.stringify(name)} cannot be a name`);
  }
  if (name.length > nameLimit || (name.length > nameLimit / 3 && new TextEncoder().encode(name).length > nameLimit)) {
    throw new ExomemError('NameTooLong', `a name of ${name.length} characters is too long`);
  }
}

/**
 * Whether a symbolic link may have that target, which is of at most {@link targetLimit} bytes, as everywhere. (The log itself counts
 * UTF-16 units, of which there are never more: so it takes all of these.)
 * @throws `NameTooLong`
 */
export function checkTarget(target: string): void {
  if (target.length <= targetLimit / 3) return;
  const { length } = new TextEncoder().encode(target);
  if (length > targetLimit)
    throw new ExomemError(
      'NameTooLong',
      `the target of a symbolic link has at most ${targetLimit} bytes, not ${length}`,
    );
}

/** Upper bounds of what a kept file, an extent, an inode and a name take in a snapshot. */
const keptWeight = 64;
const extentWeight = 15;
export function weightOf(inode: Inode): number {
  return 80 + inode.target.length * 3 + inode.extents.length * extentWeight + inode.unwritten.length * 14;
}
export function entryWeight(name: string): number {
  return 10 + (name.length < 64 ? name.length : name.length * 3);
}
export type { FileKind };
