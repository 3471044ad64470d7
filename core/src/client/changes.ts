import { isExomemError } from '../errors.js';
import type { Inode } from '../namespace/inode.js';
import type { LogRecord } from '../namespace/record.js';
import type { NamespaceState } from '../namespace/state.js';
import type { Client } from './client.js';

/** What became of a path, or of a name in the directory that is watched. */
export interface PathChange {
  /**
   * `created`: there is something of that name, which was not there or was something else. `changed`: what was written, its
   * size or its attributes. `renamed`: it has another name now, `to`. `removed`: the name is gone. `reset`: more has happened
   * than could be followed: look anew.
   */
  readonly type: 'created' | 'changed' | 'renamed' | 'removed' | 'reset';
  readonly path: string;
  /** Of what was renamed; absent if it lies outside of what is watched. */
  readonly to?: string;
  /** Of the last record of the log that it is about. */
  readonly index: number;
}

export interface WatchOptions {
  /** Ends it: iterating is over then, without an error. */
  readonly signal?: AbortSignal;
}

/** Paths whose changes wait to be read; what comes beyond that is told as one `reset`. */
const mostPending = 1024;
/** Milliseconds between two looks at the log, as long as nothing happens. */
const shortest = 10;
const longest = 250;

/** Follows the log for all who watch paths in one client, for as long as there are any. */
export class Changes {
  readonly #client: Client;
  readonly #watches = new Set<PathWatch>();
  #following: Promise<void> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  watch(path: string, options: WatchOptions): AsyncIterable<PathChange> {
    return { [Symbol.asyncIterator]: () => this.#iterate(path, options) };
  }

  async *#iterate(path: string, { signal }: WatchOptions): AsyncGenerator<PathChange, void, undefined> {
    this.#client.check();
    if (signal?.aborted) return;
    // From what is known here on: nothing that comes to be known later is missed.
    const watch = new PathWatch(path, this.#client.state);
    const end = (): void => watch.end();
    signal?.addEventListener('abort', end, { once: true });
    this.#watches.add(watch);
    this.#following ??= this.#follow();
    try {
      for (;;) {
        const changes = await watch.next();
        if (changes === undefined) return;
        yield* changes;
      }
    } finally {
      signal?.removeEventListener('abort', end);
      this.#watches.delete(watch);
    }
  }

