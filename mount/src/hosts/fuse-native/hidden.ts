/**
 * libfuse 2 renames a file that is removed while it is open, and removes it by that name when the last handle goes. The
 * file system keeps such files by itself and needs no name for it, so these names exist in this host alone.
 */
export class HiddenNames {
  readonly #inodes = new Map<string, number>();

  /** The name, if the path is one that libfuse gives: a node and a count, unique while it is mounted. */
  nameIn(path: string): string | undefined {
    const at = path.lastIndexOf('/') + 1;
    return path.startsWith('.fuse_hidden', at) && /^[0-9a-f]{16}$/.test(path.slice(at + 12))
      ? path.slice(at)
      : undefined;
  }

  get(name: string): number | undefined {
    return this.#inodes.get(name);
  }
  set(name: string, inode: number): void {
    this.#inodes.set(name, inode);
  }
  /** Whether there was such a name. */
  delete(name: string): boolean {
    return this.#inodes.delete(name);
  }
}
