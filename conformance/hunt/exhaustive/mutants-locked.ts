import {
  type BatchAnswer,
  batch,
  compareExchange,
  controlFields,
  decodeLock,
  decodeRedo,
  encodeLock,
  type Geometry,
  groupWordOffset,
  lockState,
  type MemoryStep,
  type Protocol,
  type Step,
  type StepResult,
  type WordStep,
  write,
} from '@exomem/core';
import type { Actor } from './actor.js';
import type { Mutant } from './mutants.js';

function lockOffset({ plot }: Actor): number {
  return plot.geometry.controlOffset + controlFields.lock;
}
/** A change of the lock to that state, from one of those. */
function swap(step: MemoryStep, actor: Actor, to: number, from: readonly number[]): step is WordStep {
  if (step.op !== 'compareExchange' || step.offset !== lockOffset(actor)) return false;
  return decodeLock(step.desired).state === to && from.includes(decodeLock(step.expected).state);
}
const { free, held, commit } = lockState;

/** The batch that commits; which of its steps does. */
function commits(
  step: Step,
  actor: Actor,
): { readonly steps: readonly MemoryStep[]; readonly swap: WordStep } | undefined {
  if (step.op !== 'batch') return undefined;
  const found = step.steps.find((one): one is WordStep => swap(one, actor, commit, [held]));
  return found && { steps: step.steps, swap: found };
}

/** The changes that a step which commits writes down. */
function* changesOf(steps: readonly MemoryStep[], token: number, geometry: Geometry): Generator<WordStep> {
  for (const step of steps) {
    if (step.op !== 'write') continue;
    for (const { group, before, after } of decodeRedo(step.bytes, token, geometry.groupCount)!.exchanges)
      yield compareExchange(groupWordOffset(geometry, group), before, after);
  }
}

/** Words of the lock that an actor is told in a state in which they are not. */
const told = new WeakMap<Actor, Map<bigint, bigint>>();
function pretend(actor: Actor, word: bigint, as: bigint): bigint {
  let words = told.get(actor);
  if (words === undefined) told.set(actor, (words = new Map()));
  words.set(as, word);
  return as;
}
function really(actor: Actor, word: bigint): bigint {
  return told.get(actor)?.get(word) ?? word;
}

/** The steps of a step, and the answers to them. */
function mapSteps(step: Step, change: (one: MemoryStep) => MemoryStep): Step {
  if (step.op === 'batch') return { ...step, steps: step.steps.map(change) };
  return step.op === 'load' || step.op === 'compareExchange' ? (change(step) as Step) : step;
}
function mapAnswers(
  step: Step,
  result: StepResult,
  change: (one: MemoryStep, answer: BatchAnswer[number]) => BatchAnswer[number],
): StepResult {
  if (step.op === 'batch' && Array.isArray(result)) return result.map((answer, at) => change(step.steps[at]!, answer));
  if (step.op === 'load' || step.op === 'compareExchange') return change(step, result as bigint) as StepResult;
  return result;
}

