import { ExomemError, type RegionFile } from '@exomem/core';

/** An open file. */
export interface FileHandle {
  readonly inode: number;
  /** Another one once the client was declared dead and has joined again. */
  file: RegionFile;
}

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly inode: number;
  readonly kind: 'file' | 'directory' | 'symlink';
}

/** Numbers that stand for open files and directories: positive, of 31 bits, the lowest that is free. */
export class HandleTable<T> {
  readonly #open: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];

  add(value: T): number {
    const number = this.#free.pop() ?? this.#open.length;
    this.#open[number] = value;
    return number;
  }

  /** @throws `StaleHandle` */
  get(number: number): T {
    return this.#open[number] ?? stale(number);
  }

  /** @throws `StaleHandle` */
  take(number: number): T {
    const value = this.#open[number] ?? stale(number);
    this.#open[number] = undefined;
    this.#free.push(number);
    return value;
  }

  *values(): Generator<T> {
    for (const value of this.#open) if (value !== undefined) yield value;
  }
}

function stale(number: number): never {
  throw new ExomemError('StaleHandle', `there is no open file ${number}`);
}
