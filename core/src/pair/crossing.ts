import { ExomemError, isExomemError } from '../errors.js';
import type { Awaitable } from '../transport/transport.js';
import type { Wait } from '../transport/wait.js';

/** Which of two sessions. */
export type Half = 0 | 1;

/**
 * Keeps the order of calls over two sessions, each of which keeps its own: a call to one is sent when all that were made
 * before it to the other have been answered. What was called and not sent yet when one of them was lost is never sent.
 */
export class Crossing {
  readonly #flying = [0, 0];
  readonly #landed: (() => void)[][] = [[], []];
  /** Over when all that is queued has been sent. */
  #queue: Promise<void> | undefined;
  #lost: unknown;
  #epoch = 0;
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  /** Both are whole again: a new epoch begins. */
  restore(): void {
    this.#lost = undefined;
    this.#epoch++;
  }

  send<T>(half: Half, call: () => Awaitable<T>, wait: Wait | undefined): Awaitable<T> {
    if (this.#queue === undefined && this.#flying[1 - half] === 0) return this.#launch(half, call, wait);
    const sent = this.#behind(wait, async () => {
      await this.#empty((1 - half) as Half);
      return () => ({ answer: this.#launch(half, call, wait) });
    });
    this.#hold(sent);
    return sent.then(({ answer }) => answer);
  }

  /** What is no step of one half alone: nothing else is under way meanwhile. */
  alone(call: () => Awaitable<void>, wait: Wait | undefined): Awaitable<void> {
    const run = (): Awaitable<void> => this.#launch(0, call, wait);
    if (this.#queue === undefined && this.#flying[0] === 0 && this.#flying[1] === 0) {
      const answer = run();
      if (answer instanceof Promise) this.#hold(answer);
      return answer;
    }
    const done = this.#behind(wait, async () => {
      await this.#empty(0);
      await this.#empty(1);
      return () => ({ answer: run() });
    }).then(({ answer }) => answer);
    this.#hold(done);
    return done;
  }

  /** When its turn has come, and `ready`, in the epoch in which it was called. */
  async #behind<T>(wait: Wait | undefined, ready: () => Promise<() => T>): Promise<T> {
    const epoch = this.#epoch;
    await this.#queue;
    const launch = await ready();
    if (wait?.abandoned) throw new ExomemError('Aborted', 'given up before it was sent', { where: this.#where });
    if (epoch !== this.#epoch) throw this.#disconnected();
    return launch();
  }

  #launch<T>(half: Half, call: () => Awaitable<T>, wait: Wait | undefined): Awaitable<T> {
    if (this.#lost !== undefined) return Promise.reject(this.#disconnected());
    let answer: Awaitable<T>;
    try {
      answer = call();
    } catch (error) {
      this.#note(error, wait);
      throw error;
    }
    if (!(answer instanceof Promise)) return answer;
    this.#flying[half]!++;
    const over = (): void => {
      if (--this.#flying[half]! === 0) for (const wake of this.#landed[half]!.splice(0)) wake();
    };
    answer.then(over, (error) => {
      this.#note(error, wait);
      over();
    });
    return answer;
  }

  /** If one of both is lost, both are: what was called later must not take effect without what was called before. */
  #note(error: unknown, wait: Wait | undefined): void {
    if (wait?.abandoned) return;
    if (isExomemError(error, 'Disconnected') || isExomemError(error, 'OutcomeUnknown')) this.#lost ??= error;
  }

  async #empty(half: Half): Promise<void> {
    while (this.#flying[half]! > 0) await new Promise<void>((resolve) => this.#landed[half]!.push(resolve));
  }

  #hold(work: Promise<unknown>): void {
    const ended: Promise<void> = work.then(
      () => undefined,
      () => undefined,
    );
    this.#queue = ended;
    ended.then(() => {
      if (this.#queue === ended) this.#queue = undefined;
    });
  }

  #disconnected(): ExomemError {
    return new ExomemError('Disconnected', 'one of the two regions was lost', {
      where: this.#where,
      cause: this.#lost,
    });
  }
}
