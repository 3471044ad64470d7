import type { Recollection, SimulatedClient } from '@exomem/conformance/simulator';
import {
  type Coordinator,
  controlFields,
  decodeLock,
  type Geometry,
  interpose,
  isExomemError,
  type LockMemory,
  lockState,
  type Protocol,
  type Step,
  type StepResult,
} from '@exomem/core';
import type { Annals } from './annals.js';
import { answerText } from './answer-text.js';

export interface LockCoordinator extends Coordinator {
  readonly memory: LockMemory;
}

/**
 * What a client under the lock remembers of what it was told. How often, and in which states, it has seen the lock while it waited
 * makes thousands of histories, and no difference: the coordinator knows what its `memory` says, and its protocol what it was
 * answered. So two histories are one
 *
 * - where a protocol is answered, if they were one when it asked, and it hears the same with the same in the coordinator's memory;
 * - where the coordinator tries once more, from its first step on, what the protocol asks for, if they were one when it asked.
 */
export class LockRecollection implements Coordinator {
  readonly #client: Pick<SimulatedClient, 'concurrency'>;
  readonly #lock: number;
  readonly #coordinator: LockCoordinator;
  readonly #annals: Annals | undefined;
  /** What the protocol has heard since this was asked last; undefined: what went past the coordinator as it was. */
  #heard: (string | undefined)[] = [];
  /** All that protocols have heard, if somebody keeps that. */
  #all = 0;
  /** What the coordinator remembered when they heard the last of it: what it does next has not begun. */
  #then = '';
  /** One has heard what has no name. */
  #lost = false;
  /** The protocol waits for an answer. */
  #asked = false;
  /** Steps that the coordinator has taken for that. */
  #taken = 0;
  /** What it was asked for went past it as it was. */
  #passed = false;
  /** The step that it is at, if with that it begins anew with what it was asked for, or to wait for it. */
  #anew: string | undefined;
  /** What the lock showed in its last look at the table. */
  #shown: bigint | undefined;
  /** Nothing of it is done so far. */
  #whole = false;
  /** Its own section is under way. */
  #section = false;

  /** @param annals keep all that protocols were told: histories are one then whatever the coordinator remembered in between */
  constructor(
    client: Pick<SimulatedClient, 'concurrency'>,
    geometry: Geometry,
    coordinator: LockCoordinator,
    annals?: Annals,
  ) {
    this.#annals = annals;
    this.#client = client;
    this.#lock = geometry.controlOffset + controlFields.lock;
    this.#coordinator = coordinator;
  }

  /** As the coordinator has it. */
  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    this.#passed = true;
    this.#hear('begins');
    const coordinated = this.#coordinator.coordinate(interpose(protocol, (step) => this.#ask(step)));
    return interpose(coordinated, (step) => this.#take(step));
  }

  /** What it remembers now of what it was told. */
  recollect(): Recollection | undefined {
    const heard = this.#heard.splice(0);
    // Operations at once share what they know.
    if (this.#client.concurrency > 1 || this.#lost) return undefined;
    if (this.#annals === undefined && heard.includes(undefined)) return undefined;
    if (heard.length > 0 && this.#annals !== undefined)
      return { rests: true, absolute: true, key: `${this.#all}|${this.#then}` };
    const memory = this.#memory();
    if (heard.length > 0) return { rests: true, key: `told ${heard.join(';')}|${memory}` };
    if (!this.#asked) return undefined;
    if (this.#anew === undefined || !this.#whole) return { rests: false };
    return { rests: false, key: `${this.#anew}|${memory}` };
  }

  #memory(): string {
    const { seen, expired, busy, doubt } = this.#coordinator.memory;
    // No word of the lock ever comes back (I15): one that is past is compared with no other.
    return `${seen},${expired === seen},${busy},${doubt}`;
  }

  /** The protocol asks for a step. */
  *#ask(step: Step): Protocol<StepResult> {
    this.#asked = true;
    this.#taken = 0;
    try {
      const answer = yield step;
      this.#hear(answerText(step, answer));
      return answer;
    } catch (error) {
      this.#hear(isExomemError(error) ? `${error.code} ${error.message}` : undefined);
      throw error;
    }
  }

  /** The coordinator takes one for that. */
  *#take(step: Step): Protocol<StepResult> {
    this.#notice(step);
    const answer = yield step;
    this.#follow(step, answer);
    return answer;
  }

  #hear(what: string | undefined): void {
    this.#asked = false;
    this.#heard.push(this.#passed ? undefined : what);
    if (what === undefined) this.#lost = true;
    else if (this.#annals !== undefined) {
      this.#all = this.#annals.after(this.#all, what);
      this.#then = this.#memory();
    }
  }

  #notice(step: Step): void {
    const first = this.#taken++ === 0;
    const locks = step.op === 'batch' && step.steps.some(({ offset }) => offset === this.#lock);
    this.#anew = locks || step.op === 'watch' ? this.#beginning(step) : undefined;
    // A batch beside the lock is a part of what was asked for.
    if (first) {
      this.#whole = true;
      this.#shown = undefined;
      this.#section = false;
    }
    if (step.op === 'batch' && !locks) this.#whole = false;
    this.#passed = first && !locks;
  }

  /**
   * A step at which the coordinator has nothing in hand but what it was asked for, and the word that it waits for to change: the
   * first of a section or of a look, that of a wait for a holder, or that which reads what a holder has committed.
   */
  #beginning(step: Step): string | undefined {
    const { busy, doubt } = this.#coordinator.memory;
    if (step.op === 'watch') {
      const held = step.offset === this.#lock && decodeLock(step.word).state === lockState.held;
      return held ? `waits ${step.word}` : undefined;
    }
    if (step.op !== 'batch') return undefined;
    const [one, next] = step.steps;
    if (one?.op === 'compareExchange' && one.offset === this.#lock && decodeLock(one.desired).state === lockState.held)
      return `takes ${one.expected}`;
    if (one?.op === 'load' && one.offset === this.#lock) return busy ? undefined : 'looks';
    return one?.op === 'read' && next?.offset === this.#lock && !doubt
      ? `reads ${one.offset} ${this.#shown}`
      : undefined;
  }

  /** Follows its own sections: when one is over, a part of what was asked for is done. */
  #follow(step: Step, answer: StepResult): void {
    if (step.op !== 'batch' || !Array.isArray(answer)) return;
    const [first] = step.steps;
    if (first?.op === 'load' && first.offset === this.#lock) this.#shown = answer[0] as bigint;
    for (const [at, one] of step.steps.entries()) {
      if (one.op !== 'compareExchange' || one.offset !== this.#lock) continue;
      const [before, after] = [one.expected, one.desired].map((word) => decodeLock(word).state);
      const done = answer[at] === one.expected;
      if (after === lockState.held) this.#section = done;
      else if (after === lockState.commit && before === lockState.held) this.#section &&= done;
      else if (after === lockState.free && done && this.#section) {
        this.#section = false;
        this.#whole = false;
      }
    }
  }
}
