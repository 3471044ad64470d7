import { memberState } from '../region/words.js';
import type { Client } from './client.js';
import type { ClientEvent } from './events.js';

interface Seen {
  readonly incarnation: number;
  readonly label: string;
  word: bigint;
  since: number;
  silent: boolean;
}

/** Looks at the tables of a region for as long as somebody listens to a client's events, and tells what changed. */
export class Watch {
  readonly #client: Client;
  readonly #tell: (event: ClientEvent) => void;
  #listeners = 0;
  #stop: AbortController | undefined;
  readonly #members = new Map<number, Seen>();
  #usage: Map<number, number> | undefined;
  #pressed = false;

  constructor(client: Client, tell: (event: ClientEvent) => void) {
    this.#client = client;
    this.#tell = tell;
  }

  enter(): void {
    if (this.#listeners++ > 0) return;
    this.#stop = new AbortController();
    void this.#watch(this.#stop.signal);
  }
  leave(): void {
    if (--this.#listeners === 0) this.end();
  }
  end(): void {
    this.#stop?.abort();
    this.#stop = undefined;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let first = true;
    while (!signal.aborted) {
      try {
        await this.#look(first);
        first = false;
      } catch {
        // The client's own calls tell what is wrong with the connection.
      }
      await this.#client.surroundings
        .sleep(Math.min(1000, this.#client.superblock.lease / 3), signal)
        .catch(() => undefined);
    }
  }

  async #look(first: boolean): Promise<void> {
    const now = this.#client.surroundings.now();
    const { members } = await this.#client.members();
    for (const { slot, state, incarnation, label, word } of members) {
      const seen = this.#members.get(slot);
      const there = state === memberState.active;
      if (seen !== undefined && (!there || seen.incarnation !== incarnation)) {
        this.#members.delete(slot);
        this.#tell({ type: 'left', slot, incarnation: seen.incarnation, label: seen.label });
      }
      if (!there) continue;
      const known = this.#members.get(slot);
      if (known === undefined) {
        this.#members.set(slot, { incarnation, label, word, since: now, silent: false });
        if (!first) this.#tell({ type: 'joined', slot, incarnation, label });
      } else if (known.word !== word) {
        known.word = word;
        known.since = now;
        known.silent = false;
      } else if (!known.silent && now - known.since > this.#client.superblock.lease) {
        known.silent = true;
        this.#tell({ type: 'silent', slot, incarnation, label, milliseconds: now - known.since });
      }
    }
    const usage = await this.#client.usage();
    const held = new Map<number, number>();
    for (const [principal, own] of usage.principals) held.set(principal, own.held + own.withheld);
    const before = this.#usage;
    this.#usage = held;
    if (before !== undefined) {
      for (const principal of new Set([...before.keys(), ...held.keys()])) {
        const was = before.get(principal) ?? 0;
        const is = held.get(principal) ?? 0;
        if (was !== is) this.#tell({ type: 'usage', principal, before: was, after: is });
      }
    }
    const pressed = usage.free < usage.total / 20;
    if (pressed && !this.#pressed) this.#tell({ type: 'pressure', free: usage.free, total: usage.total });
    this.#pressed = pressed;
    await this.#client.refresh();
  }
}
