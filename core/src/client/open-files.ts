import { isExomemError } from '../errors.js';
import type { Inode } from '../namespace/inode.js';
import type { Client } from './client.js';
import { RegionFile } from './file.js';
import { Orphans } from './orphans.js';

/** The files that are open in one client, each once. */
export class OpenFiles {
  readonly orphans: Orphans;
  readonly #client: Client;
  readonly #files = new Map<number, RegionFile>();
  readonly #missed: (error: unknown) => void;

  /** @param missed hears what fails in the background */
  constructor(client: Client, missed: (error: unknown) => void) {
    this.orphans = new Orphans(client);
    this.#client = client;
    this.#missed = missed;
  }

  get all(): RegionFile[] {
    return [...this.#files.values()];
  }
  find(inode: number): RegionFile | undefined {
    return this.#files.get(inode);
  }

  /** @throws `StaleHandle`, `IsDirectory`. */
  open(inode: number): RegionFile {
    let file = this.#files.get(inode);
    if (file === undefined) {
      this.#client.state.file(inode);
      file = new RegionFile(this.#client, inode, () => this.#files.delete(inode));
      this.#files.set(inode, file);
    }
    file.enter();
    return file;
  }

  /** The record at `index`, which is being applied just now, took its last name. Whether that file is open. */
  orphaned(inode: Inode, index: number): boolean {
    const file = this.#files.get(inode.inode);
    if (file === undefined || this.#client.role === 'observer') return false;
    file.orphaned(inode);
    this.orphans.add(file, index);
    queueMicrotask(() => this.orphans.keep().catch(this.#missed));
    return true;
  }

  /** Publishes what they have waiting, all that can be. What the first failed with, but for those that are no more. */
  async flush(): Promise<unknown> {
    let lost: unknown;
    for (const file of this.all) {
      await file.flush().catch((error) => {
        if (!isExomemError(error, 'StaleHandle')) lost ??= error;
      });
    }
    return lost;
  }

  /** The client leaves: their names may vanish from here on, with it too, and nobody here keeps them any more. */
  async abandon(): Promise<void> {
    for (const file of this.all) {
      await file.abandon();
      this.#files.delete(file.inode);
      await this.orphans.letGo(file);
    }
  }
}
