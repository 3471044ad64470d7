import type { FileKind } from '@exomem/core';

/** A file, directory or symbolic link of a tree that is copied. */
export interface TreeEntry {
  /** From the top of the tree, as `a/b`; the top itself is ``. */
  readonly path: string;
  readonly kind: FileKind;
  /** Permission bits, with set-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** Bytes of a file. */
  readonly size: number;
  /** Of a symbolic link. */
  readonly target?: string;
  /** The path of an earlier entry that is the same file, by another name. */
  readonly sameAs?: string;
}

/** Hands on bytes in order; all pieces but the last are of whole pages. */
export type ByteSink = (bytes: Uint8Array) => Promise<void>;

/** Where a tree is read. */
export interface TreeSource {
  /** Every entry, a directory before what is in it. */
  scan(): Promise<TreeEntry[]>;
  /** The bytes of a file. False: it went meanwhile, and what was handed on is worth nothing. */
  read(entry: TreeEntry, sink: ByteSink, onBytes: (done: number) => void): Promise<boolean>;
}

/** Where a tree is written. What is there is kept unless an entry has its name; a file appears whole. */
export interface TreeSink {
  directory(entry: TreeEntry): Promise<void>;
  /** `fill` hands over the bytes; if it answers false there is no file after all. */
  file(entry: TreeEntry, fill: (sink: ByteSink) => Promise<boolean>): Promise<boolean>;
  symlink(entry: TreeEntry): Promise<void>;
  link(entry: TreeEntry, existing: string): Promise<void>;
  /** Permissions and time of a directory, when everything is in it. */
  finish(entry: TreeEntry): Promise<void>;
}

/** The path of an entry of a directory. */
export function within(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}
/** The path of an entry's directory, and its name there. */
export function split(path: string): { directory: string; name: string } {
  const mark = path.lastIndexOf('/');
  return mark === -1 ? { directory: '', name: path } : { directory: path.slice(0, mark), name: path.slice(mark + 1) };
}
