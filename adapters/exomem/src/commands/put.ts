import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { type Client, ExomemError, isExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { Progress } from '../command/progress.js';
import { WholeFile } from '../whole-file.js';
import { localFailure } from './local.js';
import { upload } from './transfer.js';

/**
 * Copies a local file into a region. It appears whole, in one step, and what had its name is kept until then.
 */
export async function put(
  context: Context,
  source: string,
  text: string | undefined,
  flags: { clobber: boolean; recursive?: boolean; skip?: boolean },
): Promise<void> {
  const { output, signal } = context;
  if (flags.recursive && source === '-') {
    throw new ExomemError('InvalidArgument', 'stdin is no directory', { advice: 'leave -r away' });
  }
  if (flags.recursive && (await isDirectory(source))) {
    return (await import('./put-tree.js')).putTree(context, source, text, flags);
  }
  const { url, path } = context.location(text ?? '/');
  await using local = await openSource(source, signal);
  await using client = await context.join(url);
  const place = await target(client, path, source);
  if (!flags.clobber && place.exists) throw new ExomemError('Exists', `${place.path} exists`, { where: url });
  const progress = new Progress(`put ${place.path}`);
  try {
    await using file = new WholeFile(client, local.size);
    await upload(
      (bytes) => file.write(bytes),
      (bytes) => local.read(bytes),
      progress,
      signal,
      local.size,
    );
    const inode = await file.commit(place.parent, place.base, {
      mode: local.mode,
      uid: process.geteuid?.() ?? 0,
      gid: process.getegid?.() ?? 0,
      replace: flags.clobber,
    });
    if (output.json) output.value({ url, path: place.path, size: file.size, inode });
  } finally {
    progress.end();
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw localFailure(error, path);
  }
}

interface Place {
  readonly parent: number;
  readonly base: string;
  /** For messages. */
  readonly path: string;
  readonly exists: boolean;
}

/** Where the bytes are to go: a directory takes the name of the source, a symbolic link is followed. */
async function target(client: Client, path: string, source: string): Promise<Place> {
  const { namespace, state } = client;
  let found: number | undefined;
  try {
    found = await namespace.resolve(path);
  } catch (error) {
    if (!isExomemError(error, 'NotFound') || path.endsWith('/')) throw error;
  }
  if (found !== undefined && state.inode(found).kind === 'directory') {
    if (source === '-') {
      throw new ExomemError('IsDirectory', `${path} is a directory, and stdin has no name`, {
        where: client.where,
        advice: 'write the name of the file behind it',
      });
    }
    return at(client, found, basename(source), `${path.replace(/\/+$/, '')}/${basename(source)}`);
  }
  if (found !== undefined && path.endsWith('/')) {
    throw new ExomemError('NotDirectory', `${path} is no directory`, { where: client.where });
  }
  const { parent, base } = await namespace.place(followed(client, path));
  return at(client, parent, base, path);
}

function at({ namespace, where }: Client, parent: number, base: string, path: string): Place {
  const old = namespace.lookup(parent, base);
  if (old?.kind === 'directory') throw new ExomemError('IsDirectory', `${path} is a directory`, { where });
  return { parent, base, path, exists: old !== undefined };
}

/** The path that the last name of `path` leads to, through the symbolic links that stand there. */
function followed({ namespace, state }: Client, path: string): string {
  for (let links = 0; links < 40; links++) {
    let inode: number;
    try {
      inode = namespace.walk(path, false);
    } catch {
      return path;
    }
    const { kind, target } = state.inode(inode);
    if (kind !== 'symlink') return path;
    path = target.startsWith('/') ? target : `${path.slice(0, path.lastIndexOf('/'))}/${target}`;
  }
  throw new ExomemError('TooManyLinks', `${path} leads through too many symbolic links`);
}

/** Where the bytes come from. */
interface Source extends AsyncDisposable {
  /** Bytes, where that is known. */
  readonly size: number | undefined;
  readonly mode: number;
  /** Fills `target` as far as there are bytes. */
  read(target: Uint8Array): Promise<number>;
}

async function openSource(path: string, signal: AbortSignal): Promise<Source> {
  if (path === '-') return new Stdin(signal);
  try {
    const handle = await open(path, constants.O_RDONLY);
    try {
      const stats = await handle.stat();
      if (stats.isDirectory()) {
        throw new ExomemError('IsDirectory', 'it is a directory', {
          where: path,
          advice: 'exomem put -r copies it with all that is in it',
        });
      }
      return stats.isFile()
        ? new LocalFile(handle, path, stats.size, stats.mode & 0o777)
        : new LocalFile(handle, path, undefined, 0o644);
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw localFailure(error, path);
  }
}

class LocalFile implements Source {
  constructor(
    readonly handle: FileHandle,
    readonly path: string,
    readonly size: number | undefined,
    readonly mode: number,
  ) {}

  async read(target: Uint8Array): Promise<number> {
    let length = 0;
    try {
      while (length < target.length) {
        const { bytesRead } = await this.handle.read(target, length, target.length - length, null);
        if (bytesRead === 0) break;
        length += bytesRead;
      }
    } catch (error) {
      throw localFailure(error, this.path);
    }
    return length;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.handle.close();
  }
}

class Stdin implements Source {
  readonly size = undefined;
  readonly mode = 0o644;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(signal: AbortSignal) {
    this.#chunks = addAbortSignal(signal, process.stdin)[Symbol.asyncIterator]();
  }

  async read(target: Uint8Array): Promise<number> {
    let length = 0;
    while (length < target.length) {
      if (this.#rest.length === 0) {
        const next = await this.#chunks.next();
        if (next.done) break;
        this.#rest = next.value;
      }
      const piece = this.#rest.subarray(0, target.length - length);
      target.set(piece, length);
      length += piece.length;
      this.#rest = this.#rest.subarray(piece.length);
    }
    return length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.stdin.destroy();
  }
}
