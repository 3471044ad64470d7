import { type Client, type ErrorCode, isExomemError, memberState, rootInode } from '@exomem/core';

/** The directory below the root where files wait that lost their last name while a mount had them open. */
export const orphanDirectory = '.exomem-orphans';

/**
 * Files without a name that are open here. The region's names are what keeps a file's pages, so such a file gets one
 * that nobody is shown: it says which member holds it open, and goes with the last handle.
 *
 * A name left behind by a mount that died may be removed as soon as that member, of that incarnation, is neither
 * joining nor active: it can never act again, so nobody has the file open by that name.
 */
export class Orphans {
  readonly #client: Client;
  /** Inode -> its name in the directory. */
  readonly #names = new Map<number, string>();

  constructor(client: Client) {
    this.#client = client;
  }

  has(inode: number): boolean {
    return this.#names.has(inode);
  }

  /** The inode of the directory. Made when first needed. */
  async directory(): Promise<number> {
    const known = this.#directory();
    if (known !== undefined) return known;
    try {
      return await this.#client.namespace.create(rootInode, orphanDirectory, { kind: 'directory', mode: 0o700 });
    } catch (error) {
      if (!isExomemError(error, 'Exists')) throw error;
      return this.#directory()!;
    }
  }

  #directory(): number | undefined {
    return this.#client.state.lookup(rootInode, orphanDirectory)?.inode;
  }

  nameOf(inode: number): string {
    const { slot, incarnation } = this.#client.member;
    return `${slot}-${incarnation}-${inode}`;
  }

  /** The file has its hidden name now. */
  took(inode: number): void {
    this.#names.set(inode, this.nameOf(inode));
  }

  /** Nobody here has it open any more. */
  async remove(inode: number): Promise<void> {
    const name = this.#names.get(inode);
    this.#names.delete(inode);
    const directory = this.#directory();
    if (name === undefined || directory === undefined) return;
    await this.#client.namespace.removeEntry(directory, name, false).catch(ignore('NotFound', 'StaleHandle'));
  }

  async removeAll(): Promise<void> {
    for (const inode of [...this.#names.keys()]) await this.remove(inode);
  }

  /** Removes what mounts left behind whose members are gone. How many. */
  async collect(): Promise<number> {
    const client = this.#client;
    const directory = this.#directory();
    if (directory === undefined) return 0;
    const names = [...client.state.directory(directory).entries.keys()];
    if (names.length === 0) return 0;
    const { members } = await client.members();
    let removed = 0;
    for (const name of names) {
      const [slot, incarnation] = name.split('-').map(Number);
      const alive = members.some(
        (line) =>
          line.slot === slot &&
          line.incarnation === incarnation &&
          (line.state === memberState.joining || line.state === memberState.active),
      );
      if (alive) continue;
      await client.namespace.removeEntry(directory, name, false).catch(ignore('NotFound', 'StaleHandle'));
      removed++;
    }
    return removed;
  }
}

function ignore(...codes: ErrorCode[]) {
  return (error: unknown): void => {
    if (!isExomemError(error) || !codes.includes(error.code)) throw error;
  };
}
