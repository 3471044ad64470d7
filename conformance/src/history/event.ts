import { ExomemError } from '@exomem/core';

/** What one client did and was told: a line of a history. */
export interface HistoryEvent {
  readonly client: string;
  readonly op: HistoryOp;
  /** Bytes into the region; of `allocate`, absent. */
  readonly offset?: number;
  /** Bytes; 8 unless given, of a read or a write a multiple of 8. */
  readonly length?: number;
  /** `compareExchange`: a word, in decimal. */
  readonly expected?: string;
  readonly desired?: string;
  /** `fetchAdd`: what was added, modulo 2^64. */
  readonly delta?: string;
  /** `write`: the words, one after the other; a single one may stand by itself. */
  readonly value?: string | readonly string[];
  /**
   * `read`: the words. `compareExchange` and `fetchAdd`: what was there before. `allocate`: the offset that was given. Otherwise,
   * and where nobody knows, null.
   */
  readonly result: string | readonly string[] | number | null;
  /** When it was asked and answered: nanoseconds of one monotonic clock, in decimal. `end` is null where no answer came. */
  readonly start: string;
  readonly end: string | null;
  /** `ok`: answered. `unknown`: it may have taken effect, may yet, or never will. `failed`: it has not, and never will. */
  readonly outcome: 'ok' | 'unknown' | 'failed';
  readonly error?: string;
}

export const historyOps = ['read', 'write', 'compareExchange', 'fetchAdd', 'allocate', 'free'] as const;
export type HistoryOp = (typeof historyOps)[number];

const decimal = /^\d{1,20}$/;
const wordLimit = 1n << 64n;

/**
 * Reads a history, a JSON object a line; empty lines are passed over.
 * @throws `InvalidArgument` with the number of the line
 */
export function parseHistory(lines: string | Iterable<string>): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  let number = 0;
  for (const line of typeof lines === 'string' ? lines.split('\n') : lines) {
    number += 1;
    if (line.trim() === '') continue;
    let event: unknown;
    try {
      event = JSON.parse(line);
    } catch (cause) {
      throw wrong(number, (cause as Error).message);
    }
    const why = problem(event as HistoryEvent);
    if (why !== undefined) throw wrong(number, why);
    events.push(event as HistoryEvent);
  }
  return events;
}

/** What is wrong with an event; undefined if nothing is. */
function problem(event: HistoryEvent): string | undefined {
  if (typeof event !== 'object' || event === null) return 'it is no object';
  const { op, offset, length, outcome, start, end, result } = event;
  if (typeof event.client !== 'string' || event.client === '') return 'client is no name';
  if (!historyOps.includes(op)) return `there is no op ${String(op)}`;
  if (!['ok', 'unknown', 'failed'].includes(outcome)) return `there is no outcome ${String(outcome)}`;
  if (!isDecimal(start)) return 'start is no number of nanoseconds, in decimal, as a string';
  if (end !== null && !isDecimal(end)) return 'end is no number of nanoseconds, in decimal, as a string, and not null';
  if (end === null && outcome === 'ok') return 'it is ok, and has no end';
  if (end !== null && BigInt(end) < BigInt(start)) return 'it ends before it starts';
  if (length !== undefined && !(Number.isSafeInteger(length) && length > 0)) return `length is ${String(length)}`;
  if (op !== 'allocate' && !(Number.isSafeInteger(offset) && offset! >= 0)) return `offset is ${String(offset)}`;
  const told = outcome === 'ok';
  switch (op) {
    case 'allocate':
      if (length === undefined) return 'an allocation has a length';
      if (told && !(Number.isSafeInteger(result) && (result as number) >= 0)) return 'result is no offset';
      return undefined;
    case 'free':
      return undefined;
    case 'compareExchange':
      if (!isWord(event.expected) || !isWord(event.desired)) return 'expected and desired are words, in decimal';
      break;
    case 'fetchAdd':
      if (!isWord(event.delta)) return 'delta is a word, in decimal';
      break;
    case 'write':
      if (!areWords(event.value, length)) return 'value is the words that were written, in decimal';
      break;
  }
  if (offset! % 8 !== 0 || (length ?? 8) % 8 !== 0)
    return 'a history is of whole words: offset and length are multiples of 8';
  if (!told || op === 'write') return undefined;
  if (op === 'read') return areWords(result, length) ? undefined : 'result is the words that were read, in decimal';
  return isWord(result) ? undefined : 'result is the word that was there, in decimal';
}

const isDecimal = (text: unknown): boolean => typeof text === 'string' && decimal.test(text);
const isWord = (text: unknown): boolean => isDecimal(text) && BigInt(text as string) < wordLimit;

function areWords(value: unknown, length = 8): boolean {
  if (!Array.isArray(value)) return length === 8 && isWord(value);
  return value.length === length / 8 && value.every(isWord);
}

function wrong(line: number, why: string): ExomemError {
  return new ExomemError('InvalidArgument', `line ${line} is no event of a history: ${why}`, {
    advice: 'see the format in the README of @exomem/conformance',
  });
}