export const lockMutants: readonly Mutant[] = [
  {
    name: 'under the lock, changes are made before they are committed',
    search: 'lock-stopped',
    invariant: 'I15',
    instead: (step, actor) => {
      const found = commits(step, actor);
      if (found === undefined) return undefined;
      const { token } = decodeLock(found.swap.desired);
      return (function* (): Protocol<StepResult> {
        yield batch([...changesOf(found.steps, token, actor.plot.geometry)]);
        return yield step;
      })();
    },
  },
  {
    name: 'the lock is taken by a plain write',
    search: 'lock-two',
    invariant: 'I15',
    instead: (step, actor) => {
      if (step.op !== 'batch') return undefined;
      const at = step.steps.findIndex((one) => swap(one, actor, held, [free, held]));
      if (at < 0) return undefined;
      const { offset, expected, desired } = step.steps[at] as WordStep;
      const plain = write(offset, new Uint8Array(BigUint64Array.of(desired).buffer));
      return (function* (): Protocol<StepResult> {
        const answer = (yield batch(step.steps.map((one, index) => (index === at ? plain : one)))) as BatchAnswer;
        return answer.map((one, index) => (index === at ? expected : one));
      })();
    },
  },
  {
    name: 'what is committed is committed by a plain write',
    search: 'lock-two',
    invariant: 'I15',
    instead: (step, actor) => {
      const found = commits(step, actor);
      if (found === undefined) return undefined;
      const { offset, expected, desired } = found.swap;
      const plain = write(offset, new Uint8Array(BigUint64Array.of(desired).buffer));
      return (function* (): Protocol<StepResult> {
        const answer = (yield batch(found.steps.map((one) => (one === found.swap ? plain : one)))) as BatchAnswer;
        return answer.map((one, index) => (found.steps[index] === found.swap ? expected : one));
      })();
    },
  },
  {
    name: 'that a commit failed is not noticed',
    search: 'lock-two',
    invariant: 'I15',
    answer: (step, result, actor) => {
      const found = commits(step, actor);
      if (found === undefined) return result;
      return mapAnswers(step, result, (one, answer) => (one === found.swap ? found.swap.expected : answer));
    },
  },
  {
    name: 'who takes the lock does not raise its token',
    search: 'lock-two',
    invariant: 'I15',
    // All that is written of it is one lower for each time that it was taken: it stays what it was.
    step: (step, actor) =>
      mapSteps(step, (one) => {
        if (one.op !== 'compareExchange' || one.offset !== lockOffset(actor)) return one;
        return { ...one, expected: lowered(one.expected), desired: lowered(one.desired) };
      }),
    answer: (step, result, actor) =>
      mapAnswers(step, result, (one, answer) => {
        if (one.op !== 'compareExchange' || one.offset !== lockOffset(actor)) return answer;
        return answer === lowered(one.expected) ? one.expected : answer;
      }),
  },
  {
    name: 'what was committed by who has stopped is not done: the lock is taken over as it is',
    search: 'lock-two',
    invariant: 'I15',
    step: (step, actor) =>
      mapSteps(step, (one) => {
        if (one.op !== 'compareExchange' || one.offset !== lockOffset(actor)) return one;
        return { ...one, expected: really(actor, one.expected) };
      }),
    answer: (step, result, actor) =>
      mapAnswers(step, result, (one, answer) => {
        if (one.offset !== lockOffset(actor) || typeof answer !== 'bigint') return answer;
        if (one.op === 'compareExchange' && answer === really(actor, one.expected)) return one.expected;
        const { state, holder, token } = decodeLock(answer);
        if (state !== commit || holder === actor.member.slot) return answer;
        return pretend(actor, answer, encodeLock({ token, state: held, holder }));
      }),
    instead: (step, actor) => {
      if (step.op !== 'watch' || step.offset !== lockOffset(actor)) return undefined;
      return (function* (): Protocol<StepResult> {
        return yield { ...step, word: really(actor, step.word) };
      })();
    },
  },
  {
    name: 'what another has committed is done in its place at once, and nobody shuts it out',
    search: 'lock-living',
    invariant: 'I15',
    step: (step, actor) => {
      if (step.op === 'revoke') return { answer: undefined };
      // The holder is looked at, in the middle of a wait for it: as if it were dead.
      if (step.op === 'load' && isMember(step, actor)) return { answer: 3n << 60n };
      return step;
    },
  },
  {
    name: 'what another has committed is done in its place, and its holder is declared dead but not shut out',
    search: 'lock-living',
    invariant: 'I15',
    step: (step) => (step.op === 'revoke' ? { answer: undefined } : step),
  },
  {
    name: 'who does what another has committed does not write it down for who comes after',
    search: 'lock-redo',
    invariant: 'I15',
    step: (step, actor) => {
      if (step.op !== 'batch' || !step.steps.some((one) => swap(one, actor, commit, [commit]))) return step;
      return { ...step, steps: step.steps.filter(({ op }) => op !== 'write') };
    },
    answer: (step, result, actor) => {
      if (step.op !== 'batch' || !Array.isArray(result)) return result;
      if (!step.steps.some((one) => swap(one, actor, commit, [commit]))) return result;
      return [undefined, ...result];
    },
  },
  {
    name: 'who looks at the table does not wait for what was committed',
    search: 'lock-recover',
    invariant: 'R2',
    answer: (step, result, actor) => {
      if (step.op !== 'batch' || !step.steps.every(({ op }) => op === 'load' || op === 'read')) return result;
      if (step.steps[0]!.offset !== lockOffset(actor)) return result;
      return mapAnswers(step, result, (one, answer) => (one === step.steps[0] ? 0n : answer));
    },
  },
  {
    name: 'the lock is let go before all is done',
    search: 'lock-stopped',
    invariant: 'I15',
    step: (step, actor) => {
      if (step.op !== 'batch' || !step.steps.some((one) => swap(one, actor, free, [commit]))) return step;
      const [first, ...rest] = step.steps;
      const at = rest.findIndex((one) => swap(one, actor, free, [commit]));
      return { ...step, steps: [...rest.slice(0, at + 1), first!, ...rest.slice(at + 1)] };
    },
    answer: (step, result, actor) => {
      if (step.op !== 'batch' || !Array.isArray(result)) return result;
      const at = step.steps.findIndex((one) => swap(one, actor, free, [commit]));
      if (at < 0) return result;
      return [result[at]!, ...result.slice(0, at), ...result.slice(at + 1)];
    },
  },
  {
    name: 'a lock that may be ours is not settled over a new epoch',
    search: 'lock-late',
    invariant: 'I15',
    step: (step) => (step.op === 'renew' ? { answer: undefined } : step),
  },
];

/** The same word, as if nobody had ever raised its token. */
function lowered(word: bigint): bigint {
  const { state, holder } = decodeLock(word);
  return encodeLock({ token: 0, state, holder });
}

function isMember(step: WordStep, { plot }: Actor): boolean {
  const { memberOffset, principalOffset } = plot.geometry;
  return step.offset >= memberOffset && step.offset < principalOffset;
}
