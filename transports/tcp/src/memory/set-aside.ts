import { closeSync, ftruncateSync } from 'node:fs';
import { ExomemError, RegionMemory } from '@exomem/core';
import { KeptFile } from './kept-file.js';
import { type Libc, loadLibc, requireLibc } from './libc.js';
import { inStretches, Mapping, type Progress, segmentBytes, touch } from './mapping.js';
import { checkMemoryRoom, memoryRoom } from './room.js';

export interface SetAsideOptions extends Progress {
  /** Bytes, a positive multiple of 8. May be left out where `file` exists: it has a size. */
  readonly size?: number;
  /** A file that keeps the bytes when the process ends. Without it they are memory, and gone with it. */
  readonly file?: string;
}

/** Memory that is there, every page of it, before anybody asks for a piece. */
export interface BackingMemory extends AsyncDisposable {
  readonly memory: RegionMemory;
  /** The bytes are new and all zero; false if a file brought them. */
  readonly created: boolean;
  /** What it is, for messages: the file's path, or `memory`. */
  readonly where: string;
  /** Gives the memory back, or the file its last bytes and the lock. No step may follow. Idempotent. */
  close(): Promise<void>;
}

/**
 * Sets memory aside for good: all of it is taken now, beside the event loop, or it is refused now.
 * @throws `OutOfRange` (size), `Unavailable` (more than the machine, the control group or the file system has, with
 * the figures), `Busy` (another process has the file), `InvalidArgument` (the file has another size), `NotFound`,
 * `PermissionDenied`, `Aborted`
 */
export async function setAside(options: SetAsideOptions): Promise<BackingMemory> {
  const { size, file } = options;
  if (size !== undefined && (!Number.isSafeInteger(size) || size <= 0 || size % 8 !== 0)) {
    throw new ExomemError('OutOfRange', `a region cannot have ${size} bytes`, {
      advice: 'give a positive multiple of 8',
    });
  }
  if (options.signal?.aborted)
    throw new ExomemError('Aborted', 'aborted before it began', { cause: options.signal.reason });
  if (file !== undefined) return inFile(file, size, options);
  if (size === undefined)
    throw new ExomemError('InvalidArgument', 'memory without a file needs a size', { advice: 'add --size' });
  checkMemoryRoom(size);
  const libc = await loadLibc();
  return libc === undefined ? inBuffers(size, options) : inMemoryFile(libc, size, options);
}

async function inFile(path: string, size: number | undefined, progress: Progress): Promise<BackingMemory> {
  const libc = await requireLibc('a region that a file keeps');
  const file = await KeptFile.open(path, size, libc, progress);
  let segments: readonly ArrayBuffer[];
  try {
    const mapping = new Mapping(libc, file.fd, file.size);
    // What is on a disk and larger than the memory there is cannot be brought into it: it is paged in as it is used.
    if (file.size <= memoryRoom().free) {
      await mapping.populate(false, file.created ? { signal: progress.signal } : progress);
    }
    segments = mapping.segments;
  } catch (error) {
    if (file.created) file.abandon();
    else file.close();
    throw error;
  }
  return backing(segments, file.created, file.path, async () => {
    try {
      await file.sync();
    } finally {
      file.close();
    }
  });
}

/** A file that has no name and lives in memory: it ends with this process at the latest. */
async function inMemoryFile(libc: Libc, size: number, progress: Progress): Promise<BackingMemory> {
  const fd = libc.memfdCreate('exomem');
  let mapping: Mapping;
  try {
    ftruncateSync(fd, size);
    mapping = new Mapping(libc, fd, size);
  } finally {
    // The mapping holds the file.
    closeSync(fd);
  }
  try {
    await mapping.populate(true, progress);
  } catch (error) {
    await mapping.remove();
    throw error;
  }
  return backing(mapping.segments, true, 'memory', () => mapping.remove());
}

async function inBuffers(size: number, progress: Progress): Promise<BackingMemory> {
  const segments: SharedArrayBuffer[] = [];
  try {
    for (let at = 0; at < size; at += segmentBytes)
      segments.push(new SharedArrayBuffer(Math.min(segmentBytes, size - at)));
  } catch (cause) {
    throw new ExomemError('Unavailable', `no memory for a region of ${size} bytes`, { advice: 'ask for less', cause });
  }
  await inStretches(size, progress, async (at, length) => {
    touch(segments, at, length, true);
    await new Promise<void>((resolve) => setImmediate(resolve));
  });
  return backing(segments, true, 'memory', async () => undefined);
}

function backing(
  segments: readonly ArrayBufferLike[],
  created: boolean,
  where: string,
  giveBack: () => Promise<void>,
): BackingMemory {
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= giveBack();
    return closing;
  };
  return { memory: new RegionMemory(segments), created, where, close, [Symbol.asyncDispose]: close };
}
