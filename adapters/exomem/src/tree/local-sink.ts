import {
  chmod,
  type FileHandle,
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  open,
  rename,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import { join } from 'node:path';
import { ExomemError } from '@exomem/core';
import { localFailure } from '../commands/local.js';
import { type ByteSink, split, type TreeEntry, type TreeSink } from './tree.js';

/** Writes a tree to this machine. Owners and set-id bits are carried by root alone, as tar does. */
export class LocalSink implements TreeSink {
  readonly #top: string;
  readonly #root = process.geteuid?.() === 0;
  #made = 0;

  constructor(top: string) {
    this.#top = top;
  }

  #local(path: string): string {
    return path === '' ? this.#top : join(this.#top, path);
  }
  /** A name beside the last one: what is under way has it until it is whole. */
  #beside(path: string): string {
    const { directory } = split(path);
    const folder = path === '' ? join(this.#top, '..') : this.#local(directory);
    return join(folder, `.exomem-${process.pid}-${this.#made++}`);
  }

  async directory({ path }: TreeEntry): Promise<void> {
    const local = this.#local(path);
    try {
      // It is filled first, whatever may be done with it later.
      await mkdir(local, 0o700);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw localFailure(error, local);
      if ((await lstat(local)).isDirectory()) return;
      throw new ExomemError('NotDirectory', `${local} is no directory`, { advice: 'move it out of the way' });
    }
  }

  async file(entry: TreeEntry, fill: (sink: ByteSink) => Promise<boolean>): Promise<boolean> {
    return this.#instead(entry.path, async (beside) => {
      const handle = await open(beside, 'wx', 0o600);
      try {
        if (!(await fill((bytes) => writeAll(handle, bytes)))) return false;
        if (this.#root) await handle.chown(entry.uid, entry.gid);
        await handle.chmod(this.#mode(entry));
        const seconds = Number(entry.mtime) / 1e9;
        await handle.utimes(seconds, seconds);
        return true;
      } finally {
        await handle.close();
      }
    });
  }

  async symlink(entry: TreeEntry): Promise<void> {
    await this.#instead(entry.path, async (beside) => {
      await symlink(entry.target!, beside);
      if (this.#root) await lchown(beside, entry.uid, entry.gid);
      const seconds = Number(entry.mtime) / 1e9;
      await lutimes(beside, seconds, seconds);
      return true;
    });
  }

  async link({ path }: TreeEntry, existing: string): Promise<void> {
    await this.#instead(path, async (beside) => {
      await link(this.#local(existing), beside);
      return true;
    });
  }

  async finish(entry: TreeEntry): Promise<void> {
    const local = this.#local(entry.path);
    try {
      if (this.#root) await lchown(local, entry.uid, entry.gid);
      await chmod(local, this.#mode(entry));
      const seconds = Number(entry.mtime) / 1e9;
      await utimes(local, seconds, seconds);
    } catch (error) {
      throw localFailure(error, local);
    }
  }

  #mode({ mode }: TreeEntry): number {
    return this.#root ? mode & 0o7777 : mode & 0o777;
  }

  /** Makes something whole under another name, then gives it its own. */
  async #instead(path: string, make: (beside: string) => Promise<boolean>): Promise<boolean> {
    const local = this.#local(path);
    const beside = this.#beside(path);
    try {
      if (!(await make(beside))) return false;
      await rename(beside, local);
      return true;
    } catch (error) {
      throw localFailure(error, local);
    } finally {
      // Two names of one file are left alone by rename.
      await unlink(beside).catch(() => undefined);
    }
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}
