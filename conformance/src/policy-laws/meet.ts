import type { AllocationPolicy } from '@exomem/core';
import {
  Chronicle,
  Counterexample,
  type Exhausted,
  type ExhaustiveOptions,
  exhaust,
  retrace,
} from '../simulator/index.js';
import { LawBroken } from '../transport-laws/expect.js';
import { type Meeting, meetingNames, meetingScene } from './scene.js';

/** How far, and in which order. */
export type MeetOptions = Omit<ExhaustiveOptions, 'faults'>;

/**
 * Goes every way of a meeting, with a policy's own generators: each order of their steps, each fault at each step. How much that
 * was; a search that was given up says so by `complete`.
 * @throws `LawBroken` with the way, a line for each turn. `broken.found.path` is for {@link meetAgain}.
 */
export function meet(policy: AllocationPolicy, meeting: Meeting, options: MeetOptions = {}): Exhausted {
  try {
    return exhaust(() => meetingScene(policy, meeting), { reduce: true, ...options, faults: meeting.faults });
  } catch (error) {
    if (!(error instanceof Counterexample)) throw error;
    const { told, wrong } = meetAgain(policy, meeting, error.path);
    const path = error.path.join(':');
    const what = wrong?.message ?? error.message;
    const broken = new LawBroken(`${meeting.what}: ${what}\n${told}\n  path ${path}`, { cause: wrong ?? error });
    broken.runs = error.states;
    broken.found = { law: 'exhaustive', seed: 0, path };
    throw broken;
  }
}

/** Goes one way of a meeting again: what happens, and what is wrong at its end. @param path as text, or as numbers */
export function meetAgain(
  policy: AllocationPolicy,
  meeting: Meeting,
  path: string | readonly number[],
): { readonly told: string; readonly wrong?: Error } {
  const chronicle = new Chronicle(meetingNames(policy, meeting));
  const way = typeof path === 'string' ? path.split(':').filter(Boolean).map(Number) : path;
  try {
    retrace(() => meetingScene(policy, meeting), way, chronicle, meeting.faults);
  } catch (error) {
    return { told: String(chronicle), wrong: error as Error };
  }
  return { told: String(chronicle) };
}