  /** The record was applied just now. */
  record(record: LogRecord, state: NamespaceState): void {
    for (const watch of this.#watches) watch.record(record, state);
  }
  /** Records were passed over. */
  reload(state: NamespaceState): void {
    for (const watch of this.#watches) watch.reset(state);
  }
  /** The client is over: so is watching. */
  end(error?: unknown): void {
    for (const watch of this.#watches) watch.end(error);
  }

  async #follow(): Promise<void> {
    const client = this.#client;
    let pause = shortest;
    while (this.#watches.size > 0) {
      const { index } = client.replica;
      try {
        await client.refresh();
      } catch (error) {
        // A connection that is lost may come back: nothing is missed, for the log is there.
        const over =
          isExomemError(error, 'Fenced') || isExomemError(error, 'Closed') || isExomemError(error, 'Damaged');
        if (over) this.end(error);
      }
      pause = client.replica.index === index ? Math.min(longest, pause * 2) : shortest;
      if (this.#watches.size > 0) await client.surroundings.sleep(pause);
    }
    this.#following = undefined;
  }
}

/** One path that is watched: what is there, and what became of it since somebody asked last. */
class PathWatch {
  readonly #parts: readonly string[];
  readonly #path: string;
  #inode: number | undefined;
  #pending = new Map<string, PathChange>();
  #wake: (() => void) | undefined;
  #over = false;
  #error: unknown;

  constructor(path: string, state: NamespaceState) {
    this.#parts = path.split('/').filter((part) => part !== '' && part !== '.');
    this.#path = `/${this.#parts.join('/')}`;
    this.#inode = this.#find(state)?.inode;
  }

  /** What is there now, by names alone: no symbolic link is followed. */
  #find(state: NamespaceState): Inode | undefined {
    let at: Inode | undefined = state.directory(1);
    for (const part of this.#parts) {
      if (at?.kind !== 'directory') return undefined;
      at = state.lookup(at.inode, part);
    }
    return at;
  }

  record({ index, operations }: LogRecord, state: NamespaceState): void {
    const before = this.#inode;
    const now = this.#find(state)?.inode;
    this.#inode = now;
    if (now !== before) {
      const renamed = operations.some((operation) => operation.op === 'rename' && operation.inode === before);
      if (now !== undefined) this.#tell({ type: 'created', path: this.#path, index });
      else this.#tell({ type: renamed ? 'renamed' : 'removed', path: this.#path, index });
      return;
    }
    if (now === undefined) return;
    for (const operation of operations) {
      switch (operation.op) {
        case 'extend':
        case 'truncate':
        case 'setattr':
          if (operation.inode === now) this.#tell({ type: 'changed', path: this.#path, index });
          else this.#changedIn(now, operation.inode, index, state);
          break;
        case 'create':
        case 'link':
          if (operation.parent === now) this.#tell({ type: 'created', path: this.#below(operation.name), index });
          break;
        case 'unlink':
          if (operation.parent === now) this.#tell({ type: 'removed', path: this.#below(operation.name), index });
          else if (operation.inode === now) this.#tell({ type: 'changed', path: this.#path, index });
          break;
        case 'rename': {
          const [from, to] = [operation.parent === now, operation.newParent === now];
          if (from) {
            const path = this.#below(operation.name);
            this.#tell({ type: 'renamed', path, ...(to ? { to: this.#below(operation.newName) } : {}), index });
          } else if (to) this.#tell({ type: 'created', path: this.#below(operation.newName), index });
          break;
        }
        case 'fence':
        case 'disown':
          // Files that end with their owner have vanished: which of them were here nobody says.
          if (state.inodes.get(now)?.kind === 'directory') this.#tell({ type: 'changed', path: this.#path, index });
          break;
        default:
      }
    }
  }

  /** Something was written to, or set of, an inode that may have names in the directory. */
  #changedIn(directory: number, inode: number, index: number, state: NamespaceState): void {
    if (state.inodes.get(directory)?.kind !== 'directory') return;
    for (const [name, number] of state.directory(directory).entries) {
      if (number === inode) this.#tell({ type: 'changed', path: this.#below(name), index });
    }
  }

  #below(name: string): string {
    return this.#parts.length === 0 ? `/${name}` : `${this.#path}/${name}`;
  }

  reset(state: NamespaceState): void {
    this.#inode = this.#find(state)?.inode;
    this.#pending.clear();
    this.#tell({ type: 'reset', path: this.#path, index: state.index });
  }

  /** The latest of a path counts; what was made and then written to was made. */
  #tell(change: PathChange): void {
    const { path, type, index } = change;
    const known = this.#pending.get(path);
    if (this.#pending.get(this.#path)?.type === 'reset') {
      this.#pending.set(this.#path, { type: 'reset', path: this.#path, index });
    } else if (known === undefined && this.#pending.size >= mostPending) {
      this.#pending.clear();
      this.#pending.set(this.#path, { type: 'reset', path: this.#path, index });
    } else {
      this.#pending.delete(path);
      this.#pending.set(path, type === 'changed' && known?.type === 'created' ? { ...known, index } : change);
    }
    this.#wake?.();
  }

  end(error?: unknown): void {
    this.#over = true;
    this.#error = error;
    this.#wake?.();
  }

  /** What has happened since; undefined when it is over. @throws what ended it */
  async next(): Promise<PathChange[] | undefined> {
    while (this.#pending.size === 0) {
      if (this.#over && this.#error !== undefined) throw this.#error;
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    const changes = [...this.#pending.values()];
    this.#pending = new Map();
    return this.#over && this.#error === undefined ? undefined : changes;
  }
}

/**
 * The values of a word, from what it is now on, each time that it is found changed; values in between may be passed over.
 * @param look reads it
 */
export async function* wordChanges(
  client: Client,
  look: () => Promise<bigint>,
  { signal }: WatchOptions,
): AsyncGenerator<bigint, void, undefined> {
  let last: bigint | undefined;
  for (let pause = 1; !signal?.aborted; ) {
    const word = await look();
    if (word !== last) {
      last = word;
      pause = 1;
      yield word;
      continue;
    }
    await client.surroundings.sleep(pause, signal).catch(() => undefined);
    pause = Math.min(longest / 5, pause * 2);
  }
}
