import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { targetLimit } from '@exomem/core';
import { localFailure } from '../commands/local.js';
import { upload } from '../commands/transfer.js';
import { type ByteSink, type TreeEntry, type TreeSource, within } from './tree.js';

/** Something that a region has no place for. */
export interface Unfit {
  /** As far as it can be shown. */
  readonly path: string;
  readonly why: string;
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** A tree of this machine. What it does not look into: what a symbolic link leads to. */
export class LocalSource implements TreeSource {
  readonly #top: string;
  readonly #signal: AbortSignal;
  /** What {@link scan} found and left out. */
  readonly unfit: Unfit[] = [];

  constructor(top: string, signal: AbortSignal) {
    this.#top = top;
    this.#signal = signal;
  }

  async scan(): Promise<TreeEntry[]> {
    const entries: TreeEntry[] = [];
    const first = new Map<string, string>();
    const left = [''];
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      this.#signal.throwIfAborted();
      const entry = await this.#entry(path, first);
      if (entry === undefined) continue;
      entries.push(entry);
      if (entry.kind === 'directory') left.push(...(await this.#names(path)).reverse());
    }
    return entries;
  }

  #local(path: string): string {
    return path === '' ? this.#top : join(this.#top, path);
  }

  async #entry(path: string, first: Map<string, string>): Promise<TreeEntry | undefined> {
    const local = this.#local(path);
    try {
      // The top may be named by a link: it is what that leads to.
      const stats = await lstat(path === '' ? `${local}/.` : local, { bigint: true });
      const common = {
        path,
        mode: Number(stats.mode) & 0o7777,
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        mtime: stats.mtimeNs,
        size: 0,
      };
      if (stats.isDirectory()) return { ...common, kind: 'directory' };
      const sameAs = stats.nlink > 1n ? first.get(`${stats.dev}:${stats.ino}`) : undefined;
      const found = sameAs === undefined;
      if (stats.isFile()) {
        if (found) first.set(`${stats.dev}:${stats.ino}`, path);
        return { ...common, kind: 'file', size: Number(stats.size), sameAs };
      }
      if (stats.isSymbolicLink()) {
        const target = decode(await readlink(local, { encoding: 'buffer' }));
        if (target === undefined) return this.#leaveOut(path, 'a symbolic link to a name that is no UTF-8');
        if (Buffer.byteLength(target) > targetLimit) return this.#leaveOut(path, 'a symbolic link to a very long name');
        if (found) first.set(`${stats.dev}:${stats.ino}`, path);
        return { ...common, kind: 'symlink', target, sameAs };
      }
      const kind = stats.isSocket() ? 'a socket' : stats.isFIFO() ? 'a pipe' : 'a device';
      return this.#leaveOut(path, kind);
    } catch (error) {
      throw localFailure(error, local);
    }
  }

  async #names(directory: string): Promise<string[]> {
    const local = this.#local(directory);
    try {
      const found: string[] = [];
      for (const bytes of await readdir(local, { encoding: 'buffer' })) {
        const name = decode(bytes);
        if (name === undefined) this.#leaveOut(within(directory, bytes.toString('latin1')), 'a name that is no UTF-8');
        else found.push(within(directory, name));
      }
      return found.sort();
    } catch (error) {
      throw localFailure(error, local);
    }
  }

  #leaveOut(path: string, why: string): undefined {
    this.unfit.push({ path, why });
  }

  async read({ path, size }: TreeEntry, sink: ByteSink, onBytes: (done: number) => void): Promise<boolean> {
    const local = this.#local(path);
    try {
      // What is a pipe or a link by now is not waited for, nor followed.
      const handle = await open(local, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        const source = async (target: Uint8Array): Promise<number> => {
          let length = 0;
          while (length < target.length) {
            const { bytesRead } = await handle.read(target, length, target.length - length, null);
            if (bytesRead === 0) break;
            length += bytesRead;
          }
          return length;
        };
        await upload(sink, source, { update: onBytes }, this.#signal, size);
      } finally {
        await handle.close();
      }
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw localFailure(error, local);
    }
  }
}

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function decode(bytes: Uint8Array): string | undefined {
  try {
    return text.decode(bytes);
  } catch {
    return undefined;
  }
}
