/**
 * libfuse 2 renames a file that is removed while it is open, and removes it by that name when the last handle goes. The
 * file system keeps such files by itself and needs no name for it, so these names exist in this host alone.
 */
export class HiddenNames {
  readonly #files = new Map<string, { readonly inode: number; readonly parent: number }>();

  /** The name, if the path is one that libfuse gives: a node and a count, unique while it is mounted. */
  nameIn(path: string): string | undefined {
    const at = path.lastIndexOf('/') + 1;
    return path.startsWith('.fuse_hidden', at) && /^[0-9a-f]{16}$/.test(path.slice(at + 12))
      ? path.slice(at)
      : undefined;
  }

  get(name: string): number | undefined {
    return this.#files.get(name)?.inode;
  }
  set(name: string, inode: number, parent: number): void {
    this.#files.set(name, { inode, parent });
  }
  /** Whether there was such a name. */
  delete(name: string): boolean {
    return this.#files.delete(name);
  }

  /** Whether libfuse believes one of its names to be in that directory: without it, it could not find the file. */
  isIn(directory: number): boolean {
    for (const { parent } of this.#files.values()) if (parent === directory) return true;
    return false;
  }
}
