import { constants as fsConstants } from 'node:fs';
import { access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import type { Obstacle } from '../host.js';

/** Answers an operation: a negative error number or what the operation gives. */
export type Answer<T = undefined> = (result: number, value?: T) => void;

/** What fuse-native writes into a `struct stat`. Times in milliseconds since 1970. */
export interface NativeStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface NativeStatFs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

/** The operations of libfuse 2 as fuse-native hands them on. */
export interface NativeOperations {
  statfs(path: string, answer: Answer<NativeStatFs>): void;
  getattr(path: string, answer: Answer<NativeStat>): void;
  fgetattr(path: string, handle: number, answer: Answer<NativeStat>): void;
  readdir(path: string, answer: (result: number, names?: string[], stats?: { mode: number }[]) => void): void;
  readlink(path: string, answer: Answer<string>): void;
  mknod(path: string, mode: number, device: number, answer: Answer): void;
  mkdir(path: string, mode: number, answer: Answer): void;
  unlink(path: string, answer: Answer): void;
  rmdir(path: string, answer: Answer): void;
  symlink(target: string, path: string, answer: Answer): void;
  rename(path: string, newPath: string, answer: Answer): void;
  link(path: string, newPath: string, answer: Answer): void;
  chmod(path: string, mode: number, answer: Answer): void;
  chown(path: string, uid: number, gid: number, answer: Answer): void;
  utimens(path: string, atime: number, mtime: number, answer: Answer): void;
  truncate(path: string, size: number, answer: Answer): void;
  ftruncate(path: string, handle: number, size: number, answer: Answer): void;
  create(path: string, mode: number, answer: Answer<number>): void;
  open(path: string, flags: number, answer: Answer<number>): void;
  read(path: string, handle: number, buffer: Uint8Array, length: number, position: number, answer: Answer): void;
  write(path: string, handle: number, buffer: Uint8Array, length: number, position: number, answer: Answer): void;
  flush(path: string, handle: number, answer: Answer): void;
  fsync(path: string, dataOnly: number, handle: number, answer: Answer): void;
  fsyncdir(path: string, dataOnly: number, handle: number, answer: Answer): void;
  release(path: string, handle: number, answer: Answer): void;
}

/** The class that the package exports. */
export interface FuseNative {
  new (dir: string, operations: NativeOperations, options: Record<string, unknown>): FuseMount;
  /** Runs fusermount; `unmount()` of an instance begins with it. */
  unmount(dir: string, done: (error: Error | null) => void): void;
}

type Signal = (result: number, stat?: unknown) => void;

export interface FuseMount {
  mount(done: (error: Error | null) => void): void;
  unmount(done: (error: Error | null) => void): void;
  /** Uses nothing of `this` but `ops.getattr`. */
  _op_getattr(this: { ops: Pick<NativeOperations, 'getattr'> }, signal: Signal, path: string): void;
  /** As it comes it asks `getattr`, by path. */
  _op_fgetattr: (signal: Signal, path: string, handle: number) => void;
}

const require = createRequire(import.meta.url);
let loaded: FuseNative | undefined;

/** What keeps the package from working on this machine; undefined if nothing does. */
export async function obstacleOf(): Promise<Obstacle | undefined> {
  if (process.platform !== 'linux') {
    return { what: `mounting needs Linux, and this is ${process.platform}`, advice: 'use the library or `exomem get`' };
  }
  try {
    await access('/dev/fuse', fsConstants.R_OK | fsConstants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return missing
      ? {
          what: 'there is no /dev/fuse',
          advice: 'modprobe fuse; in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN',
        }
      : { what: '/dev/fuse may not be used by this user', advice: 'mount as root, or chmod 666 /dev/fuse' };
  }
  try {
    loadLibrary();
  } catch (error) {
    const what = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return {
      what: `the package fuse-native does not load here: ${what}`,
      advice: 'npm install fuse-native@2.2.6; on another machine than x64: apt install libfuse2',
    };
  }
  return undefined;
}

/**
 * The package looks for libfuse.so.2 of the system, which is hardly anywhere any more, and brings one along. That one is
 * put where the package's own library finds its symbols, and for good: threads of it may outlive a mount.
 */
export function loadLibrary(): FuseNative {
  if (loaded !== undefined) return loaded;
  const folder = dirname(require.resolve('fuse-native/package.json'));
  const bundled = join(folder, 'prebuilds', `linux-${process.arch}`, 'libfuse.so');
  const noDelete = 0x1000;
  try {
    process.dlopen({ exports: {} }, bundled, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | noDelete);
  } catch {
    // It is no addon, and says so, once it is loaded. Where there is none for this machine the system's is needed.
  }
  loaded = require('fuse-native') as FuseNative;
  // Directories are unmounted by the life of the mount, which knows more ways.
  loaded.unmount = (_dir, done) => done(null);
  return loaded;
}
