import { constants } from 'node:os';
import { ExomemError, isExomemError, rootInode, type Stat } from '@exomem/core';
import { errnoOf } from '../../file-system/errno.js';
import type { FileSystem } from '../../file-system/file-system.js';
import { Buffers } from './buffers.js';
import { Freshness } from './freshness.js';
import { HiddenNames } from './hidden.js';
import type { Answer, NativeOperations, NativeStat } from './library.js';

const { ENOENT } = constants.errno;
/** The kernel's longest request to libfuse 2, and what programs are told is a good size for theirs. */
const requestBytes = 128 * 1024;
/** libfuse keeps ten threads at most idle, and each has one request. */
const buffersKept = 16;
const unchanged = 0xffff_ffff;
const typeBits = { file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const;
const regular = 0o100000;
const typeMask = 0o170000;

/** Brings what libfuse asks by path to a file system by inode. */
export function operationsOn(fileSystem: FileSystem, onFault: (error: unknown) => void): NativeOperations {
  const hidden = new HiddenNames();
  const lookedUp = new Freshness();
  const made = new Freshness();
  const buffers = new Buffers(requestBytes, buffersKept);
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;

  /** The last death that was told of: every operation of that life fails, and once is enough to say it. */
  let told: unknown;
  const failure = (error: unknown): number => {
    if (!isExomemError(error)) onFault(error);
    else if (error.code === 'Fenced' && error !== told) {
      told = error;
      onFault(error);
    }
    return -errnoOf(error);
  };
  /** `path` is what the operation makes: libfuse asks for its attributes next. */
  const reply = (work: Promise<unknown>, answer: Answer, path?: string): void => {
    work.then(
      () => {
        if (path !== undefined) made.saw(path);
        answer(0);
      },
      (error) => answer(failure(error)),
    );
  };
  /** Paths come resolved from the kernel: no links to follow, no `..`. Undefined: there is nothing. */
  const find = (path: string): number | undefined => {
    const secret = hidden.nameIn(path);
    if (secret !== undefined) {
      const inode = hidden.get(secret);
      if (inode !== undefined) return inode;
    }
    let at = rootInode;
    for (let start = 1; start < path.length; ) {
      const slash = path.indexOf('/', start);
      const end = slash < 0 ? path.length : slash;
      const inode = fileSystem.find(at, path.slice(start, end));
      if (inode === undefined) return undefined;
      at = inode.inode;
      start = end + 1;
    }
    return at;
  };
  const found = (path: string): number => {
    const inode = find(path);
    if (inode === undefined) throw new ExomemError('NotFound', `there is no ${path}`);
    return inode;
  };
  const place = (path: string): [parent: number, name: string] => {
    const at = path.lastIndexOf('/');
    return [at === 0 ? rootInode : found(path.slice(0, at)), path.slice(at + 1)];
  };

  /**
   * Whether this is a directory that is looked up behind the one it is in, on the way to something else. What the way leads
   * to is asked for anew, by its whole path: so a directory that is gone meanwhile is noticed there.
   */
  const isOnTheWay = (path: string): boolean => {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent === '' || !lookedUp.take(parent)) return false;
    const inode = find(path);
    return inode !== undefined && fileSystem.client.state.inodes.get(inode)?.kind === 'directory';
  };

  const keepHidden = (directory: number, path: string): void => {
    if (hidden.isIn(directory)) throw new ExomemError('NotEmpty', `a removed file of ${path} is open`);
  };

  const rename = async (path: string, newPath: string): Promise<void> => {
    const secret = hidden.nameIn(newPath);
    const inode = found(path);
    if (secret !== undefined && fileSystem.isOpen(inode)) {
      const [parent, name] = place(path);
      await fileSystem.unlink(parent, name);
      hidden.set(secret, inode, parent);
      return;
    }
    const replaced = find(newPath);
    if (replaced !== undefined) keepHidden(replaced, newPath);
    await fileSystem.rename(...place(path), ...place(newPath));
  };

  const remove = async (path: string): Promise<void> => {
    const secret = hidden.nameIn(path);
    // It went with its last handle.
    if (secret !== undefined && hidden.delete(secret)) return;
    await fileSystem.unlink(...place(path));
  };

  const read = async (handle: number, target: Uint8Array, length: number, position: number): Promise<number> => {
    const buffer = buffers.take(length);
    const count = await fileSystem.read(handle, position, buffer.subarray(0, length));
    target.set(buffer.subarray(0, count));
    buffers.give(buffer);
    return count;
  };

  const write = async (handle: number, source: Uint8Array, length: number, position: number): Promise<number> => {
    const buffer = buffers.take(length);
    buffer.set(source.subarray(0, length));
    await fileSystem.write(handle, position, buffer.subarray(0, length));
    buffers.give(buffer);
    return length;
  };

  const count = (work: Promise<number>, answer: Answer): void => {
    work.then(answer, (error) => answer(failure(error)));
  };

  return {
    getattr(path, answer) {
      const look = (): void => {
        try {
          const inode = find(path);
          if (inode === undefined) answer(-ENOENT);
          else {
            lookedUp.saw(path);
            answer(0, nativeStat(fileSystem.stat(inode)));
          }
        } catch (error) {
          answer(failure(error));
        }
      };
      if (made.take(path) || isOnTheWay(path)) look();
      else fileSystem.refresh().then(look, (error) => answer(failure(error)));
    },
    fgetattr(_path, handle, answer) {
      try {
        answer(0, nativeStat(fileSystem.stat(fileSystem.inodeOf(handle))));
      } catch (error) {
        answer(failure(error));
      }
    },
    readdir(path, answer) {
      const work = async () => fileSystem.list(found(path));
      work().then(
        (entries) =>
          answer(
            0,
            entries.map(({ name }) => name),
            entries.map(({ kind }) => ({ mode: typeBits[kind] })),
          ),
        (error) => answer(failure(error)),
      );
    },
    readlink(path, answer) {
      try {
        answer(0, fileSystem.readlink(found(path)));
      } catch (error) {
        answer(failure(error));
      }
    },
    statfs(_path, answer) {
      fileSystem.statfs().then(
        ({ blockSize, blocks, free, files, filesFree, nameLength }) => {
          // The counts have 32 bits there.
          const scale = Math.max(1, Math.ceil(blocks / 0xffff_ffff));
          const fit = (blocksOf: number): number => Math.floor(blocksOf / scale);
          answer(0, {
            bsize: blockSize * scale,
            frsize: blockSize * scale,
            blocks: fit(blocks),
            bfree: fit(free),
            bavail: fit(free),
            files: files + filesFree,
            ffree: filesFree,
            favail: filesFree,
            namemax: nameLength,
          });
        },
        (error) => answer(failure(error)),
      );
    },
    mknod(path, mode, _device, answer) {
      reply(
        (async () => {
          const type = mode & typeMask;
          if (type !== regular && type !== 0)
            throw new ExomemError('PermissionDenied', 'a region has no devices, sockets and pipes');
          await fileSystem.mknod(...place(path), { mode: mode & 0o7777, uid, gid });
        })(),
        answer,
        path,
      );
    },
    mkdir(path, mode, answer) {
      reply((async () => fileSystem.mkdir(...place(path), { mode: mode & 0o7777, uid, gid }))(), answer, path);
    },
    symlink(target, path, answer) {
      reply((async () => fileSystem.symlink(...place(path), target, { uid, gid }))(), answer, path);
    },
    link(path, newPath, answer) {
      reply((async () => fileSystem.link(found(path), ...place(newPath)))(), answer, newPath);
    },
    unlink(path, answer) {
      reply(remove(path), answer);
    },
    rmdir(path, answer) {
      const work = async () => {
        keepHidden(found(path), path);
        await fileSystem.rmdir(...place(path));
      };
      reply(work(), answer);
    },
    rename(path, newPath, answer) {
      reply(rename(path, newPath), answer);
    },
    chmod(path, mode, answer) {
      reply((async () => fileSystem.setattr(found(path), { mode: mode & 0o7777 }))(), answer);
    },
    chown(path, newUid, newGid, answer) {
      const owner = {
        uid: newUid === unchanged ? undefined : newUid,
        gid: newGid === unchanged ? undefined : newGid,
      };
      reply((async () => fileSystem.setattr(found(path), owner))(), answer);
    },
    utimens(path, atime, mtime, answer) {
      const times = { atime: nanoseconds(atime), mtime: nanoseconds(mtime) };
      reply((async () => fileSystem.setattr(found(path), times))(), answer);
    },
    truncate(path, size, answer) {
      reply((async () => fileSystem.setattr(found(path), { size }))(), answer);
    },
    ftruncate(_path, handle, size, answer) {
      reply((async () => fileSystem.setattr(fileSystem.inodeOf(handle), { size }))(), answer);
    },
    create(path, mode, answer) {
      const work = async () => fileSystem.create(...place(path), { mode: mode & 0o7777, uid, gid });
      work().then(
        ({ handle }) => answer(0, handle),
        (error) => answer(failure(error)),
      );
    },
    open(path, _flags, answer) {
      const work = async () => {
        if (!lookedUp.take(path)) await fileSystem.refresh();
        return fileSystem.openKnown(found(path));
      };
      work().then(
        (handle) => answer(0, handle),
        (error) => answer(failure(error)),
      );
    },
    read(_path, handle, buffer, length, position, answer) {
      count(read(handle, buffer, length, position), answer);
    },
    write(_path, handle, buffer, length, position, answer) {
      count(write(handle, buffer, length, position), answer);
    },
    flush(_path, handle, answer) {
      reply((async () => fileSystem.flush(handle))(), answer);
    },
    fsync(_path, _dataOnly, handle, answer) {
      reply((async () => fileSystem.fsync(handle))(), answer);
    },
    fsyncdir(_path, _dataOnly, _handle, answer) {
      // A name is in the log before its operation is answered.
      answer(0);
    },
    release(_path, handle, answer) {
      reply((async () => fileSystem.release(handle))(), answer);
    },
  };
}

function nativeStat(stat: Stat): NativeStat {
  return {
    mode: typeBits[stat.kind] | stat.mode,
    uid: stat.uid,
    gid: stat.gid,
    size: stat.kind === 'directory' ? 4096 : stat.size,
    nlink: stat.links,
    blksize: requestBytes,
    blocks: Math.ceil(stat.allocated / 512),
    atime: milliseconds(stat.atime),
    mtime: milliseconds(stat.mtime),
    ctime: milliseconds(stat.ctime),
  };
}

function milliseconds(nanosecondsSince: bigint): number {
  return nanosecondsSince < 0n ? 0 : Number(nanosecondsSince / 1_000_000n);
}
function nanoseconds(millisecondsSince: number): bigint {
  return BigInt(Math.trunc(millisecondsSince)) * 1_000_000n;
}
