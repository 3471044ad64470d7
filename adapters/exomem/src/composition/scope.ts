/**
 * What must end, in the reverse order of its beginning. Everything is closed, whatever else fails to.
 *
 * The container keeps no lifetimes: its own `dispose()` knows no order and stops at the first failure.
 */
export class Scope implements AsyncDisposable {
  readonly #ends: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  /** Calls `end` when the scope is closed. */
  defer(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** Closes `resource` when the scope is closed. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.#ends.push(() => resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Idempotent. @throws the one failure, or an `AggregateError` of several. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const errors: unknown[] = [];
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      try {
        await end();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} parts did not end well`);
  }
}
