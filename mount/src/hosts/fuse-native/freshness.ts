/** Milliseconds between two requests of one system call, at most. */
const together = 2;

/**
 * Which paths were looked up just now, so that a system call asks the region once and not for each of its requests: the
 * kernel looks up the directories of a path one by one, a name before it opens it, and libfuse a name after it was made.
 */
export class Freshness {
  readonly #seen = new Map<string, number>();

  /** What is known of this path is as new as the system call that is under way. */
  saw(path: string): void {
    // In the order of time, so that what nobody came for is dropped from the front.
    this.#seen.delete(path);
    const now = performance.now();
    for (const [old, since] of this.#seen) {
      if (now - since <= together) break;
      this.#seen.delete(old);
    }
    this.#seen.set(path, now);
  }

  /** Whether that is still so; true once. */
  take(path: string): boolean {
    const since = this.#seen.get(path);
    if (since === undefined) return false;
    this.#seen.delete(path);
    return performance.now() - since <= together;
  }
}
