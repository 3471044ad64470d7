import { type ExomemError, isExomemError } from '../errors.js';
import { interrupted } from '../policy/resolve.js';
import type { Surroundings } from '../protocol/runner.js';
import type { Wanted } from '../region/words.js';
import type { ClientEvent } from './events.js';
import type { Fate } from './fate.js';
import type { Heartbeat, Pulse } from './heartbeat.js';

/** How often who waits for a lease tries again over a connection that breaks. */
const attempts = 5;
/** Milliseconds between two attempts to take the word back from a heartbeat that is lost. */
const reviveInterval = 200;
/** Milliseconds between two beats of a member that others wait for. */
const pressedInterval = 20;

/** What a life is the life of. */
export interface Body {
  readonly surroundings: Surroundings;
  tell(event: ClientEvent): void;
  /** Its duties after a beat; never two at once. */
  attend(behind: boolean): Promise<void>;
  /** Somebody wants something of it. */
  wish(wanted: Wanted): void;
  /** Somebody will soon want something again, and waits for it to be heard. */
  pressed(): boolean;
  /** What to say from now on, and what is lost: it is over, as the error says. */
  mourn(error: ExomemError): ExomemError & { readonly fate?: Fate };
  /** Takes the member's word back from a heartbeat that is no more. */
  revive(): Promise<Heartbeat>;
}

/** The life of a member: its heartbeats, the lease that they bring, and how it learns that it is over. */
export class Life {
  readonly #body: Body;
  readonly #stop = new AbortController();
  #heartbeat: Heartbeat | undefined;
  /** Another heartbeat takes over just now. */
  #changing: Promise<void> | undefined;
  #course: Promise<void> | undefined;
  #duties: Promise<void> | undefined;
  #retired = false;
  #connected = true;
  #fenced: (ExomemError & { readonly fate?: Fate }) | undefined;

  constructor(body: Body) {
    this.#body = body;
  }

  /** From here on it beats. */
  begin(heartbeat: Heartbeat): void {
    this.#heartbeat = heartbeat;
    this.#course = this.#run();
  }

  /** The heartbeat so far ends, and another goes on in its place. */
  pass(to: (leaseEnd: number) => Heartbeat): Promise<void> {
    const before = this.#heartbeat!;
    return this.#change(async () => {
      await before.end();
      return to(before.leaseEnd);
    });
  }

  #change(make: () => Promise<Heartbeat>): Promise<void> {
    this.#changing ??= make()
      .then((heartbeat) => {
        this.#heartbeat = heartbeat;
      })
      .finally(() => {
        this.#changing = undefined;
      });
    return this.#changing;
  }

  async #revive({ lost }: Heartbeat): Promise<void> {
    if (this.#changing === undefined) this.#body.tell({ type: 'inline', reason: lost });
    await this.#change(() => this.#body.revive());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#fenced === undefined) {
      await this.#changing?.catch(() => undefined);
      const heartbeat = this.#heartbeat!;
      try {
        const pulse = await (this.#body.pressed() ? this.#soon(heartbeat) : heartbeat.next());
        if (pulse !== undefined) this.#felt(pulse);
      } catch (error) {
        this.missed(error);
        if (heartbeat.lost === undefined || heartbeat !== this.#heartbeat) continue;
        await this.#revive(heartbeat).catch((failure) => {
          this.missed(failure);
          return this.#body.surroundings.sleep(reviveInterval, signal);
        });
      }
    }
    await this.#duties;
  }

  /** A beat before its time. */
  async #soon(heartbeat: Heartbeat): Promise<Pulse | undefined> {
    const { signal } = this.#stop;
    await this.#body.surroundings.sleep(pressedInterval, signal);
    return signal.aborted ? undefined : heartbeat.beat();
  }

  #felt({ behind, wanted }: Pulse): void {
    for (const wish of wanted) this.#body.wish(wish);
    if (!this.#connected) {
      this.#connected = true;
      this.#body.tell({ type: 'reconnected' });
    }
    // A beat must not wait for the duties: a snapshot may take longer than the lease.
    if (this.#retired) return;
    this.#duties ??= this.#body.attend(behind).finally(() => {
      this.#duties = undefined;
    });
  }

  /** A beat that begins now, and publishes where the client stands. @throws `Fenced`, and what it failed with. */
  async beat(): Promise<void> {
    for (;;) {
      await this.#changing;
      const heartbeat = this.#heartbeat!;
      try {
        const { wanted } = await heartbeat.beat();
        // A wish is told once: whichever beat hears it keeps it.
        for (const wish of wanted) this.#body.wish(wish);
        return;
      } catch (error) {
        if (heartbeat.lost === undefined || this.#stop.signal.aborted) throw this.learn(error);
        if (heartbeat === this.#heartbeat) await this.#revive(heartbeat);
      }
    }
  }

  // ---- the lease

  /** Waits for a lease, without which no byte of data may be touched. Undefined: there is one. @throws `Fenced` */
  lease(): Promise<void> | undefined {
    if (this.#body.surroundings.now() < this.#heartbeat!.leaseEnd) return undefined;
    return this.#renew();
  }

  async #renew(): Promise<void> {
    const { now, sleep } = this.#body.surroundings;
    for (let attempt = 0; now() >= this.#heartbeat!.leaseEnd; attempt++) {
      try {
        await this.beat();
      } catch (error) {
        if (!interrupted(error) || attempt >= attempts) throw error;
        await sleep(10 * 4 ** attempt);
      }
    }
  }

  // ---- the end of it

  /** @throws `Fenced` once another client has declared this one dead. */
  check(): void {
    if (this.#fenced !== undefined) throw this.#fenced;
  }
  /** What became of what the client had; undefined as long as it lives. */
  get fate(): Fate | undefined {
    return this.#fenced?.fate;
  }
  get over(): boolean {
    return this.#fenced !== undefined;
  }

  /** Takes note of an error that somebody is about to hear of; answers what to throw. */
  learn(error: unknown): unknown {
    if (!isExomemError(error, 'Fenced')) return error;
    if (this.#fenced === undefined) {
      this.#fenced = this.#body.mourn(error);
      this.#body.tell({ type: 'fenced', fate: this.#fenced.fate });
    }
    return this.#fenced;
  }

  /** Something in the background failed. What matters of it comes back with the next call that somebody waits for. */
  missed(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.learn(error);
    if (interrupted(error) && this.#connected) {
      this.#connected = false;
      this.#body.tell({ type: 'disconnected' });
    }
  }

  /** Its duties are done for the last time. It beats on. */
  async retire(): Promise<void> {
    this.#retired = true;
    await this.#duties;
  }

  /**
   * Its last beat is over, and the member's word is the caller's, unless the region is `gone`.
   * @throws if nobody can tell what that is
   */
  async end(gone = false): Promise<void> {
    this.#retired = true;
    this.#stop.abort();
    await this.#changing?.catch(() => undefined);
    const heartbeat = this.#heartbeat;
    if (heartbeat === undefined) return;
    const known = await heartbeat.end();
    await this.#course;
    if (!known && !gone && this.#fenced === undefined) await (await this.#body.revive()).end();
  }
}
