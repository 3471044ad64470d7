import type { Step, StepResult } from '@exomem/core';

/** All that a protocol is told by the answer to a step. */
export function answerText(step: Step, answer: StepResult): string {
  return `${said(answer)} ${readBy(step)}`;
}

function said(answer: StepResult): string {
  return Array.isArray(answer) ? answer.map(String).join() : String(answer);
}

/** What stands in the bytes that a step has read. */
function readBy(step: Step): string {
  const steps: readonly Step[] = step.op === 'batch' ? step.steps : [step];
  return steps.map((one) => (one.op === 'read' ? Buffer.from(one.bytes).toString('latin1') : '')).join('|');
}
