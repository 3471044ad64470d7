import { ExomemError } from '@exomem/core';

/** Calls of the C library that Node has no form of. Addresses are bigints. */
export interface Libc {
  memfdCreate(name: string): number;
  map(fd: number, length: number): bigint;
  /** Runs in a thread of the pool; answers an error number, 0 if it went well. */
  advise(address: bigint, length: number, advice: number): Promise<number>;
  /** Runs in a thread of the pool; answers an error number, 0 if it went well. */
  allocate(fd: number, offset: number, length: number): Promise<number>;
  /** An exclusive lock on the open file, without waiting; answers whether it was had. */
  lock(fd: number): boolean;
  /** A mapping keeps an open file, and its lock, alive beyond the descriptor. */
  unlock(fd: number): void;
  /** The memory itself: at most 4 GiB, and never used after it was unmapped. */
  view(address: bigint, length: number): ArrayBuffer;
}

export const advice = { remove: 9, hugePages: 14, populateRead: 22, populateWrite: 23 } as const;

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const MFD_CLOEXEC = 1;
const LOCK_EX_NB = 6;
const LOCK_UN = 8;

let loaded: Promise<Libc | undefined> | undefined;

/** The C library through koffi; undefined where this machine is no Linux or koffi is not installed. */
export function loadLibc(): Promise<Libc | undefined> {
  loaded ??= process.platform === 'linux' ? load() : Promise.resolve(undefined);
  return loaded;
}

/** @throws `Unavailable` */
export async function requireLibc(why: string): Promise<Libc> {
  const libc = await loadLibc();
  if (libc !== undefined) return libc;
  throw new ExomemError('Unavailable', `${why} needs Linux and the package koffi`, { advice: 'npm install koffi' });
}

async function load(): Promise<Libc | undefined> {
  let koffi: typeof import('koffi').default;
  try {
    koffi = (await import('koffi')).default;
  } catch {
    return undefined;
  }
  // The process itself has the C library, under whatever name this system gives it.
  const lib = koffi.load(null);
  const memfdCreate = lib.func('int memfd_create(const char *name, unsigned int flags)');
  const mmap = lib.func('void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)');
  const madvise = lib.func('int madvise(void *address, size_t length, int advice)');
  const posixFallocate = lib.func('int posix_fallocate(int fd, int64_t offset, int64_t length)');
  const flock = lib.func('int flock(int fd, int operation)');
  const check = (call: string, failed: boolean): void => {
    if (failed) throw new ExomemError('Unavailable', `${call} failed with error ${koffi.errno()} of the system`);
  };
  return {
    memfdCreate(name) {
      const fd = memfdCreate(name, MFD_CLOEXEC) as number;
      check('memfd_create', fd < 0);
      return fd;
    },
    map(fd, length) {
      const address = mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0) as bigint;
      check(`mmap of ${length} bytes`, address === MAP_FAILED);
      return address;
    },
    async advise(address, length, what) {
      if ((await inPool<number>(madvise, address, length, what)) === 0) return 0;
      // The number of the error stayed behind in the thread of the pool: ask again in this one.
      return (madvise(address, length, what) as number) === 0 ? 0 : koffi.errno();
    },
    allocate: (fd, offset, length) => inPool<number>(posixFallocate, fd, offset, length),
    lock: (fd) => (flock(fd, LOCK_EX_NB) as number) === 0,
    unlock: (fd) => void flock(fd, LOCK_UN),
    view: (address, length) => koffi.view(address, length) as ArrayBuffer,
  };
}

interface Call {
  async(...parameters: unknown[]): void;
}

function inPool<T>(call: unknown, ...parameters: unknown[]): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    (call as Call).async(...parameters, (error: unknown, result: T) => (error ? reject(error) : resolve(result)));
  });
}
