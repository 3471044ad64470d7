import type { Awaitable } from './transport.js';

/**
 * Keeps the order of a session's calls where one of them takes several round trips: those behind it are sent when it is
 * over. Otherwise a call is sent at once, and nothing is queued.
 */
export class Turns {
  /** Over when everything that was called so far has been sent. */
  #ahead: Promise<void> | undefined;
  /** Set by what was sent just now, where later calls must wait for it. */
  #long: Promise<unknown> | undefined;

  /** Nothing is waited for: a call may be sent without {@link send}. */
  get free(): boolean {
    return this.#ahead === undefined;
  }

  /** For what is being sent: it goes on until `work` has ended. */
  prolong(work: Promise<unknown>): void {
    this.#long = work;
  }

  /** Sends a call in its turn. `check` runs when the turn has come, if it had to wait. */
  send<T>(send: () => Awaitable<T>, check: () => void): Awaitable<T> {
    if (this.#ahead === undefined) {
      const { answer, long } = this.#now(send);
      if (long !== undefined) this.#hold(long);
      return answer;
    }
    const sent = this.#ahead.then(() => {
      check();
      return this.#now(send);
    });
    this.#hold(sent.then(({ long }) => long));
    return sent.then(({ answer }) => answer);
  }

  #now<T>(send: () => Awaitable<T>): { answer: Awaitable<T>; long: Promise<unknown> | undefined } {
    const answer = send();
    const long = this.#long;
    this.#long = undefined;
    return { answer, long };
  }

  #hold(work: Promise<unknown>): void {
    const ended: Promise<void> = work.then(
      () => undefined,
      () => undefined,
    );
    this.#ahead = ended;
    ended.then(() => {
      if (this.#ahead === ended) this.#ahead = undefined;
    });
  }
}
