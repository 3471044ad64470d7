import { isExomemError } from '../errors.js';
import { collectLeavers, fenceMember, type MemberLine, readMembers, takeIn } from '../protocol/membership.js';
import { memberState } from '../region/words.js';
import type { Client } from './client.js';

export interface StewardOptions {
  /** Milliseconds between two rounds. Default 250. */
  readonly interval?: number;
  /** Cut a snapshot when so many records have come since the last one. Default 1,024. */
  readonly records?: number;
  /** Hears of what it did and of what failed. */
  readonly onEvent?: (event: StewardEvent) => void;
}

export type StewardEvent =
  | { readonly type: 'received'; readonly principals: number }
  | { readonly type: 'fenced'; readonly member: MemberLine }
  | { readonly type: 'snapshot'; readonly index: number }
  | { readonly type: 'failed'; readonly error: unknown };

/**
 * The duties of a region's steward, a client like any other: it takes in what leaving members hand over, frees their
 * slots, notices who is silent, and cuts snapshots so that newcomers have little to read. Without one everything works,
 * only later.
 */
export class Steward {
  readonly #client: Client;
  readonly #options: StewardOptions;
  readonly #stop = new AbortController();
  readonly #words = new Map<number, { word: bigint; since: number }>();
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
    const lines = await client.run(readMembers(client.geometry));
    await this.#watch(lines);
    if (lines.some(({ state, left }) => state === memberState.fenced && left)) {
      await client.run(takeIn(client.geometry, client.member));
    }
    const received = await client.receive();
    if (received > 0) this.#options.onEvent?.({ type: 'received', principals: received });
    if (lines.some(({ state }) => state === memberState.fenced)) await client.run(collectLeavers(client.geometry));
    const before = client.replica.root.word;
    const records = Math.max(this.#options.records ?? 1024, client.state.inodes.size / 4);
    await client.snapshotIfDue(records);
    if (client.replica.root.word !== before)
      this.#options.onEvent?.({ type: 'snapshot', index: client.replica.root.index });
  }

  /** Who has not moved for the wait of the superblock, by this client's own clock, is declared dead and shut out. */
  async #watch(lines: readonly MemberLine[]): Promise<void> {
    const client = this.#client;
    // Without a way to shut it out, a member that only slept could still write where others do.
    if (!client.session.capabilities.revoke) return;
    const now = client.surroundings.now();
    for (const line of lines) {
      const watched = line.state === memberState.active || line.state === memberState.joining;
      const seen = this.#words.get(line.slot);
      if (!watched || line.slot === client.member.slot) this.#words.delete(line.slot);
      else if (seen === undefined || seen.word !== line.word)
        this.#words.set(line.slot, { word: line.word, since: now });
      else if (now - seen.since >= client.superblock.wait) {
        this.#words.delete(line.slot);
        if (await client.run(fenceMember(client.geometry, line)))
          this.#options.onEvent?.({ type: 'fenced', member: line });
      }
    }
  }
}
