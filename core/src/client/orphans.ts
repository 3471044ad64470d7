import type { Client } from './client.js';
import type { RegionFile } from './file.js';
import { Lock } from './lock.js';

/** Extents that one record carries. */
const extentsPerRecord = 96;

/**
 * Files that are open here and have lost their last name. Nothing above the index of that record is published before the
 * log says that we keep the file: so nobody frees its pages.
 */
export class Orphans {
  readonly #client: Client;
  readonly #files = new Map<RegionFile, { readonly index: number; kept: boolean }>();
  readonly #lock = new Lock();

  constructor(client: Client) {
    this.#client = client;
  }

  /** The record at `index`, which is being applied just now, took the file's last name. */
  add(file: RegionFile, index: number): void {
    this.#client.pins.take(index);
    this.#files.set(file, { index, kept: false });
  }

  /** Says in the log what is not said yet. */
  async keep(): Promise<void> {
    if ([...this.#files.values()].every(({ kept }) => kept)) return;
    const client = this.#client;
    const { principal, incarnation } = client.identity;
    await this.#lock.run(async () => {
      for (const [file, orphan] of this.#files) {
        if (orphan.kept) continue;
        const { inode } = file;
        const { extents } = file.orphan!;
        for (let at = 0; at === 0 || at < extents.length; at += extentsPerRecord) {
          const part = extents.slice(at, at + extentsPerRecord);
          await client.append(() => [{ op: 'keep', inode, principal, incarnation, extents: part }]);
        }
        orphan.kept = true;
        client.pins.give(orphan.index);
      }
    });
  }

  /** Nobody here has that file open any more: if it has no name, the log need not keep it for us. */
  async letGo(file: RegionFile): Promise<void> {
    if (!this.#files.has(file)) return;
    const client = this.#client;
    await this.#lock.run(async () => {
      const orphan = this.#files.get(file);
      if (orphan === undefined) return;
      this.#files.delete(file);
      if (!orphan.kept) {
        client.pins.give(orphan.index);
        return;
      }
      const { principal, incarnation } = client.identity;
      await client.append(() => [{ op: 'drop', inode: file.inode, principal, incarnation }]);
    });
  }
}
