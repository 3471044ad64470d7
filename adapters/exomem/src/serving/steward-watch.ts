import { type Client, isExomemError, Steward, type StewardEvent } from '@exomem/core';
import { surroundings } from '../surroundings.js';

/** Milliseconds between two rounds of the steward. */
const interval = 250;

/** What is told of the steward: what it did, and that there is none for now. */
export type StewardNews = StewardEvent | { readonly type: 'absent'; readonly error: unknown };

/**
 * Sees to it that a region has a steward for as long as it is served: one that was declared dead, while the machine
 * slept say, is followed by another.
 */
export class StewardWatch implements AsyncDisposable {
  readonly #join: () => Promise<Client>;
  readonly #tell: (news: StewardNews) => void;
  readonly #stop = new AbortController();
  #life: Promise<void> | undefined;
  /** The steward's place in the region; undefined while there is none. */
  client: Client | undefined;

  /**
   * @param retry milliseconds until the next attempt to have one
   * @param clean bytes of free pages that it zeroes in a second at most; undefined is for it to say
   */
  constructor(
    join: () => Promise<Client>,
    readonly retry: number,
    tell: (news: StewardNews) => void,
    readonly clean?: number,
  ) {
    this.#join = join;
    this.#tell = tell;
  }

  /** Returns when there is a steward, or when it is known that there is none for now. */
  start(): Promise<void> {
    return new Promise<void>((ready) => {
      this.#life = this.#live(ready);
    });
  }

  async #live(ready: () => void): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await using client = await this.#join();
        this.client = client;
        ready();
        await this.#serve(client);
      } catch (error) {
        if (!signal.aborted) this.#tell({ type: 'absent', error });
      } finally {
        this.client = undefined;
        ready();
      }
      if (!signal.aborted) await surroundings.sleep(this.retry, signal);
    }
  }

  async #serve(client: Client): Promise<void> {
    const { signal } = this.#stop;
    if (client.superblock.configured) {
      // It grants groups, and there is nothing that it could take in from others.
      for (; !signal.aborted; await surroundings.sleep(interval, signal)) client.check();
      return;
    }
    const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    let fence: () => void;
    const fenced = new Promise<void>((resolve) => {
      fence = resolve;
    });
    const clean = this.clean === undefined ? undefined : (this.clean * interval) / 1000;
    const steward = new Steward(client, {
      interval,
      clean,
      onEvent: (event) => {
        this.#tell(event);
        if (event.type === 'failed' && isExomemError(event.error, 'Fenced')) fence();
      },
    });
    steward.start();
    await Promise.race([over, fenced]);
    await steward.stop();
  }

  /** The steward hands over what it holds and leaves. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#life;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
