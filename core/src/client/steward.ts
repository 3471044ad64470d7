import { isExomemError } from '../errors.js';
import type { MemberLine } from '../protocol/membership.js';
import type { Recovery } from '../protocol/recover.js';
import type { Client } from './client.js';
import { cleanBytes } from './duties.js';

export interface StewardOptions {
  /** Milliseconds between two rounds. Default 250. */
  readonly interval?: number;
  /** Cut a snapshot when so many records have come since the last one. Default 1,024. */
  readonly records?: number;
  /**
   * Bytes of free pages that a round zeroes at most, so that whoever allocates need not. Default: 4 MiB in a region whose
   * free pages are to be zero, else 0.
   */
  readonly clean?: number;
  /** Hears of what it did and of what failed. */
  readonly onEvent?: (event: StewardEvent) => void;
}

export type StewardEvent =
  | { readonly type: 'received'; readonly principals: number }
  | { readonly type: 'fenced'; readonly member: MemberLine }
  | { readonly type: 'recovered'; readonly member: MemberLine | undefined; readonly recovery: Recovery }
  | { readonly type: 'snapshot'; readonly index: number }
  | { readonly type: 'failed'; readonly error: unknown };

/**
 * The duties of a region's steward, a client like any other: it takes in what leaving members hand over, recovers the
 * dead, zeroes free pages where that is wanted, and cuts snapshots so that newcomers have little to read. Without one everything works,
 * only later.
 */
export class Steward {
  readonly #client: Client;
  readonly #options: StewardOptions;
  readonly #stop = new AbortController();
  #life: Promise<void> | undefined;

  constructor(client: Client, options: StewardOptions = {}) {
    this.#client = client;
    this.#options = options;
  }

  start(): void {
    this.#life ??= this.#live();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#life;
  }

  async #live(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onEvent?.({ type: 'failed', error });
        if (isExomemError(error, 'Fenced') || isExomemError(error, 'Closed')) return;
      }
      await this.#client.surroundings.sleep(this.#options.interval ?? 250, signal).catch(() => undefined);
    }
  }

  /** One look at everything. */
  async round(): Promise<void> {
    const client = this.#client;
    await client.refresh();
    await client.lookAfter((event) => this.#options.onEvent?.(event));
    const received = await client.receive();
    if (received > 0) this.#options.onEvent?.({ type: 'received', principals: received });
    await client.clean(this.#options.clean ?? (client.wipes ? cleanBytes : 0));
    const before = client.replica.root.word;
    const records = Math.max(this.#options.records ?? 1024, client.state.inodes.size / 4);
    await client.snapshotIfDue(records);
    if (client.replica.root.word !== before)
      this.#options.onEvent?.({ type: 'snapshot', index: client.replica.root.index });
  }
}
