import { ExomemError } from '../../errors.js';
import { extentAt } from '../../namespace/inode.js';
import type { FileExtent, FileKind, Operation } from '../../namespace/operation.js';
import type { LogRecord } from '../../namespace/record.js';
import { inodesPerIndex, type NamespaceState } from '../../namespace/state.js';
import type { Loss } from './loss.js';
import { cutExtents } from './pages.js';
import type { Refuge } from './refuge.js';

/**
 * Applies records although some before them are lost. Each was held against the state when it was appended: what it takes for
 * granted was true then, and is made true with as little as possible. So an inode that a lost record made is made anew, of the
 * kind that it must have been, and what stands where a name was given moves away; nothing is removed for that.
 */
export class Replay {
  readonly losses: Loss[] = [];
  /** Inodes that were made anew: of what is in them nothing is known but what later records say. */
  readonly remade = new Set<number>();
  /** Page -> the inode that a record gave it to last. */
  readonly claims = new Map<number, number>();
  readonly #state: NamespaceState;
  readonly #refuge: Refuge;
  readonly #kinds = new Map<number, FileKind>();
  readonly #userPages: number;
  /** Something before is lost. */
  #gap: boolean;

  constructor(
    state: NamespaceState,
    refuge: Refuge,
    { userPages, gap }: { readonly userPages: number; readonly gap: boolean },
  ) {
    this.#state = state;
    this.#refuge = refuge;
    this.#userPages = userPages;
    this.#gap = gap;
  }

  /** Applies all of them, of the indexes up to `end`. */
  run(records: readonly LogRecord[], end: number): void {
    for (const { operations } of records) for (const operation of operations) this.#learn(operation);
    for (const record of records) {
      this.#skip(record.index);
      this.#apply(record);
    }
    this.#skip(end);
  }

