import { Worker } from 'node:worker_threads';
import type { Terms } from './messages.js';

/** Who has the thread beat for it. */
export interface Resident {
  /** The thread is no more. */
  lose(reason: unknown): void;
}

/**
 * The one thread of this process that beats, for all its clients: there from the first that comes to the last that goes.
 * It keeps no process alive, and ends with it.
 */
export class ProcessThread {
  static #current: ProcessThread | undefined;
  readonly #residents = new Set<Resident>();
  readonly #worker: Worker;

  /** @throws what keeps a thread from being started. */
  static enter(resident: Resident, terms: Terms): ProcessThread {
    ProcessThread.#current ??= new ProcessThread();
    const thread = ProcessThread.#current;
    thread.#residents.add(resident);
    thread.#worker.postMessage(terms, [terms.port]);
    return thread;
  }

  private constructor() {
    // Options of the program are none of the thread's: with some of them (--eval) it would not start.
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { execArgv: [], name: 'exomem heartbeat' });
    this.#worker.on('error', (error) => this.#end(error));
    this.#worker.on('exit', (code) => this.#end(new Error(`the thread that beats ended with ${code}`)));
    this.#worker.unref();
  }

  #end(reason: unknown): void {
    if (ProcessThread.#current === this) ProcessThread.#current = undefined;
    const residents = [...this.#residents];
    this.#residents.clear();
    for (const resident of residents) resident.lose(reason);
  }

  /** The last one ends it. */
  async leave(resident: Resident): Promise<void> {
    if (!this.#residents.delete(resident) || this.#residents.size > 0) return;
    if (ProcessThread.#current === this) ProcessThread.#current = undefined;
    await this.#worker.terminate();
  }
}
