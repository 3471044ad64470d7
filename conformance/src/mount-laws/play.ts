import { expect, LawBroken } from '../transport-laws/expect.js';
import type { Agent, Answer, Call } from './agent.js';

type Judge = (answer: Answer) => void;

/**
 * Calls whose answers a model knows beforehand: they are sent together as far as one agent does them, and judged in their
 * order, so that a case costs a few messages and not one for each call.
 */
export class Play {
  #agent: Agent | undefined;
  #script: Call[] = [];
  #judges: { what: string; judge: Judge }[] = [];
  #step = '';

  /** What comes next belongs to this step of the case, for messages. */
  step(at: number, what: string): void {
    this.#step = `step ${at + 1}, ${what}`;
  }

  /** The call must do what `judge` expects of it. */
  async add(agent: Agent, call: Call, judge: Judge): Promise<void> {
    if (agent !== this.#agent) await this.end();
    this.#agent = agent;
    this.#script.push(call);
    this.#judges.push({ what: this.#step, judge });
  }

  /** The call must succeed. */
  must(agent: Agent, call: Call, judge: (value: never) => void = () => undefined): Promise<void> {
    return this.add(agent, call, ({ value, error }) => {
      expect(error === undefined, () => `${call[0]} fails with ${error}`);
      judge(value as never);
    });
  }

  /** The call must fail with one of these. */
  refused(agent: Agent, call: Call, codes: readonly string[]): Promise<void> {
    return this.add(agent, call, ({ error }) => {
      const wanted = codes.join(' or ');
      expect(error !== undefined, () => `${call[0]} succeeds, instead of failing with ${wanted}`);
      expect(codes.includes(error!), () => `${call[0]} fails with ${error} instead of ${wanted}`);
    });
  }

  /** Sends what is left, and judges it. */
  async end(): Promise<void> {
    const [agent, script, judges] = [this.#agent, this.#script, this.#judges];
    if (agent === undefined || script.length === 0) return;
    [this.#script, this.#judges] = [[], []];
    const answers = await agent.run(script);
    for (const [at, { what, judge }] of judges.entries()) {
      try {
        judge(answers[at]!);
      } catch (error) {
        throw new LawBroken(`${what}: ${(error as Error).message}`, { cause: error });
      }
    }
  }
}
