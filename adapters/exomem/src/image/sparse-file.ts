import { constants, rmSync } from 'node:fs';
import { access, type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ExomemError } from '@exomem/core';
import { localFailure } from '../commands/local.js';

/** What is all zero in so many bytes takes no room in the file. */
const stretch = 65_536;
const zeros = Buffer.alloc(stretch);

/** A file that comes into being whole, and takes no room for zeros. Until then it has another name beside its own. */
export class SparseFile implements AsyncDisposable {
  /** Bytes that were written, without zeros. */
  written = 0;
  readonly #handle: FileHandle;
  readonly #partial: string;
  #named = false;

  private constructor(
    readonly path: string,
    handle: FileHandle,
    partial: string,
  ) {
    this.#handle = handle;
    this.#partial = partial;
    process.once('exit', this.#removeNow);
  }

  /** Whoever ends the process at once, by a second Ctrl-C say, leaves nothing behind. */
  readonly #removeNow = (): void => rmSync(this.#partial, { force: true });

  /** @param replace a file that has the name gives way at the end; otherwise `Exists`. */
  static async create(path: string, size: number, replace: boolean): Promise<SparseFile> {
    await checkPlace(path, replace);
    const partial = join(dirname(path), `.${basename(path)}.partial-${process.pid}`);
    try {
      const handle = await open(partial, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
      const file = new SparseFile(path, handle, partial);
      try {
        await handle.truncate(size);
        return file;
      } catch (error) {
        await file[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      throw localFailure(error, path);
    }
  }

  /** Writes bytes where they belong, but for zeros. A place is written once. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; ) {
        const end = nonZero(bytes, at);
        if (end > at) {
          for (let from = at; from < end; ) {
            from += (await this.#handle.write(bytes, from, end - from, offset + from)).bytesWritten;
          }
          this.written += end - at;
        }
        at = end === at ? Math.min(bytes.length, at + stretch) : end;
      }
    } catch (error) {
      throw localFailure(error, this.path);
    }
  }

  /** All of it is on the disk, and has its name. */
  async commit(): Promise<void> {
    try {
      await this.#handle.sync();
      await rename(this.#partial, this.path);
      this.#named = true;
      process.off('exit', this.#removeNow);
    } catch (error) {
      throw localFailure(error, this.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    if (this.#named) return;
    await unlink(this.#partial).catch(() => undefined);
    process.off('exit', this.#removeNow);
  }
}

/** The end of the stretches from `at` on that are not all zero. */
function nonZero(bytes: Uint8Array, at: number): number {
  let end = at;
  while (end < bytes.length) {
    const next = Math.min(bytes.length, end + stretch);
    if (zeros.compare(bytes, end, next, 0, next - end) === 0) break;
    end = next;
  }
  return end;
}

/** Says early whether a file can be made there. @throws `Exists`, `NotFound`, `PermissionDenied`, `IsDirectory` */
export async function checkPlace(path: string, replace: boolean): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isDirectory()) throw new ExomemError('IsDirectory', `${path} is a directory`, { advice: 'name a file' });
  if (found !== undefined && (!replace || !found.isFile())) {
    throw new ExomemError('Exists', `${path} exists`, { advice: replace ? 'name a file' : '--force replaces it' });
  }
  await access(dirname(path), constants.W_OK).catch((error) => {
    throw localFailure(error, dirname(path));
  });
}
