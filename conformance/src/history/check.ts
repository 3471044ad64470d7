import { type HistoryEvent, parseHistory } from './event.js';
import { linearize } from './linearize.js';
import { anything, type HistoryObject, type ObjectEvent, objectsOf } from './object.js';
import { type Contradiction, smallest } from './smallest.js';

export interface HistoryOptions {
  /** What each word holds before the first event. Default: zero. */
  readonly initial?: (offset: number) => bigint;
  /** How many pairs of a set of operations and a state the search for one object may see. Default 1,000,000. */
  readonly limit?: number;
}

export interface HistoryReport {
  /** No object contradicts itself, and none was left undecided. */
  readonly linearizable: boolean;
  readonly events: number;
  /** Of those, the ones whose outcome nobody knows. */
  readonly unknown: number;
  readonly words: number;
  /** Pieces of memory that were given out. */
  readonly pieces: number;
  readonly violations: readonly HistoryViolation[];
  /** Objects whose search was given up. */
  readonly undecided: readonly string[];
}

/** Something that no order of what happened explains. */
export interface HistoryViolation {
  readonly object: string;
  /** In words: what contradicts what. */
  readonly message: string;
  /** The smallest part of the history that was found to contradict itself. */
  readonly events: readonly HistoryEvent[];
}

/**
 * Holds a history against what memory is: each word, and each piece of memory that is given out, behaves as if one thing
 * happened at a time, each between its start and its end.
 * @param history lines, or the events that {@link parseHistory} gives
 * @throws `InvalidArgument` for a line that is no event
 */
export function checkHistory(
  history: string | Iterable<string> | readonly HistoryEvent[],
  options: HistoryOptions = {},
): HistoryReport {
  const events = isParsed(history) ? history : parseHistory(history as string | Iterable<string>);
  const objects = objectsOf(events, options.initial ?? (() => 0n));
  const violations: HistoryViolation[] = [];
  const undecided: string[] = [];
  for (const object of objects) {
    const operations = object.events.map(({ operation }) => operation);
    const { answer } = linearize(operations, object.initial, options.limit);
    if (answer === 'undecided') undecided.push(object.name);
    if (answer === 'contradictory') violations.push(violation(object));
  }
  return {
    linearizable: violations.length === 0 && undecided.length === 0,
    events: events.length,
    unknown: events.filter(({ outcome }) => outcome === 'unknown').length,
    words: objects.filter(({ kind }) => kind === 'word').length,
    pieces: objects.filter(({ kind }) => kind === 'memory').length,
    violations,
    undecided,
  };
}

function isParsed(history: unknown): history is readonly HistoryEvent[] {
  return Array.isArray(history) && typeof history[0] === 'object';
}

function violation(object: HistoryObject): HistoryViolation {
  const found = smallest(object);
  const events = [...new Set(found.events.map(({ event }) => event))];
  return { object: object.name, message: tell(object, found), events };
}

function tell(object: HistoryObject, { initial, events, order, state, stuck, others }: Contradiction): string {
  const [first] = events.map(({ operation }) => operation.start).sort((one, other) => (one < other ? -1 : 1)) as [
    bigint,
  ];
  const since = (at: bigint): string => (Number(at - first) / 1e6).toFixed(3);
  const when = ({ operation: { start }, event }: ObjectEvent): string =>
    event.end === null ? `from ${since(start)} on` : `${since(start)} to ${since(BigInt(event.end))} ms`;
  const lines = events.map((one) => `  ${one.event.client} ${one.tells}  (${when(one)})`);
  const steps = order.map(({ event, tells }) => `${event.client} ${tells}`);
  const began = initial === anything ? 'It begins as whatever it was' : `It begins as ${initial}`;
  const way = steps.length === 0 ? '' : `; then ${steps.slice(-8).join(', then ')}`;
  const now = object.kind === 'word' ? `the word is ${state}` : `it is ${state}`;
  const rest = others === 0 ? [] : [`  Whatever the other ${others} on it did does not explain that.`];
  return [
    `no order of these explains what was told about ${object.name}:`,
    ...lines,
    `  ${began}${way}: ${now} when ${stuck.event.client} ${stuck.tells}, and had to by then.`,
    ...rest,
  ].join('\n');
}
