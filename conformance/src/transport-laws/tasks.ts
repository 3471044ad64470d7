import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Awaitable, ExomemError, Session, WordStep } from '@exomem/core';
import { compareExchange, isExomemError } from '@exomem/core';
import { type Contender, contend } from './contender.js';
import { expect, expectEqual } from './expect.js';

/** What a worker does over one session. Cloneable. */
export type Task =
  /** Increments a word that others increment, too. */
  | (Contender & { readonly kind: 'contend' })
  /**
   * Increments its own 16-bit field of a word that others change too, until told to stop and at least `count` times,
   * over connections that break.
   */
  | {
      readonly kind: 'resolved';
      readonly offset: number;
      readonly field: number;
      readonly count: number;
      readonly perBatch: number;
    }
  /** Writes ranges that consist of one repeated byte, from buffers of every phase, until told to stop. */
  | { readonly kind: 'ranges'; readonly offset: number; readonly length: number; readonly bytes: readonly number[] };

export interface TaskResult {
  /** How often it did what it does. */
  readonly count: bigint;
  /** `contend`: the sum of what was there before each. */
  readonly sum: bigint;
}

/** How a task hears and tells while it runs. */
export interface Control {
  /** Over when all workers are there: they begin together. */
  readonly begun: Promise<void>;
  stopped(): boolean;
  /** The task has done what it must; it goes on until it is stopped. */
  reached(): void;
}

/** @throws LawBroken, or what the session throws. */
export async function runTask(session: Session, task: Task, control: Control): Promise<TaskResult> {
  await control.begun;
  switch (task.kind) {
    case 'contend':
      return contend(session, task);
    case 'resolved':
      return { count: await incrementField(session, task, control), sum: 0n };
    case 'ranges':
      return { count: await writeRanges(session, task.offset, task.length, task.bytes, control), sum: 0n };
  }
}

const fieldMask = 0xffffn;

/**
 * The field is this worker's alone, so whatever became of a compareExchange whose answer was lost can be read from the
 * word afterwards, although others have changed the rest of it since.
 */
async function incrementField(
  session: Session,
  { offset, field, count, perBatch }: Extract<Task, { kind: 'resolved' }>,
  control: Control,
): Promise<bigint> {
  const shift = BigInt(field * 16);
  const own = (word: bigint): bigint => (word >> shift) & fieldMask;
  const after = (word: bigint, more: number): bigint =>
    (word & ~(fieldMask << shift)) | (((own(word) + BigInt(more)) & fieldMask) << shift);
  let word = await loadAgain(session, offset);
  let done = 0n;
  let told = false;
  while (!(told && control.stopped())) {
    expectEqual(own(word), done & fieldMask, `field ${field} after ${done} increments`);
    const asked = Array.from({ length: perBatch }, (_, at) => after(word, at));
    const steps = asked.map((from) => compareExchange(offset, from, after(from, 1)));
    try {
      const answers =
        perBatch === 1 ? [await one(session, steps[0]!)] : await session.batch(steps, { stopOnFail: true });
      let applied = 0;
      while (applied < perBatch && answers[applied] === asked[applied]) applied += 1;
      done += BigInt(applied);
      word = applied === perBatch ? after(word, perBatch) : (answers[applied] as bigint);
    } catch (error) {
      if (!isLost(error)) throw error;
      word = await loadAgain(session, offset);
      const applied = (own(word) - done) & fieldMask;
      const possible = error.code === 'OutcomeUnknown' && applied <= perBatch;
      if (possible) done += applied;
    }
    if (!told && done >= count) {
      told = true;
      control.reached();
    }
    // Who is done goes on in no hurry: over some transports the first in a round wins each round.
    if (told) await sleep(1);
  }
  return done;
}

const one = (session: Session, { offset, expected, desired }: WordStep): Awaitable<bigint> =>
  session.compareExchange(offset, expected, desired);

function isLost(error: unknown): error is ExomemError {
  return isExomemError(error, 'OutcomeUnknown') || isExomemError(error, 'Disconnected');
}

/** Opens a new epoch where one is due and reads the word, however often the connection breaks meanwhile. */
async function loadAgain(session: Session, offset: number): Promise<bigint> {
  for (let turn = 0; ; turn += 1) {
    try {
      await session.renew();
      return await session.load(offset);
    } catch (error) {
      expect(turn < 500, () => `the lane does not come back: ${String(error)}`);
      if (!isLost(error)) throw error;
      await sleep(2);
    }
  }
}

async function writeRanges(
  session: Session,
  offset: number,
  length: number,
  bytes: readonly number[],
  control: Control,
): Promise<bigint> {
  const sources = bytes.flatMap((byte, at) =>
    [0, 1, 4, 7].map((phase) => {
      const start = (phase + at) % 8;
      return new Uint8Array(length + 8).subarray(start, start + length).fill(byte);
    }),
  );
  let writes = 0n;
  while (!control.stopped()) {
    for (let turn = 0; turn < 100; turn += 1) {
      const answer = session.write(offset, sources[Number(writes % BigInt(sources.length))]!);
      if (answer instanceof Promise) await answer;
      writes += 1n;
      if (writes === 1n) control.reached();
    }
    await nextTurn();
  }
  return writes;
}
