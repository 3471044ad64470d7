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
import type { Annals } from './annals.js';
import { answerText } from './answer-text.js';

export interface MailCoordinator extends Coordinator {
  readonly memory: CorrespondenceMemory;
}

/**
 * What a client remembers that changes groups by messages. How often it has looked for an answer, and how much of one that is
 * being written it has seen, makes no difference once it is there: two histories are one where a protocol is answered, if all protocols were told the same
 * until then, and there is the same in its coordinator's memory. Who has the seat, or a request that waits, remembers all.
 */
export class MailRecollection implements Coordinator {
  readonly #coordinator: MailCoordinator;
  readonly #annals: Annals | undefined;
  /** All that protocols have heard. */
  #all = 0;
  /** What the coordinator remembered when they heard the last of it: what it does next has not begun. */
  #then: CorrespondenceMemory;
  /** One has heard something since this was asked last. */
  #hears = false;
  /** One has heard what has no name. */
  #lost = false;
  readonly attend: Coordinator['attend'];
  readonly leave: Coordinator['leave'];

  /** @param annals keep all that protocols were told; undefined: all is remembered */
  constructor(coordinator: MailCoordinator, annals: Annals | undefined) {
    this.#coordinator = coordinator;
    this.#annals = annals;
    this.#then = coordinator.memory;
    this.attend = coordinator.attend?.bind(coordinator);
    this.leave = coordinator.leave?.bind(coordinator);
  }

  /** As the coordinator has it. */
  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    this.#hear('begins');
    return this.#coordinator.coordinate(interpose(protocol, (step) => this.#ask(step)));
  }

  /** What it remembers now of what it was told. Only for clients with one operation at a time. */
  recollect(): Recollection | undefined {
    if (this.#annals === undefined || this.#lost || this.#coordinator.memory.seated) return undefined;
    if (!this.#hears) return { rests: false };
    this.#hears = false;
    const { sequence, answered, open, own } = this.#then;
    if (open) return undefined;
    return { rests: true, absolute: true, key: `${this.#all}|${sequence},${answered},${own.join('.')}` };
  }

  #hear(what: string): void {
    this.#hears = true;
    this.#all = this.#annals?.after(this.#all, what) ?? 0;
    this.#then = this.#coordinator.memory;
  }

  *#ask(step: Step): Protocol<StepResult> {
    try {
      const answer = yield step;
      this.#hear(answerText(step, answer));
      return answer;
    } catch (error) {
      if (isExomemError(error)) this.#hear(`${error.code} ${error.message}`);
      else this.#lost = true;
      throw error;
    }
  }
}
