import type { Draft, NamespaceReplica } from '../namespace/replica.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Surroundings } from '../protocol/runner.js';
import type { ClientEvent } from './events.js';
import { Lock } from './lock.js';
import type { MainLane } from './main-lane.js';

/** Milliseconds until a snapshot that failed is tried again. */
const snapshotAgain = 1000;

/** What the log needs of its client. */
export interface Reader {
  readonly surroundings: Surroundings;
  tell(event: ClientEvent): void;
  /** Something failed that nobody waits for. */
  missed(error: unknown): void;
}

/** How a client follows the log and writes to it: one protocol at a time. */
export class Log {
  readonly replica: NamespaceReplica;
  readonly #lane: MainLane;
  readonly #reader: Reader;
  readonly #lock = new Lock();
  #refreshing: Promise<void> | undefined;
  #refreshNext: Promise<void> | undefined;
  #snapshotAfter = 0;

  constructor(replica: NamespaceReplica, lane: MainLane, reader: Reader) {
    this.replica = replica;
    this.#lane = lane;
    this.#reader = reader;
  }

  /** All that is in it, for who is about to become a member. */
  begin(): Promise<void> {
    return this.#lock.run(async () => {
      await this.#lane.proceed(this.replica.load());
      await this.#lane.proceed(this.replica.catchUp());
    });
  }

  run<T>(protocol: Protocol<T>): Promise<T> {
    return this.#lock.run(() => this.#lane.run(protocol));
  }

  /** Catches up: what was acknowledged anywhere before this call is seen after it. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) {
      const refreshing = this.#catchUp().finally(() => {
        this.#refreshing = undefined;
      });
      this.#refreshing = refreshing;
      return refreshing;
    }
    // One is under way and may have looked already: the next one serves everybody who came since.
    this.#refreshNext ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#refreshNext = undefined;
        return this.refresh();
      });
    return this.#refreshNext;
  }

  async #catchUp(): Promise<void> {
    await this.run(this.replica.catchUp());
  }

  /** See {@link NamespaceReplica.append}. */
  append(draft: Draft): Promise<number> {
    return this.#lock.run(async () => {
      const index = await this.#lane.run(this.replica.append(draft));
      const { now } = this.#reader.surroundings;
      if (this.replica.snapshotDue() && now() >= this.#snapshotAfter) {
        // The append has happened: that there is no room for a snapshot now is not its failure.
        await this.#lane.run(this.replica.makeRoom()).catch((error) => {
          this.#snapshotAfter = now() + snapshotAgain;
          this.#reader.missed(error);
        });
      }
      return index;
    });
  }

  /** Cuts a snapshot of the namespace, which truncates the log. */
  async snapshot(): Promise<void> {
    await this.run(this.replica.snapshot());
    this.#reader.tell({ type: 'snapshot', index: this.replica.root.index });
  }
  /** A snapshot if `records` have come since the last one. */
  async snapshotIfDue(records: number): Promise<void> {
    if (!this.replica.snapshotDue(records)) return;
    await this.run(this.replica.load());
    if (this.replica.snapshotDue(records)) await this.snapshot();
  }
}
