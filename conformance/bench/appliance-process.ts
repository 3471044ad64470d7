import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { FormatOptions } from '@exomem/core';
import type { Answer, Ask } from './appliance.js';

/** An appliance in a process of its own. */
export class ApplianceProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(): Promise<ApplianceProcess> {
    const child = fork(fileURLToPath(new URL('./appliance.js', import.meta.url)), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(child, 'message');
    return new ApplianceProcess(child);
  }

  /** The URL of a fresh region of so many bytes. The one before is gone. */
  async open(bytes: number, options?: FormatOptions): Promise<string> {
    const answer = await this.#ask({ open: { bytes, options } });
    return 'url' in answer ? answer.url : '';
  }

  /** Milliseconds of CPU that it has used. */
  async cpu(): Promise<number> {
    const answer = await this.#ask({ cpu: true });
    return 'cpu' in answer ? answer.cpu : 0;
  }

  async #ask(ask: Ask): Promise<Answer> {
    const answer = once(this.#child, 'message');
    this.#child.send(ask);
    return (await answer)[0] as Answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}
