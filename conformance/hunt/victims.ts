import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Fact } from './operation.js';
import type { Order } from './victim.js';

/** A process that is to die, seen from the hunt. */
export class VictimProcess {
  readonly told: Fact[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #heard: (() => void)[] = [];
  #over = false;

  constructor(module: string) {
    const child = fork(fileURLToPath(new URL(module, import.meta.url)), {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.#child = child;
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.told.push(JSON.parse(line) as Fact);
      this.#wake();
    });
    // `close`: it has ended, and everything that it told has been read.
    this.#ended = new Promise((resolve) => {
      child.once('close', () => {
        this.#over = true;
        this.#wake();
        resolve();
      });
    });
  }

  #wake(): void {
    for (const heard of this.#heard.splice(0)) heard();
  }

  /** Waits for a fact of that kind, behind the first so many of all. False: it died before. */
  async hears(note: string, from = 0): Promise<boolean> {
    for (;;) {
      if (this.told.some((fact, at) => at >= from && fact.note === note)) return true;
      if (this.#over) return false;
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  send(message: Order | object): void {
    // It may be dead already.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
  get pid(): number {
    return this.#child.pid!;
  }
  /** Why it ended: a signal, or an exit code. */
  get end(): string | number | null {
    return this.#child.signalCode ?? this.#child.exitCode;
  }
  ended(): Promise<void> {
    return this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** Starts processes ahead of time, so that a case does not wait for one. */
export class Nursery implements AsyncDisposable {
  readonly #module: string;
  readonly #ahead: number;
  readonly #spare: VictimProcess[] = [];
  readonly #all = new Set<VictimProcess>();

  constructor(module: string, ahead = 2) {
    this.#module = module;
    this.#ahead = ahead;
  }

  /** One that is up and waits for its order. */
  async take(): Promise<VictimProcess> {
    while (this.#spare.length <= this.#ahead) {
      const victim = new VictimProcess(this.#module);
      this.#all.add(victim);
      void victim.ended().then(() => this.#all.delete(victim));
      this.#spare.push(victim);
    }
    const victim = this.#spare.shift()!;
    if (!(await victim.hears('up'))) throw new Error(`a process did not come up: ${victim.end}`);
    return victim;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((victim) => victim.kill()));
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
