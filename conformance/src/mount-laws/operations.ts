import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';

/** What is known of a file or a name. */
export interface Attributes {
  readonly kind: 'file' | 'directory' | 'symlink' | 'other';
  readonly size: number;
  /** Names of the file. */
  readonly links: number;
  /** Permission bits. */
  readonly mode: number;
  /** Milliseconds since 1970. */
  readonly mtime: number;
}

/**
 * What the laws do to a file system, each as one call of it. Descriptors have numbers that the caller chooses. What fails
 * throws an error with the `code` that the system gave.
 */
export interface Operations {
  /** @param flags of `node:fs` constants */
  open(as: number, path: string, flags: number): void;
  close(of: number): void;
  /** At most `length` bytes. */
  read(of: number, at: number, length: number): Uint8Array;
  /** How many bytes were written. */
  write(of: number, at: number, bytes: Uint8Array): number;
  /** Writes where the descriptor stands: at the end, if it was opened with O_APPEND. */
  append(of: number, bytes: Uint8Array): number;
  truncate(of: number, size: number): void;
  sync(of: number): void;
  /** Attributes of an open file. */
  attributes(of: number): Attributes;
  /** Attributes of a name, of the link itself if it is a symbolic one. */
  stat(path: string): Attributes;
  list(path: string): string[];
  mkdir(path: string): void;
  rmdir(path: string): void;
  unlink(path: string): void;
  rename(from: string, to: string): void;
  link(from: string, to: string): void;
  symlink(target: string, path: string): void;
  readlink(path: string): string;
  chmod(path: string, mode: number): void;
  /** Closes whatever is open. */
  release(): void;
  /** Removes a tree: what ends a case. */
  clear(path: string): void;
}

/** The file system of the machine. */
export function systemOperations(): Operations {
  const open = new Map<number, number>();
  const descriptor = (of: number): number => open.get(of) ?? -1;
  return {
    open(as, path, flags) {
      open.set(as, openSync(path, flags, 0o644));
    },
    close(of) {
      const number = descriptor(of);
      open.delete(of);
      closeSync(number);
    },
    read(of, at, length) {
      const bytes = Buffer.alloc(length);
      let done = 0;
      // A read may end early without being at the end of the file.
      for (let count = -1; done < length && count !== 0; done += count) {
        count = readSync(descriptor(of), bytes, done, length - done, at + done);
      }
      return bytes.subarray(0, done);
    },
    write: (of, at, bytes) => writeSync(descriptor(of), bytes, 0, bytes.length, at),
    append: (of, bytes) => writeSync(descriptor(of), bytes, 0, bytes.length, null),
    truncate: (of, size) => ftruncateSync(descriptor(of), size),
    sync: (of) => fsyncSync(descriptor(of)),
    attributes: (of) => attributesOf(fstatSync(descriptor(of))),
    stat: (path) => attributesOf(lstatSync(path)),
    list: (path) => readdirSync(path),
    mkdir: (path) => mkdirSync(path),
    rmdir: (path) => rmdirSync(path),
    unlink: (path) => unlinkSync(path),
    rename: (from, to) => renameSync(from, to),
    link: (from, to) => linkSync(from, to),
    symlink: (target, path) => symlinkSync(target, path),
    readlink: (path) => readlinkSync(path),
    chmod: (path, mode) => chmodSync(path, mode),
    release() {
      const numbers = [...open.values()];
      open.clear();
      for (const number of numbers) closeSync(number);
    },
    // A file that was closed just now may keep its directory for an instant.
    clear: (path) => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** What `open` is given by these laws. */
export const flags = {
  read: constants.O_RDONLY,
  both: constants.O_RDWR,
  make: constants.O_RDWR | constants.O_CREAT,
  append: constants.O_RDWR | constants.O_CREAT | constants.O_APPEND,
  replace: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
  exclusive: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
} as const;

function attributesOf(stats: Stats): Attributes {
  const kind = stats.isFile()
    ? 'file'
    : stats.isDirectory()
      ? 'directory'
      : stats.isSymbolicLink()
        ? 'symlink'
        : 'other';
  return { kind, size: stats.size, links: stats.nlink, mode: stats.mode & 0o7777, mtime: stats.mtimeMs };
}
