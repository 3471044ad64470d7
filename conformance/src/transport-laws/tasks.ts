import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { ExomemError, MemoryStep, Session } from '@exomem/core';
import { compareExchange, isExomemError } from '@exomem/core';
import { expect, expectEqual } from './expect.js';

/** What a worker does over one session. Cloneable. */
export type Task =
  /** Adds `count` to a word, by compareExchange alone, `perBatch` of them in one batch. */
  | (Contender & { readonly kind: 'increments'; readonly perBatch: number })
  /** Adds `count` to a word by fetchAdd of 1. Answers the sum of what was there before each. */
  | (Contender & { readonly kind: 'adds' })
  /**
   * Increments its own 16-bit field of a word that others change too, until told to stop and at least `count` times,
   * over connections that break. Answers how often it did.
   */
  | { readonly kind: 'resolved'; readonly offset: number; readonly field: number; readonly count: number }
  /** Writes ranges that consist of one repeated byte, from buffers of every phase, until told to stop. */
  | { readonly kind: 'ranges'; readonly offset: number; readonly length: number; readonly bytes: readonly number[] };

/** One of several that change the word at `offset` so often. */
export interface Contender {
  readonly offset: number;
  readonly count: number;
  /** Which of `of` this is. */
  readonly index: number;
  readonly of: number;
  /** Where the contenders wait for each other: a word for each. */
  readonly meeting: number;
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
export async function runTask(session: Session, task: Task, control: Control): Promise<bigint> {
  await control.begun;
  switch (task.kind) {
    case 'increments':
      return inRounds(session, task, (count) => incrementWord(session, task.offset, count, task.perBatch));
    case 'adds':
      return inRounds(session, task, (count) => addToWord(session, task.offset, count));
    case 'resolved':
      return incrementField(session, task.offset, task.field, task.count, control);
    case 'ranges':
      return writeRanges(session, task.offset, task.length, task.bytes, control);
  }
}

/**
 * Splits the count into rounds that all contenders begin together: on a busy machine one would otherwise be done
 * before the next has been given a processor, and nothing would have contended.
 */
async function inRounds(
  session: Session,
  { count, index, of, meeting }: Contender,
  work: (count: number) => Promise<bigint>,
): Promise<bigint> {
  const rounds = Math.min(20, count);
  let sum = 0n;
  for (let round = 1; round <= rounds; round += 1) {
    const mark = new Uint8Array(8);
    mark[0] = round;
    await session.write(meeting + index * 8, mark);
    for (let other = 0; other < of; ) {
      const answer = session.load(meeting + other * 8);
      if ((answer instanceof Promise ? await answer : answer) >= BigInt(round)) other += 1;
    }
    sum += await work(Math.floor((count * round) / rounds) - Math.floor((count * (round - 1)) / rounds));
  }
  return sum;
}

async function incrementWord(session: Session, offset: number, count: number, perBatch: number): Promise<bigint> {
  let seen = await session.load(offset);
  for (let done = 0; done < count; ) {
    if (perBatch === 1) {
      const answer = session.compareExchange(offset, seen, seen + 1n);
      const observed = answer instanceof Promise ? await answer : answer;
      if (observed === seen) {
        done += 1;
        seen += 1n;
      } else seen = observed;
      continue;
    }
    const steps: MemoryStep[] = [];
    for (let at = 0; at < Math.min(perBatch, count - done); at += 1) {
      steps.push(compareExchange(offset, seen + BigInt(at), seen + BigInt(at + 1)));
    }
    const answers = await session.batch(steps, { stopOnFail: true });
    let applied = 0;
    while (applied < steps.length && answers[applied] === seen + BigInt(applied)) applied += 1;
    done += applied;
    const found = answers[applied];
    seen = typeof found === 'bigint' ? found : seen + BigInt(applied);
  }
  return BigInt(count);
}

async function addToWord(session: Session, offset: number, count: number): Promise<bigint> {
  let sum = 0n;
  for (let done = 0; done < count; done += 1) {
    const answer = session.fetchAdd(offset, 1n);
    sum += answer instanceof Promise ? await answer : answer;
  }
  return sum;
}

const fieldMask = 0xffffn;

/**
 * The field is this worker's alone, so whatever became of a compareExchange whose answer was lost can be read from the
 * word afterwards, although others have changed the rest of it since.
 */
async function incrementField(
  session: Session,
  offset: number,
  field: number,
  count: number,
  control: Control,
): Promise<bigint> {
  const shift = BigInt(field * 16);
  const own = (word: bigint): bigint => (word >> shift) & fieldMask;
  let word = await loadAgain(session, offset);
  let done = 0n;
  let told = false;
  while (!(told && control.stopped())) {
    expectEqual(own(word), done & fieldMask, `field ${field} after ${done} increments`);
    const desired = (word & ~(fieldMask << shift)) | (((done + 1n) & fieldMask) << shift);
    try {
      const answer = session.compareExchange(offset, word, desired);
      const observed = answer instanceof Promise ? await answer : answer;
      if (observed === word) {
        done += 1n;
        word = desired;
      } else word = observed;
    } catch (error) {
      if (!isLost(error)) throw error;
      word = await loadAgain(session, offset);
      if (error.code === 'OutcomeUnknown' && own(word) === ((done + 1n) & fieldMask)) done += 1n;
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
