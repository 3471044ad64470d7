import type { Recollection } from '@exomem/conformance/simulator';
import {
  type Coordinator,
  type CorrespondenceMemory,
  interpose,
  isExomemError,
  type Protocol,
  type Step,
  type StepResult,
} from '@exomem/core';
import { answerText } from './answer-text.js';

export interface MailCoordinator extends Coordinator {
  readonly memory: CorrespondenceMemory;
}

/**
 * What a client remembers that changes groups by messages. How often it has looked for an answer, and how much of one that is
 * being written it has seen, makes no difference once it is there: two histories are one where a protocol is answered, if they were one when it
 * asked, and it hears the same with the same in its coordinator's memory. Who has the seat, or a request that waits, remembers all.
 */
export class MailRecollection implements Coordinator {
  readonly #coordinator: MailCoordinator;
  /** What the protocol has heard since this was asked last. */
  #heard: string[] = [];
  /** A protocol has begun, or heard what has no name. */
  #beyond = false;
  readonly attend: Coordinator['attend'];
  readonly leave: Coordinator['leave'];

  constructor(coordinator: MailCoordinator) {
    this.#coordinator = coordinator;
    this.attend = coordinator.attend?.bind(coordinator);
    this.leave = coordinator.leave?.bind(coordinator);
  }

  /** As the coordinator has it. */
  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    this.#beyond = true;
    return this.#coordinator.coordinate(interpose(protocol, (step) => this.#ask(step)));
  }

  /** What it remembers now of what it was told. Only for clients with one operation at a time. */
  recollect(): Recollection | undefined {
    const heard = this.#heard.splice(0);
    const beyond = this.#beyond;
    this.#beyond = false;
    const { sequence, answered, open, seated, own } = this.#coordinator.memory;
    if (beyond || seated) return undefined;
    if (heard.length === 0) return { rests: false };
    if (open) return undefined;
    return { rests: true, key: `told ${heard.join(';')}|${sequence},${answered},${own.join('.')}` };
  }

  *#ask(step: Step): Protocol<StepResult> {
    try {
      const answer = yield step;
      this.#heard.push(answerText(step, answer));
      return answer;
    } catch (error) {
      if (isExomemError(error)) this.#heard.push(`${error.code} ${error.message}`);
      else this.#beyond = true;
      throw error;
    }
  }
}
