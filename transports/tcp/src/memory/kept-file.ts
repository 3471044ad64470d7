import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  readFileSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ExomemError } from '@exomem/core';
import { type Libc, requireLibc } from './libc.js';
import { inStretches, type Progress } from './mapping.js';
import { checkMemoryRoom, checkRoom, fileRoom, isMemory } from './room.js';

const ENOSPC = 28;

/** The file that keeps a region, opened and locked by this process alone. */
export class KeptFile {
  readonly path: string;
  readonly fd: number;
  readonly size: number;
  /** It was made just now and is all zero. */
  readonly created: boolean;

  readonly #libc: Libc;

  private constructor(libc: Libc, path: string, fd: number, size: number, created: boolean) {
    this.#libc = libc;
    this.path = path;
    this.fd = fd;
    this.size = size;
    this.created = created;
  }

  /**
   * Opens the file, or makes it with all its blocks. `size` undefined takes it as it is.
   * @throws `Busy`, `InvalidArgument` (another size), `NotFound`, `PermissionDenied`, `Unavailable`, `Aborted`
   */
  static async open(path: string, size: number | undefined, libc: Libc, progress: Progress): Promise<KeptFile> {
    path = resolve(path);
    const { fd, made } = openLocked(path, size !== undefined, libc);
    try {
      const found = fstatSync(fd).size;
      // An empty file is as good as none: somebody made room for one.
      if (found > 0) return new KeptFile(libc, path, fd, checkSize(path, found, size), false);
      if (size === undefined) throw noSize(path);
      await KeptFile.#allocate(path, fd, size, libc, progress);
      return new KeptFile(libc, path, fd, size, true);
    } catch (error) {
      if (made) unlinkSync(path);
      closeSync(fd);
      throw error;
    }
  }

  /** Takes all the blocks now, so that no write finds the file system full. */
  static async #allocate(path: string, fd: number, size: number, libc: Libc, progress: Progress): Promise<void> {
    const folder = dirname(path);
    if (isMemory(folder)) checkMemoryRoom(size);
    checkRoom(size, fileRoom(folder));
    try {
      await inStretches(size, progress, async (at, length) => {
        const error = await libc.allocate(fd, at, length);
        if (error === 0) return;
        throw new ExomemError(
          'Unavailable',
          `${path}: ${error === ENOSPC ? 'the file system is full' : `error ${error} of the system`} after ${at} of ${size} bytes`,
          {
            where: path,
            advice: 'ask for less, or make room',
          },
        );
      });
    } catch (error) {
      ftruncateSync(fd, 0);
      throw error;
    }
  }

  /** What was written through a mapping is on its way to the disk when it returns. */
  sync(): Promise<void> {
    return new Promise<void>((done, fail) =>
      fsync(this.fd, (error) => (error ? fail(failed(error, this.path)) : done())),
    );
  }

  /** Leaves nothing of a file that was made just now. */
  abandon(): void {
    ftruncateSync(this.fd, 0);
    unlinkSync(this.path);
    this.close();
  }

  /** Lets others have it. */
  close(): void {
    this.#libc.unlock(this.fd);
    closeSync(this.fd);
  }
}

/**
 * Removes the file of a region that nobody serves.
 * @throws `Busy` if a server has it, `NotFound`, `InvalidArgument` (no file), `PermissionDenied`, `Unavailable`
 */
export async function destroyFile(path: string): Promise<void> {
  path = resolve(path);
  const libc = await requireLibc('removing a region that a server may have');
  const { fd } = openLocked(path, false, libc);
  try {
    unlinkSync(path);
  } catch (error) {
    throw failed(error, path);
  } finally {
    closeSync(fd);
  }
}

function openLocked(path: string, mayCreate: boolean, libc: Libc): { fd: number; made: boolean } {
  for (;;) {
    let fd: number;
    let made = false;
    try {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found !== undefined && !found.isFile()) {
        throw new ExomemError('InvalidArgument', `${path} is no file`, { where: path, advice: 'name a file' });
      }
      made = found === undefined && mayCreate;
      fd = openSync(path, made ? constants.O_RDWR | constants.O_CREAT | constants.O_EXCL : constants.O_RDWR, 0o600);
    } catch (error) {
      if (made && (error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw failed(error, path);
    }
    if (!libc.lock(fd)) {
      const holder = lockHolder(fstatSync(fd));
      closeSync(fd);
      throw new ExomemError(
        'Busy',
        `${path} is served by ${holder === undefined ? 'another process' : `process ${holder}`}`,
        {
          where: path,
          advice:
            holder === undefined
              ? 'end it first, or choose another --file'
              : `kill ${holder} ends it; or choose another --file`,
        },
      );
    }
    // Between opening and locking it may have been removed: then what is locked is no longer what the path names.
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) return { fd, made };
    closeSync(fd);
  }
}

/** The process that has the lock, as /proc/locks tells it; one in another namespace of processes has no number here. */
function lockHolder(file: Stats): string | undefined {
  try {
    const inode = new RegExp(`FLOCK\\s+\\S+\\s+\\S+\\s+([1-9]\\d*)\\s+\\S+:${file.ino}\\s`);
    return inode.exec(readFileSync('/proc/locks', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

function checkSize(path: string, found: number, asked: number | undefined): number {
  if (asked !== undefined && asked !== found) {
    throw new ExomemError('InvalidArgument', `${path} has ${found} bytes, and ${asked} were asked for`, {
      where: path,
      advice: `exomem serve --file ${path} --size ${found} serves what it has; exomem destroy ${path} removes it`,
    });
  }
  if (found % 8 !== 0) {
    throw new ExomemError(
      'InvalidArgument',
      `${path} has ${found} bytes, which is no multiple of 8: it keeps no region`,
      { where: path },
    );
  }
  return found;
}

function noSize(path: string): ExomemError {
  return new ExomemError('InvalidArgument', `${path} is empty, and no size was given`, {
    where: path,
    advice: 'add --size',
  });
}

function failed(error: unknown, path: string): ExomemError {
  if (error instanceof ExomemError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const details = { where: path, cause: error };
  if (code === 'ENOENT')
    return new ExomemError('NotFound', `there is no ${path}`, { ...details, advice: 'check the path' });
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new ExomemError('PermissionDenied', `${path} may not be changed`, {
      ...details,
      advice: 'check its rights',
    });
  }
  return new ExomemError('Unavailable', `${path}: ${message}`, details);
}
