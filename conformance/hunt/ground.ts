import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Ask } from './appliance.js';

export interface GroundOptions {
  /** Milliseconds that a heartbeat lasts in its regions; the wait is 1.3 of it. */
  readonly lease: number;
  /** The policy that they are formatted for. Default `atomic`. */
  readonly policy?: string | undefined;
  /** The metadata of its regions lie in regions of their own. */
  readonly apart?: boolean | undefined;
}

/** Where the hunt takes place: the process that has the memory. */
export class Ground implements AsyncDisposable {
  readonly lease: number;
  readonly #policy: string | undefined;
  readonly #apart: boolean | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  #asked = 0;
  #end: string | undefined;

  private constructor(child: ChildProcess, { lease, policy, apart }: GroundOptions) {
    this.#child = child;
    this.#policy = policy;
    this.#apart = apart;
    this.lease = lease;
    child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(`the appliance: ${answer.error}`));
    });
    child.once('exit', (code, signal) => {
      this.#end = String(signal ?? code);
      for (const { reject } of this.#waiting.values()) reject(new Error(`the appliance ended: ${signal ?? code}`));
    });
  }

  static async open(options: GroundOptions): Promise<Ground> {
    const child = fork(fileURLToPath(new URL('./appliance.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(child, 'message');
    return new Ground(child, options);
  }

  /** A new region of `size` bytes, known to be zero. */
  region(size: number, steward: boolean, policy?: string, lease = this.lease): Promise<Answer> {
    return this.#ask({
      id: ++this.#asked,
      ask: 'open',
      size,
      lease,
      steward,
      policy: policy ?? this.#policy,
      apart: this.#apart,
    });
  }

  async withdraw(name: string): Promise<void> {
    await this.#ask({ id: ++this.#asked, ask: 'close', name });
  }

  #ask(ask: Ask): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(ask.id, { resolve, reject });
      this.#child.send(ask, (error) => error && reject(error));
    });
  }

  /** @throws if its process has ended: then nothing that failed says anything. */
  check(): void {
    if (this.#end !== undefined) throw new Error(`the process of the appliance ended with ${this.#end}`);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
