import type { BatchAnswer, MemoryStep, Protocol, StepResult } from '@exomem/core';
import type { Moments } from './moments.js';

/** Runs a protocol that only looks, at a moment. */
export function glance<T>(moments: Moments, region: number, protocol: Protocol<T>): T {
  const look = (step: MemoryStep): bigint | undefined => {
    if (step.op === 'load') return moments.load(region, step.offset);
    if (step.op !== 'read') throw new Error(`who only looks has no use for ${step.op}`);
    moments.read(region, step.offset, step.bytes);
    return undefined;
  };
  let state = protocol.next();
  while (!state.done) {
    const step = state.value;
    let result: StepResult;
    if (step.op === 'batch') result = step.steps.map(look) as BatchAnswer;
    else if (step.op === 'load' || step.op === 'read') result = look(step);
    else throw new Error(`who only looks has no use for ${step.op}`);
    state = protocol.next(result);
  }
  return state.value;
}
