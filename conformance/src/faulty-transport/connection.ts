import { setMaxListeners } from 'node:events';

/** A call on its way to the appliance. */
export interface Parcel {
  /** Turns that pass before it arrives. */
  turns: number;
  /** Lets it take effect, as far as its fate allows; answers when those behind it may arrive. */
  deliver(): void | Promise<void>;
  /** Its connection is lost: what became of it nobody knows. */
  lose(): void;
}

/**
 * A connection inside one process: calls arrive in order, on a later turn of the event loop, and answers travel for a turn as
 * well. When it is lost, what has not arrived yet may still arrive, until the epoch is over.
 */
export class Connection {
  mode: 'passing' | 'held' | 'vanishing' = 'passing';
  /** The client has no use for it any more. */
  lost = false;
  /** A new epoch begins: nothing arrives any more. */
  over = false;
  /** Aborted when whoever waited for what is still under way waits no more. */
  readonly abandoned = new AbortController();
  /** From `slow` on. */
  bytesPerTurn = Number.POSITIVE_INFINITY;
  readonly #queue: Parcel[] = [];
  /** Sent, and not answered. */
  readonly #open = new Set<Parcel>();
  #running = false;

  constructor() {
    setMaxListeners(0, this.abandoned.signal);
  }

  get inFlight(): number {
    return this.#open.size;
  }

  send(parcel: Parcel): void {
    this.#open.add(parcel);
    if (this.mode === 'vanishing') return;
    this.#queue.push(parcel);
    if (!this.#running) void this.#run();
  }

  /** An answer travels back; `take` runs when it is there, unless the connection was lost meanwhile. */
  answer(parcel: Parcel, take: () => void): void {
    setImmediate(() => {
      if (this.lost || this.mode === 'vanishing' || !this.#open.delete(parcel)) return;
      take();
    });
  }

  /** A call that fails before it gets anywhere is answered like any other. */
  lose(keep: 'nothing' | 'everything' | 'half'): void {
    if (this.lost) return;
    this.lost = true;
    if (this.mode === 'passing') {
      if (keep === 'half') this.#queue.length = Math.floor(this.#queue.length / 2);
      else if (keep === 'nothing') this.#queue.length = 0;
    }
    const open = [...this.#open];
    this.#open.clear();
    for (const parcel of open) parcel.lose();
  }

  /** Delivers what was held. */
  async release(): Promise<void> {
    this.mode = 'passing';
    if (!this.#running) await this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    await turn();
    for (;;) {
      if (this.over || this.mode !== 'passing') break;
      const parcel = this.#queue[0];
      if (parcel === undefined) break;
      if (parcel.turns > 0) {
        parcel.turns -= 1;
        await turn();
        continue;
      }
      this.#queue.shift();
      const more = parcel.deliver();
      if (more !== undefined) await more;
    }
    this.#running = false;
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
