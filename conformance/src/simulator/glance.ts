import type { BatchAnswer, BatchStep, MemoryStep, Protocol, Step, StepResult } from '@exomem/core';
import type { Moments } from './moments.js';

/** Runs a protocol that only looks, at a moment. */
export function glance<T>(moments: Moments, region: number, protocol: Protocol<T>): T {
  let state = protocol.next();
  while (!state.done) {
    const step = state.value;
    if (!isLook(step)) throw new Error(`who only looks has no use for ${step.op}`);
    state = protocol.next(look(moments, region, step));
  }
  return state.value;
}

/** Whether a protocol comes to its end at a moment without doing more than to look. */
export function looksOnly(moments: Moments, region: number, protocol: Protocol<unknown>): boolean {
  let state = protocol.next();
  while (!state.done && isLook(state.value)) state = protocol.next(look(moments, region, state.value));
  return state.done === true;
}

type Look = (MemoryStep & { op: 'load' | 'read' }) | BatchStep;

function isLook(step: Step): step is Look {
  if (step.op === 'batch') return step.steps.every(({ op }) => op === 'load' || op === 'read');
  return step.op === 'load' || step.op === 'read';
}

function look(moments: Moments, region: number, step: Look): StepResult {
  if (step.op === 'batch') return step.steps.map((one) => look(moments, region, one as Look)) as BatchAnswer;
  if (step.op === 'load') return moments.load(region, step.offset);
  moments.read(region, step.offset, step.bytes);
  return undefined;
}
