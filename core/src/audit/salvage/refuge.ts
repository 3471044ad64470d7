import type { FileKind } from '../../namespace/operation.js';
import { inodesPerIndex, type NamespaceState, rootInode } from '../../namespace/state.js';

/** What is found again has no name there that anybody could have given it. */
const directoryName = 'lost+found';
/** Inodes that are made here: more would be of no use to anybody, and the numbers of an index are not endless. */
const most = 2000;

/** The directory for what has lost its name, which is made when it is needed. What is made has numbers that no record can have given. */
export class Refuge {
  readonly #state: NamespaceState;
  readonly #index: number;
  #directory: number | undefined;
  #made = 0;

  /** @param index of the last record, whose numbers are used from the highest down */
  constructor(state: NamespaceState, index: number) {
    this.#state = state;
    this.#index = index;
  }

  get full(): boolean {
    return this.#made >= most || this.#index < 1;
  }

  /** A number that no operation of a record has: a record has far less than 4,096 of them. */
  fresh(): number {
    const { inodes, kept } = this.#state;
    for (;;) {
      const number = (this.#index + 1) * inodesPerIndex - ++this.#made;
      if (!inodes.has(number) && !kept.has(number)) return number;
    }
  }

  get directory(): number {
    if (this.#directory !== undefined) return this.#directory;
    const state = this.#state;
    let name = directoryName;
    for (let number = 2; ; number++) {
      const found = state.lookup(rootInode, name);
      if (found === undefined) break;
      if (found.kind === 'directory') {
        this.#directory = found.inode;
        return found.inode;
      }
      name = `${directoryName}-${number}`;
    }
    this.#directory = this.make(rootInode, name, 'directory', this.fresh(), 0o700);
    return this.#directory;
  }

  /** Makes an inode of that number. Its number. */
  make(
    parent: number,
    name: string,
    kind: FileKind,
    number: number,
    mode = kind === 'directory' ? 0o700 : 0o600,
  ): number {
    const time = this.#state.inodes.get(rootInode)!.ctime;
    this.#state.perform(
      { op: 'create', parent, name, kind, mode, uid: 0, gid: 0, time, target: '', size: 0, extents: [] },
      number,
      this.#index,
    );
    return number;
  }

  /** A name in the directory that nothing has. */
  name(wish: string): string {
    const { entries } = this.#state.directory(this.directory);
    let name = wish;
    for (let number = 2; entries.has(name); number++) name = `${wish}-${number}`;
    return name;
  }

  /** Moves what has that name. */
  take(parent: number, name: string): void {
    const inode = this.#state.lookup(parent, name)!.inode;
    const newName = this.name(`#${inode}`);
    const time = this.#state.inodes.get(rootInode)!.ctime;
    this.#state.perform(
      { op: 'rename', parent, name, inode, newParent: this.directory, newName, replaced: 0, time },
      0,
      this.#index,
    );
  }
}