  #skip(index: number): void {
    const first = this.#state.index;
    if (index <= first) return;
    this.#gap = true;
    const which =
      index - first === 1 ? `the record of index ${first} is` : `the records of index ${first} to ${index - 1} are`;
    this.losses.push({ what: `${which} lost, and with it what was said there of names and files`, index: first });
    this.#state.index = index;
  }

  /** What operations tell of the kind of an inode. */
  #learn(operation: Operation): void {
    switch (operation.op) {
      case 'create':
      case 'link':
        this.#kinds.set(operation.parent, 'directory');
        break;
      case 'rename':
        this.#kinds.set(operation.parent, 'directory');
        this.#kinds.set(operation.newParent, 'directory');
        break;
      case 'unlink':
        this.#kinds.set(operation.parent, 'directory');
        if (operation.directory) this.#kinds.set(operation.inode, 'directory');
        break;
      case 'extend':
      case 'truncate':
        this.#kinds.set(operation.inode, 'file');
    }
  }

  #apply(record: LogRecord): void {
    const state = this.#state;
    const { index, author, incarnation, sequence, operations } = record;
    if (state.counts(record)) {
      state.sequences.set(author, { incarnation, sequence });
      for (const [number, operation] of operations.entries()) {
        try {
          const fitting = this.#gap ? this.#suppose(operation) : operation;
          state.perform(fitting, index * inodesPerIndex + number, index);
          this.#claim(fitting, index * inodesPerIndex + number);
        } catch (error) {
          if (!(error instanceof ExomemError)) throw error;
          if (this.#gap)
            this.losses.push({
              what: `of the record of index ${index} a ${operation.op} does not fit what is left: ${error.message}`,
              index,
            });
        }
      }
    }
    state.index = index + 1;
  }

  #claim(operation: Operation, made: number): void {
    if (operation.op !== 'create' && operation.op !== 'extend' && operation.op !== 'keep') return;
    const inode = operation.op === 'create' ? made : operation.inode;
    for (const { page, pages } of operation.extents) {
      const end = Math.min(page + pages, this.#userPages);
      for (let at = page; at < end; at++) this.claims.set(at, inode);
    }
  }

  // ---- what an operation takes for granted

  #suppose(operation: Operation): Operation {
    const state = this.#state;
    switch (operation.op) {
      case 'create':
        this.#directory(operation.parent);
        this.#vacate(operation.parent, operation.name);
        break;
      case 'link':
        this.#directory(operation.parent);
        this.#exists(operation.inode, this.#kinds.get(operation.inode) ?? 'file');
        this.#vacate(operation.parent, operation.name);
        break;
      case 'unlink':
        if (state.inodes.has(operation.inode)) {
          this.#named(operation);
          if (operation.directory) this.#emptied(operation.inode);
        }
        break;
      case 'rename':
        this.#directory(operation.newParent);
        this.#named(operation);
        if (!state.inodes.has(operation.inode))
          throw new ExomemError(
            'NotFound',
            `a lost record made what is called ${JSON.stringify(operation.newName)} there`,
          );
        return { ...operation, replaced: this.#replaced(operation) };
      case 'extend':
        this.#exists(operation.inode, 'file');
        this.#without(operation.inode, operation.extents);
        break;
      case 'truncate':
        this.#exists(operation.inode, 'file');
        break;
      case 'keep':
        this.#nameless(operation.inode);
    }
    return operation;
  }

  #directory(inode: number): void {
    this.#exists(inode, 'directory');
  }

  /** An inode that a lost record made. */
  #exists(inode: number, kind: FileKind, parent?: number, name?: string): void {
    const state = this.#state;
    if (state.inodes.has(inode) || inode < inodesPerIndex || inode >= state.index * inodesPerIndex) return;
    if (this.#refuge.full || kind === 'symlink') return;
    const at = parent ?? this.#refuge.directory;
    this.#refuge.make(at, name ?? this.#refuge.name(`#${inode}`), kind, inode);
    this.remade.add(inode);
  }

  /** What has that name was renamed, or removed: it keeps another. */
  #vacate(parent: number, name: string): void {
    if (this.#state.inodes.get(parent)?.entries?.has(name)) this.#refuge.take(parent, name);
  }

  /** The inode has that name. */
  #named({ parent, name, inode }: { readonly parent: number; readonly name: string; readonly inode: number }): void {
    const state = this.#state;
    this.#directory(parent);
    if (state.lookup(parent, name)?.inode === inode) return;
    this.#vacate(parent, name);
    const known = state.inodes.get(inode);
    if (known === undefined) {
      const kind = this.#kinds.get(inode);
      if (kind !== undefined) this.#exists(inode, kind, parent, name);
      return;
    }
    for (const { inode: directory, entries } of state.inodes.values()) {
      for (const [before, number] of entries ?? []) {
        if (number !== inode) continue;
        const [newParent, newName, time] = [parent, name, known.ctime];
        state.perform(
          { op: 'rename', parent: directory, name: before, inode, newParent, newName, replaced: 0, time },
          0,
          state.index,
        );
        return;
      }
    }
  }

  /** What a rename replaces: what its record says, if that is there. */
  #replaced({ inode, newParent, newName, replaced }: Operation & { op: 'rename' }): number {
    const state = this.#state;
    const found = state.lookup(newParent, newName)?.inode ?? 0;
    if (found === 0 || found === inode) return found;
    if (found !== replaced) {
      this.#vacate(newParent, newName);
      return 0;
    }
    if (state.inodes.get(found)?.kind === 'directory') this.#emptied(found);
    return found;
  }

  #emptied(directory: number): void {
    for (const name of [...(this.#state.inodes.get(directory)?.entries?.keys() ?? [])])
      this.#refuge.take(directory, name);
  }

  /** The file has none of these pages. */
  #without(inode: number, extents: readonly FileExtent[]): void {
    const file = this.#state.inodes.get(inode);
    if (file?.kind !== 'file') return;
    for (const { at, pages } of extents) {
      if ((file.extents[extentAt(file.extents, at)]?.at ?? Number.POSITIVE_INFINITY) >= at + pages) continue;
      file.extents = cutExtents(file.extents, at, at + pages);
    }
  }

  /** The inode has lost its last name. */
  #nameless(inode: number): void {
    const state = this.#state;
    const known = state.inodes.get(inode);
    if (known === undefined || known.entries !== undefined) return;
    for (const { inode: parent, entries } of state.inodes.values()) {
      for (const [name, number] of entries ?? []) {
        if (number !== inode) continue;
        state.perform({ op: 'unlink', parent, name, inode, directory: false, time: known.ctime }, 0, state.index);
      }
    }
  }
}
