import { type Client, isExomemError, type Stat } from '@exomem/core';
import { download } from '../commands/transfer.js';
import { checkEntryName } from './copy.js';
import { type ByteSink, type TreeEntry, type TreeSource, within } from './tree.js';

/** A tree of a region, from the inode `top` on, as this client knows it. */
export class RegionSource implements TreeSource {
  readonly #client: Client;
  readonly #top: number;
  readonly #signal: AbortSignal;
  readonly #inodes = new Map<string, number>();

  constructor(client: Client, top: number, signal: AbortSignal) {
    this.#client = client;
    this.#top = top;
    this.#signal = signal;
  }

  async scan(): Promise<TreeEntry[]> {
    const { namespace, where } = this.#client;
    const entries: TreeEntry[] = [];
    const first = new Map<number, string>();
    const left: { path: string; inode: number }[] = [{ path: '', inode: this.#top }];
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { path, inode } = next;
      const stat = namespace.stat(inode);
      const sameAs = stat.kind === 'directory' ? undefined : first.get(inode);
      // What is damaged may lead in circles.
      if (stat.kind === 'directory' && first.has(inode)) continue;
      if (sameAs === undefined) first.set(inode, path);
      this.#inodes.set(path, inode);
      entries.push(entryOf(path, stat, stat.kind === 'symlink' ? namespace.readlinkOf(inode) : undefined, sameAs));
      if (stat.kind !== 'directory') continue;
      const names = [...namespace.entries(inode)].sort(([a], [b]) => (a < b ? 1 : -1));
      for (const [name, number] of names) {
        checkEntryName(path, name, where);
        if (this.#client.state.inodes.has(number)) left.push({ path: within(path, name), inode: number });
      }
    }
    return entries;
  }

  async read({ path }: TreeEntry, sink: ByteSink, onBytes: (done: number) => void): Promise<boolean> {
    try {
      await using file = this.#client.openFile(this.#inodes.get(path)!);
      await download(file, sink, { update: onBytes }, this.#signal);
      return true;
    } catch (error) {
      if (isExomemError(error, 'StaleHandle') && !this.#client.state.inodes.has(this.#inodes.get(path)!)) return false;
      throw error;
    }
  }
}

function entryOf(path: string, stat: Stat, target: string | undefined, sameAs: string | undefined): TreeEntry {
  const { kind, mode, uid, gid, mtime, size } = stat;
  return { path, kind, mode: mode & 0o7777, uid, gid, mtime, size: kind === 'file' ? size : 0, target, sameAs };
}
