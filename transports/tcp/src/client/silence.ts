/** What the silence of an appliance is judged by, and what follows from it. */
export interface Watched {
  /** Whether the appliance owes an answer. */
  readonly inFlight: boolean;
  /** It owes one, and not a byte came for as long as is allowed. */
  lost(): void;
  /** Nothing was asked for so long that it should hear of us. */
  ping(): void;
}

/** One coarse timer for a connection. It does not keep the process alive. */
export class Silence {
  /** A byte came, or the first request is sent, since the last look. */
  heard = true;
  readonly #timer: NodeJS.Timeout;
  readonly #watched: Watched;
  readonly #silentLooks: number;
  readonly #idleLooks: number;
  /** Looks that found an answer owed and not a byte. */
  #silent = 0;
  /** Looks that found nothing owed. */
  #idle = 0;

  /**
   * @param silence milliseconds without a byte, while an answer is owed, until the connection counts as lost
   * @param idle milliseconds after which the appliance ends a connection that says nothing; 0 for never
   */
  constructor(silence: number, idle: number, watched: Watched) {
    const quiet = idle === 0 ? silence : Math.min(silence, idle / 2);
    const period = Math.max(1, Math.min(silence, quiet) / 8);
    this.#watched = watched;
    // The first look that finds nothing may come right after the last byte.
    this.#silentLooks = Math.max(1, Math.floor(silence / period) - 1);
    this.#idleLooks = Math.max(1, Math.floor(quiet / period));
    this.#timer = setInterval(() => this.#look(), period);
    this.#timer.unref();
  }

  /** Something is asked for after nothing was: the silence begins now. */
  begin(): void {
    this.heard = true;
    this.#silent = 0;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { heard } = this;
    this.heard = false;
    if (heard) this.#silent = 0;
    if (!this.#watched.inFlight) {
      this.#idle += 1;
      if (this.#idle < this.#idleLooks) return;
      this.#idle = 0;
      this.#watched.ping();
      return;
    }
    this.#idle = 0;
    if (heard) return;
    // Looks are counted and not time: a stall of this process is no silence of the other.
    this.#silent += 1;
    if (this.#silent >= this.#silentLooks) this.#watched.lost();
  }
}
