import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LawBroken } from '../transport-laws/expect.js';
import { soon } from '../transport-laws/patience.js';
import type { Operations } from './operations.js';
import type { AgentProgram } from './options.js';

const plain: AgentProgram = { module: new URL('agent-process.js', import.meta.url) };

/** A call of an operation, as it is sent to an agent. */
export type Call = { [K in keyof Operations]: readonly [K, ...Parameters<Operations[K]>] }[keyof Operations];

/** What became of it: what it gave, or the name of the error, as `ENOENT`. */
export interface Answer<T = unknown> {
  readonly value?: T;
  readonly error?: string;
}

/** A process that does what the laws ask, one thing after the other. */
export class Agent {
  readonly #process: ChildProcess;
  readonly #patience: number;
  /** Scripts under way, in their order. */
  readonly #waiting: { resolve(answers: Answer[]): void; reject(error: Error): void }[] = [];
  #end: string | undefined;

  static async start(patience: number, program: AgentProgram = plain): Promise<Agent> {
    const agent = new Agent(patience, program);
    await agent.#answers();
    return agent;
  }

  private constructor(patience: number, { module, args = [] }: AgentProgram) {
    this.#patience = patience;
    this.#process = fork(fileURLToPath(module), args, { serialization: 'advanced', execArgv: [] });
    this.#process.on('message', (answers: Answer[]) => this.#waiting.shift()?.resolve(answers));
    this.#process.once('exit', (status, signal) => {
      this.#end = `ended with ${signal ?? status}`;
      for (const { reject } of this.#waiting.splice(0)) reject(new LawBroken(`the process that uses it ${this.#end}`));
    });
  }

  /** Does these, and answers in their order. @throws `LawBroken` if there is no answer in time */
  async run(script: readonly Call[]): Promise<Answer[]> {
    if (this.#end !== undefined) throw new LawBroken(`the process that uses it ${this.#end}`);
    const answers = this.#answers();
    this.#process.send(script);
    const [first] = script;
    const what = script.length === 1 ? first!.slice(0, 3).join(' ') : `a script of ${script.length} calls`;
    try {
      return await soon(answers, this.#patience, what);
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  get lives(): boolean {
    return this.#end === undefined;
  }

  async call<C extends Call>(...call: C): Promise<Answer<ReturnType<Operations[C[0]]>>> {
    const [answer] = await this.run([call]);
    return answer as Answer<ReturnType<Operations[C[0]]>>;
  }

  /** What must succeed for the law to say anything. */
  async must<C extends Call>(...call: C): Promise<ReturnType<Operations[C[0]]>> {
    const { value, error } = await this.call(...call);
    if (error !== undefined) throw new LawBroken(`${callText(call)} fails with ${error}`);
    return value as ReturnType<Operations[C[0]]>;
  }

  #answers(): Promise<Answer[]> {
    const answers = new Promise<Answer[]>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    answers.catch(() => undefined);
    return answers;
  }

  /** Ends it as a crash would; resolves when it is gone, or cannot be ended. */
  async kill(): Promise<void> {
    if (this.#end !== undefined) return;
    const gone = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.kill('SIGKILL');
    await soon(gone, 5_000, 'the end of a process that uses it').catch(() => this.#process.unref());
  }
}

/** A call for people. */
export function callText([name, ...parameters]: Call): string {
  const shown = parameters.map((value) => (value instanceof Uint8Array ? `${value.length} bytes` : String(value)));
  return `${name} ${shown.join(' ')}`;
}
