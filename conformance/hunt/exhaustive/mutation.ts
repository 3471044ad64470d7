import type { AllocationPolicy, MemberCustodian, Protocol, Step, StepResult } from '@exomem/core';
import type { Actor } from './actor.js';

/** A fault that is put into the shipped protocols, to see who finds it. */
export interface Mutation {
  readonly name: string;
  /** Makes another step of one, or answers it at once. */
  readonly step?: (step: Step, actor: Actor) => Step | { readonly answer: StepResult };
  /** Does something else in the place of a step; undefined: the step is taken. */
  readonly instead?: (step: Step, actor: Actor) => Protocol<StepResult> | undefined;
  /** The answer to the step that was asked for, from that to the step that was taken instead. */
  readonly answer?: (step: Step, result: StepResult, actor: Actor) => StepResult;
  /** What becomes of an error; thrown on if undefined. */
  readonly thrown?: (step: Step, error: unknown, actor: Actor) => { readonly answer: StepResult } | undefined;
  /** Changes what an actor works with. */
  readonly enter?: (actor: Actor) => void;
  /** Changes what an actor judges and sweeps with. */
  readonly custodian?: (custodian: MemberCustodian) => MemberCustodian;
  /** Changes what adopts with. */
  readonly policy?: (policy: AllocationPolicy) => AllocationPolicy;
  /** Changes what coordinates, in a plot with the lock. */
  readonly coordination?: (policy: AllocationPolicy) => AllocationPolicy;
  /** Adopts as if the dead had been shut out. */
  readonly inPlace?: boolean;
  /** Who writes into a page that another gave to a file has not pinned its lookup. */
  readonly unpinned?: boolean;
  /** A lease counts from when the answer came. */
  readonly leaseFromReply?: boolean;
  /** Who watches waits no longer than a lease lasts. */
  readonly impatient?: boolean;
  /** Nobody looks for principals whose member is gone. */
  readonly blind?: boolean;
}

/** A protocol as that mutation has it. */
export function* mutate<T>(protocol: Protocol<T>, mutation: Mutation, actor: Actor): Protocol<T> {
  let state = protocol.next();
  while (!state.done) {
    const asked = state.value;
    const taken = mutation.step?.(asked, actor) ?? asked;
    let result: StepResult;
    try {
      const instead = mutation.instead?.(asked, actor);
      if (instead !== undefined) result = yield* instead;
      else result = 'answer' in taken ? taken.answer : yield taken;
      if (mutation.answer !== undefined) result = mutation.answer(asked, result, actor);
    } catch (error) {
      const instead = mutation.thrown?.(asked, error, actor);
      if (instead === undefined) {
        state = protocol.throw(error);
        continue;
      }
      result = instead.answer;
    }
    state = protocol.next(result);
  }
  return state.value;
}

/** A protocol where nobody can be shut out: as the runner has it then. */
export function* withoutRevoke<T>(protocol: Protocol<T>): Protocol<T> {
  let state = protocol.next();
  while (!state.done) {
    const step = state.value;
    let result: StepResult;
    try {
      result = step.op === 'revoke' ? undefined : yield step;
    } catch (error) {
      state = protocol.throw(error);
      continue;
    }
    state = protocol.next(result);
  }
  return state.value;
}
