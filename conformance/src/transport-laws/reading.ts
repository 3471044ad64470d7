import fc from 'fast-check';
import type { Draft } from './law.js';
import { holdPlan, type PlanShape, plans, tellPlan } from './model.js';

/** Laws that compare a session with a model of the region: answers, order, and every byte. */
export const readingLaws: Draft[] = [
  {
    id: 'read-your-writes',
    sentence: 'a session sees its own steps: every answer is that of a plain array of bytes',
    check: async ({ connect, property, capabilities, bytes }) => {
      const session = await connect();
      const shape: PlanShape = { bytes, capabilities, calls: 'any' };
      await property(plans(shape), (plan) => holdPlan([session], plan, bytes, 'in turn'), tellPlan);
    },
  },
  {
    id: 'session-order',
    sentence: "a session's steps take effect in the order of the calls, also when none waits for the one before",
    check: async ({ connect, property, capabilities, bytes }) => {
      const session = await connect();
      const shape: PlanShape = { bytes, capabilities, calls: 'any' };
      await property(plans(shape), (plan) => holdPlan([session], plan, bytes, 'at once'), tellPlan);
    },
  },
  {
    id: 'answered-steps-are-seen',
    sentence: 'a step that was answered is seen by every session from then on',
    check: async ({ connect, property, capabilities, bytes }) => {
      const sessions = [await connect(), await connect(), await connect()];
      const shape: PlanShape = { bytes, capabilities, sessions: sessions.length, calls: 'any' };
      await property(plans(shape), (plan) => holdPlan(sessions, plan, bytes, 'in turn'), tellPlan);
    },
  },
  {
    id: 'batch-like-one-by-one',
    sentence: 'the steps of a batch run in order and answer what they would answer one by one',
    check: async ({ connect, property, capabilities, bytes }) => {
      const session = await connect();
      const shape: PlanShape = { bytes, capabilities, calls: 'batches' };
      await property(plans(shape), (plan) => holdPlan([session], plan, bytes, 'at once'), tellPlan);
    },
  },
  {
    id: 'stop-on-fail',
    sentence: 'a batch asked to stop runs nothing behind its first failed compareExchange, and says so step by step',
    skip: ({ capabilities }) => (capabilities.atomics === 'none' ? 'it has no atomics' : undefined),
    check: async ({ connect, property, capabilities, bytes }) => {
      const session = await connect();
      const shape: PlanShape = { bytes, capabilities, calls: 'stopping batches' };
      await property(
        fc.tuple(plans(shape), fc.constantFrom('in turn' as const, 'at once' as const)),
        ([plan, sending]) => holdPlan([session], plan, bytes, sending),
        ([plan, sending]) => `${tellPlan(plan)}\n    sent ${sending}`,
      );
    },
  },
];
