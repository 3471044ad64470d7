import type { Client } from '@exomem/core';

/** How full a file system is. Sizes in blocks of `blockSize` bytes. */
export interface SpaceUsage {
  readonly blockSize: number;
  readonly blocks: number;
  readonly free: number;
  readonly files: number;
  /** Files that could be made yet: an estimate, the directory tree has a room of its own. */
  readonly filesFree: number;
  /** Bytes of a name. */
  readonly nameLength: number;
}

/** Milliseconds that an answer is good for: reading the table of group words takes a while in a large region. */
const goodFor = 1000;
/** Bytes of the directory tree that a file takes on average. */
const bytesPerFile = 128;

/** Answers statfs(2), and does not read the table of group words for each. */
export class StatFs {
  readonly #client: Client;
  #answer: SpaceUsage | undefined;
  #until = 0;
  #asking: Promise<SpaceUsage> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  async get(): Promise<SpaceUsage> {
    if (this.#answer !== undefined && this.#client.surroundings.now() < this.#until) return this.#answer;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<SpaceUsage> {
    const client = this.#client;
    const { total, free, room } = await client.usage();
    const { replica, state } = client;
    this.#answer = {
      blockSize: client.geometry.pageSize,
      blocks: total,
      free: free + room,
      files: state.inodes.size,
      filesFree: Math.max(0, Math.floor((replica.weightLimit - state.weight) / bytesPerFile)),
      nameLength: 255,
    };
    this.#until = client.surroundings.now() + goodFor;
    return this.#answer;
  }
}
