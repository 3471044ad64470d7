import {
  type BatchStep,
  groupWordOffset,
  interrupted,
  principalWordOffset,
  type Step,
  type WordStep,
} from '@exomem/core';
import type { Actor } from './actor.js';
import type { Mutant } from './mutants.js';

/** The claims of group words in a batch of them alone that ends with the own principal; none of another step. */
function claimsOf(step: Step, { plot, identity }: Actor): readonly WordStep[] {
  if (step.op !== 'batch' || step.stopOnFail) return [];
  const { geometry } = plot;
  const [claims, fence] = [step.steps.slice(0, -1) as readonly WordStep[], step.steps.at(-1)!];
  const { groupOffset, groupCount } = geometry;
  const isGroup = ({ op, offset }: WordStep): boolean =>
    op === 'compareExchange' && offset >= groupOffset && offset < groupWordOffset(geometry, groupCount);
  const fenced = fence.op === 'load' && fence.offset === principalWordOffset(geometry, identity.principal);
  return fenced && claims.length > 1 && claims.every(isGroup) ? claims : [];
}

/** Many at once, with a fault. */
export const manyMutants: readonly Mutant[] = [
  {
    name: 'many runs are given out before the own principal is read behind them, and the lane is not shut out',
    search: 'many-recover',
    invariant: 'I4',
    step: (step, actor) => {
      if (step.op === 'revoke') return { answer: undefined };
      const claims = claimsOf(step, actor);
      return claims.length === 0 ? step : { ...(step as BatchStep), steps: claims };
    },
    answer: (step, result, actor) => {
      const claims = claimsOf(step, actor);
      return claims.length > 0 && Array.isArray(result) ? [...result, actor.identity.word] : result;
    },
  },
  {
    name: 'what was claimed of many that are refused is not given back',
    search: 'many-refused',
    invariant: 'I13',
    step: (step, actor) => {
      if (step.op !== 'batch' || !step.stopOnFail || actor.hold().times === 1) return step;
      const frees = step.steps.every((one) => one.op === 'compareExchange' && one.desired >> 48n === 0n);
      return frees ? { answer: (step.steps as readonly WordStep[]).map(({ expected }) => expected) } : step;
    },
  },
  {
    name: 'a lost reply to a claim of many is taken for a failure of all of it',
    search: 'many',
    invariant: 'I13',
    thrown: (step, error, actor) => {
      const claims = claimsOf(step, actor);
      if (!interrupted(error) || claims.length === 0 || claims.some(({ expected }) => expected >> 48n !== 0n))
        return undefined;
      return { answer: [...claims.map(() => 0xffffn << 48n), actor.identity.word] };
    },
  },
];
