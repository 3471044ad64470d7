/** Why the command is to end before it is done. */
export interface Interruption {
  /** A signal of the system, or the reader of what it prints went away. */
  readonly cause: NodeJS.Signals | 'EPIPE';
  readonly exitCode: number;
}

const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** A terminal signals everybody, and npm passes on to its script what that got already. Milliseconds. */
const echo = 1000;

/** Turns signals into an abort, so that every command can clean up behind itself. A second Ctrl-C does not wait. */
export class Interrupt {
  readonly #controller = new AbortController();
  #signalled: number | undefined;

  constructor() {
    for (const [name, number] of Object.entries(numbers)) {
      process.on(name, () => {
        const again = this.#signalled !== undefined && performance.now() - this.#signalled > echo;
        if (again) process.exit(128 + number);
        this.#signalled ??= performance.now();
        this.#end({ cause: name as NodeJS.Signals, exitCode: 128 + number });
      });
    }
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      // Who reads no more has seen enough: `exomem ls | head`.
      this.#end({ cause: 'EPIPE', exitCode: 0 });
    });
    // What nobody reads need not be said; a server goes on all the same.
    process.stderr.on('error', () => undefined);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }
  get reason(): Interruption | undefined {
    return this.signal.aborted ? (this.signal.reason as Interruption) : undefined;
  }

  /** Resolves when the command is to end. */
  wait(): Promise<void> {
    return new Promise<void>((resolve) => {
      if (this.signal.aborted) resolve();
      else this.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #end(reason: Interruption): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
  }
}
