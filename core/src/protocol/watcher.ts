/** Milliseconds between two looks, at most. */
const longest = 25;

/**
 * How long a word has stood still, by the clock of who looks at it. A look may take long, or the client be stopped in the middle
 * of it: what is seen counts from the end of the first look on, and up to the beginning of the last.
 */
export class Watcher {
  readonly #milliseconds: number;
  #since: number | undefined;
  #delay = 0.5;

  constructor(milliseconds: number) {
    this.#milliseconds = milliseconds;
  }

  /** The word was as before, in a look from `before` to `after`. Whether that has been so for long enough. */
  saw(before: number, after: number): boolean {
    this.#since ??= after;
    return before - this.#since >= this.#milliseconds;
  }

  /** Milliseconds until the next look: soon at first, since a lock is held for a few round trips as a rule. */
  get delay(): number {
    this.#delay = Math.min(longest, this.#delay * 2);
    return this.#delay;
  }
}
