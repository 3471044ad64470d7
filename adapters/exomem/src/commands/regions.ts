import type { Client } from '@exomem/core';
import type { Context } from '../command/context.js';
import { exitCodeOf } from '../command/exit-code.js';
import { describe } from '../command/failure.js';
import type { Location } from '../command/location.js';
import { Scope } from '../composition/scope.js';
import type { OpenOptions } from '../open.js';

/** The regions that a command's arguments lie in, each joined once. */
export class Regions implements AsyncDisposable {
  readonly #context: Context;
  readonly #options: OpenOptions;
  readonly #clients = new Map<string, Client>();
  readonly #scope = new Scope();

  constructor(context: Context, options: OpenOptions = {}) {
    this.#context = context;
    this.#options = options;
  }

  async client(url: string): Promise<Client> {
    let client = this.#clients.get(url);
    if (client === undefined) {
      client = this.#scope.use(await this.#context.join(url, this.#options));
      this.#clients.set(url, client);
    }
    return client;
  }

  /**
   * Does something to each of several files. What fails with one keeps the others from nothing; it is told, and the
   * command ends with the code of the first failure.
   */
  async each(
    locations: readonly string[],
    act: (client: Client, location: Location) => Promise<void>,
  ): Promise<number | undefined> {
    const parsed = locations.map((text) => this.#context.location(text));
    let code: number | undefined;
    for (const location of parsed) {
      this.#context.signal.throwIfAborted();
      const client = await this.client(location.url);
      try {
        await act(client, location);
      } catch (error) {
        if (this.#context.signal.aborted || parsed.length === 1) throw error;
        this.#context.output.note(describe(error));
        code ??= exitCodeOf(error);
      }
    }
    return code;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}
