import type { Awaitable, BatchAnswer, CallOptions, MemoryStep, Session } from '@exomem/core';
import { notRun } from '@exomem/core';
import { turn } from './connection.js';

/** Something that a session is asked to do, in the ways in which it may come about. */
export interface Act<T> {
  /** What it carries, for the time that it takes. */
  readonly bytes: number;
  whole(): Awaitable<T>;
  /** In so many pieces at the edges of words and of steps, with turns in between; `goesOn` says whether to go on. */
  torn(pieces: number, goesOn: () => boolean): Awaitable<T>;
  /** The first so many words or steps of it, and no more; absent where there is no part of it. */
  readonly part: ((amount: number) => Awaitable<unknown>) | undefined;
}

/** Where a call goes when it arrives: the session may be another one by then. */
export interface Passage {
  readonly session: Session;
  readonly options: CallOptions | undefined;
}

export function wholeAct<T>(bytes: number, whole: () => Awaitable<T>): Act<T> {
  return { bytes, whole, torn: whole, part: undefined };
}

export function readAct(passage: () => Passage, offset: number, length: number): Act<Uint8Array> {
  const bytes = new Uint8Array(length);
  const read = (from: number, to: number): Awaitable<void> => {
    const { session, options } = passage();
    return session.read(offset + from, bytes.subarray(from, to), options);
  };
  return {
    bytes: length,
    whole: () => after(read(0, length), bytes),
    torn: async (pieces, goesOn) => {
      for (const [from, to] of cuts(offset, length, pieces)) {
        if (from > 0) await turn();
        if (!goesOn()) break;
        await read(from, to);
      }
      return bytes;
    },
    part: undefined,
  };
}

export function writeAct(passage: () => Passage, offset: number, source: Uint8Array): Act<void> {
  const write = (from: number, to: number): Awaitable<void> => {
    const { session, options } = passage();
    return session.write(offset + from, source.subarray(from, to), options);
  };
  const { length } = source;
  return {
    bytes: length,
    whole: () => write(0, length),
    torn: async (pieces, goesOn) => {
      for (const [from, to] of cuts(offset, length, pieces)) {
        if (from > 0) await turn();
        if (!goesOn()) break;
        await write(from, to);
      }
    },
    part: (words) => write(0, Math.min(length, words * 8 - (offset % 8))),
  };
}

export function batchAct(passage: () => Passage, steps: readonly MemoryStep[], stopOnFail: boolean): Act<BatchAnswer> {
  const run = (from: number, to: number): Awaitable<BatchAnswer> => {
    const { session, options } = passage();
    return session.batch(steps.slice(from, to), stopOnFail ? { ...options, stopOnFail } : options);
  };
  return {
    bytes: steps.reduce((sum, step) => sum + ('bytes' in step ? step.bytes.length : 16), 0),
    whole: () => run(0, steps.length),
    torn: async (pieces, goesOn) => {
      const answers: BatchAnswer = [];
      const length = Math.ceil(steps.length / pieces);
      while (answers.length < steps.length && goesOn()) {
        const from = answers.length;
        if (from > 0) await turn();
        answers.push(...(await run(from, from + length)));
        const at = answers.length - 1;
        const last = steps[at]!;
        if (!stopOnFail) continue;
        if (answers[at] === notRun || (last.op === 'compareExchange' && answers[at] !== last.expected)) break;
      }
      while (answers.length < steps.length) answers.push(notRun);
      return answers;
    },
    part: (amount) => run(0, amount),
  };
}

/** Cuts a range into at most so many pieces that meet at multiples of 8. */
function* cuts(offset: number, length: number, pieces: number): Generator<readonly [from: number, to: number]> {
  const words = Math.max(1, Math.ceil(length / 8 / pieces));
  for (let from = 0; from < length; ) {
    const to = Math.min(length, (Math.floor((offset + from) / 8) + words) * 8 - offset);
    yield [from, to];
    from = to;
  }
}

const after = <T>(done: Awaitable<void>, value: T): Awaitable<T> =>
  done instanceof Promise ? done.then(() => value) : value;
