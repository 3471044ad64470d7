import type { Session } from '@exomem/core';
import fc from 'fast-check';
import type { Draft, Trial } from './law.js';
import { holdPlan, type PlannedCall, type PlanShape, plans, tellPlan } from './model.js';

/**
 * Holds a plan on sessions of its own: what one has kept in mind of an earlier plan would be missing when this one is run again
 * by itself.
 */
async function holdAfresh(
  { connect, bytes }: Trial,
  plan: readonly PlannedCall[],
  sending: 'in turn' | 'at once',
  count = 1,
): Promise<void> {
  const sessions: Session[] = [];
  try {
    while (sessions.length < count) sessions.push(await connect());
    await holdPlan(sessions, plan, bytes, sending);
  } finally {
    for (const session of sessions) await session.close();
  }
}

/** Laws that compare a session with a model of the region: answers, order, and every byte. */
export const readingLaws: Draft[] = [
  {
    id: 'read-your-writes',
    sentence: 'a session sees its own steps: every answer is that of a plain array of bytes',
    check: async (trial) => {
      const { property, capabilities, bytes } = trial;
      const shape: PlanShape = { bytes, capabilities, calls: 'any' };
      await property(plans(shape), (plan) => holdAfresh(trial, plan, 'in turn'), tellPlan);
    },
  },
  {
    id: 'session-order',
    sentence: "a session's steps take effect in the order of the calls, also when none waits for the one before",
    check: async (trial) => {
      const { property, capabilities, bytes } = trial;
      const shape: PlanShape = { bytes, capabilities, calls: 'any' };
      await property(plans(shape), (plan) => holdAfresh(trial, plan, 'at once'), tellPlan);
    },
  },
  {
    id: 'answered-steps-are-seen',
    sentence: 'a step that was answered is seen by every session from then on',
    check: async (trial) => {
      const { property, capabilities, bytes } = trial;
      const shape: PlanShape = { bytes, capabilities, sessions: 3, calls: 'any' };
      await property(plans(shape), (plan) => holdAfresh(trial, plan, 'in turn', 3), tellPlan);
    },
  },
  {
    id: 'batch-like-one-by-one',
    sentence: 'the steps of a batch run in order and answer what they would answer one by one',
    check: async (trial) => {
      const { property, capabilities, bytes } = trial;
      const shape: PlanShape = { bytes, capabilities, calls: 'batches' };
      await property(plans(shape), (plan) => holdAfresh(trial, plan, 'at once'), tellPlan);
    },
  },
  {
    id: 'stop-on-fail',
    sentence: 'a batch asked to stop runs nothing behind its first failed compareExchange, and says so step by step',
    skip: ({ capabilities }) => (capabilities.atomics === 'none' ? 'it has no atomics' : undefined),
    check: async (trial) => {
      const { property, capabilities, bytes } = trial;
      const shape: PlanShape = { bytes, capabilities, calls: 'stopping batches' };
      await property(
        fc.tuple(plans(shape), fc.constantFrom('in turn' as const, 'at once' as const)),
        ([plan, sending]) => holdAfresh(trial, plan, sending),
        ([plan, sending]) => `${tellPlan(plan)}\n    sent ${sending}`,
      );
    },
  },
];
