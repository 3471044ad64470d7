import type { MemoryStep, Session } from '@exomem/core';
import { compareExchange, fetchAdd } from '@exomem/core';
import type { TaskResult } from './tasks.js';

/** One of several clients that increment the word at `offset`, each at least `count` times. */
export interface Contender {
  readonly by: 'compareExchange' | 'fetchAdd';
  /** How many increments go into one batch. */
  readonly perBatch: number;
  readonly offset: number;
  readonly count: number;
  /** Which of `of` this is. */
  readonly index: number;
  readonly of: number;
  /** Where the contenders wait for each other: two words for each. */
  readonly meeting: number;
}

/** So often a contender has to have met another one, before that counts as contention. */
const enough = 50;

/** What a contender has done so far. */
interface Tally {
  count: bigint;
  sum: bigint;
  /** How often it saw that another one had been there. */
  met: number;
}

/**
 * Works in rounds that all contenders begin together, and goes on beyond `count`, in longer rounds, for as long as none
 * has met another often: on a busy machine one may be done before the next is given a processor.
 */
export async function contend(session: Session, task: Contender): Promise<TaskResult> {
  const { by, perBatch, offset, count } = task;
  const tally: Tally = { count: 0n, sum: 0n, met: 0 };
  const rounds = Math.min(20, count);
  let contended = false;
  for (let round = 1; round <= rounds || (round <= rounds + 12 && !contended); round += 1) {
    contended = await meet(session, task, round, tally.met >= enough);
    const share = Math.floor((count * round) / rounds) - Math.floor((count * (round - 1)) / rounds);
    const length = round <= rounds ? share : share * 2 ** (round - rounds);
    if (by === 'fetchAdd') await add(session, offset, length, perBatch, tally);
    else await increment(session, offset, length, perBatch, tally);
  }
  return tally;
}

/**
 * Waits until all are there. Whether somebody has met others is answered alike to all: a word for odd rounds and one
 * for even ones, so that nobody writes anew what another still has to read.
 */
async function meet(session: Session, task: Contender, round: number, met: boolean): Promise<boolean> {
  const { index, of, meeting } = task;
  const place = (one: number): number => meeting + one * 16 + (round % 2) * 8;
  await session.write(place(index), Uint8Array.of(round, 0, 0, 0, met ? 1 : 0, 0, 0, 0));
  let somebody = false;
  for (let other = 0; other < of; ) {
    const answer = session.load(place(other));
    const word = answer instanceof Promise ? await answer : answer;
    if ((word & 0xffn) !== BigInt(round)) continue;
    somebody ||= word >> 32n === 1n;
    other += 1;
  }
  return somebody;
}

async function add(session: Session, offset: number, length: number, perBatch: number, tally: Tally): Promise<void> {
  let last: bigint | undefined;
  const take = (before: bigint): void => {
    if (last !== undefined && before !== last + 1n) tally.met += 1;
    last = before;
    tally.sum += before;
  };
  for (let done = 0; done < length; ) {
    if (perBatch === 1) {
      const answer = session.fetchAdd(offset, 1n);
      take(answer instanceof Promise ? await answer : answer);
      done += 1;
      continue;
    }
    const steps = new Array<MemoryStep>(Math.min(perBatch, length - done)).fill(fetchAdd(offset, 1n));
    for (const before of await session.batch(steps)) take(before as bigint);
    done += steps.length;
  }
  tally.count += BigInt(length);
}

async function increment(
  session: Session,
  offset: number,
  length: number,
  perBatch: number,
  tally: Tally,
): Promise<void> {
  let seen = await session.load(offset);
  for (let done = 0; done < length; ) {
    if (perBatch === 1) {
      const answer = session.compareExchange(offset, seen, seen + 1n);
      const observed = answer instanceof Promise ? await answer : answer;
      if (observed === seen) {
        done += 1;
        tally.sum += seen;
        seen += 1n;
      } else {
        tally.met += 1;
        seen = observed;
      }
      continue;
    }
    const steps: MemoryStep[] = [];
    for (let at = 0; at < Math.min(perBatch, length - done); at += 1) {
      steps.push(compareExchange(offset, seen + BigInt(at), seen + BigInt(at + 1)));
    }
    const answers = await session.batch(steps, { stopOnFail: true });
    let applied = 0;
    while (applied < steps.length && answers[applied] === seen) {
      tally.sum += seen;
      seen += 1n;
      applied += 1;
    }
    done += applied;
    if (applied === steps.length) continue;
    tally.met += 1;
    seen = answers[applied] as bigint;
  }
  tally.count += BigInt(length);
}
