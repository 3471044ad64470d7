import { type FileHandle, open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type Client, ExomemError, isExomemError, type RegionFile } from '@exomem/core';
import type { Context } from '../command/context.js';
import { baseName } from '../command/location.js';
import { Progress } from '../command/progress.js';
import { localFailure } from './local.js';
import { download } from './transfer.js';

/** Copies a file of a region to a local one: of the same name unless one is given, into a directory, or to stdout. */
export async function get(
  context: Context,
  text: string,
  to: string | undefined,
  flags: { recursive?: boolean },
): Promise<void> {
  if (flags.recursive) return (await import('./get-tree.js')).getTree(context, text, to);
  const { output, signal } = context;
  const { url, path } = context.location(text);
  await using client = await context.look(url);
  await using file = await openFile(client, path);
  const { mode } = client.namespace.stat(file.inode);
  const progress = new Progress(`get ${path}`);
  try {
    if (to === '-') {
      await download(file, (bytes) => output.bytes(bytes), progress, signal);
      return;
    }
    const target = await localPath(to, baseName(path));
    await using local = await Target.open(target, mode & 0o777);
    const size = await download(file, (bytes) => local.write(bytes), progress, signal);
    local.complete = true;
    if (output.json) output.value({ url, path, file: target, size });
  } finally {
    progress.end();
  }
}

async function openFile(client: Client, path: string): Promise<RegionFile> {
  try {
    return await client.namespace.open(path);
  } catch (error) {
    if (!isExomemError(error, 'IsDirectory')) throw error;
    const advice = 'exomem get -r copies it with all that is in it';
    throw new ExomemError('IsDirectory', error.message, { where: client.where, advice, cause: error });
  }
}

async function localPath(to: string | undefined, name: string): Promise<string> {
  if (to === undefined) return name;
  const found = await stat(to).catch(() => undefined);
  return found?.isDirectory() || to.endsWith('/') ? join(to, name) : to;
}

/** A local file; one that was made here and did not become whole is removed. */
class Target implements AsyncDisposable {
  complete = false;

  private constructor(
    readonly path: string,
    readonly handle: FileHandle,
    readonly made: boolean,
  ) {}

  static async open(path: string, mode: number): Promise<Target> {
    if (path === '')
      throw new ExomemError('IsDirectory', 'the root of a region is a directory', { advice: 'name a file' });
    try {
      const made = (await stat(path).catch(() => undefined)) === undefined;
      return new Target(path, await open(path, 'w', mode), made);
    } catch (error) {
      throw localFailure(error, path);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) at += (await this.handle.write(bytes, at)).bytesWritten;
    } catch (error) {
      throw localFailure(error, this.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
    if (this.made && !this.complete) await unlink(this.path).catch(() => undefined);
  }
}
