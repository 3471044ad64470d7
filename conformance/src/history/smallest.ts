import { linearize, type Operation, type Verdict } from './linearize.js';
import { anything, type HistoryObject, type ObjectEvent } from './object.js';

/** Sets of operations and states that a proof about a part may take. */
const limit = 20_000;

/** Events and states that all proofs together may go through. */
const effort = 1_000_000;

/** The events that contradict each other, and where an order of them ends. */
export interface Contradiction {
  /** What it begins with. */
  readonly initial: string;
  readonly events: readonly ObjectEvent[];
  readonly order: readonly ObjectEvent[];
  readonly state: string;
  readonly stuck: ObjectEvent;
  /** Others on the same object, which explain nothing whatever they did. */
  readonly others: number;
}

/**
 * Makes a history that cannot be explained smaller, soundly: leaving an operation out could take an explanation away. So it is
 * cut off at the first answer that cannot be explained, and begun as late as possible, with anything; then operations are allowed to take effect at any later time, as often
 * as they like or never, and those that explain nothing even then are left out.
 */
export function smallest(object: HistoryObject): Contradiction {
  const { events, initial } = beginLate(cutOff(object), object.initial);
  let left = effort;
  /** Which count with their answers; the others may take effect as often as they like, or never. */
  const whole: boolean[] = events.map(() => true);
  for (let length = Math.max(1, events.length >> 1); ; length = Math.max(1, length >> 1)) {
    let relaxed = false;
    for (let at = 0; at < events.length; at += length) {
      const before = whole.slice(at, at + length);
      if (!before.includes(true) || left < 0) continue;
      whole.fill(false, at, at + length);
      const { answer, states } = judge(initial, events, whole);
      left -= events.length + states;
      if (answer === 'contradictory') relaxed = true;
      else whole.splice(at, before.length, ...before);
    }
    if (length === 1 && !relaxed) break;
  }
  const verdict = judge(initial, events, whole, Number.POSITIVE_INFINITY);
  if (verdict.answer !== 'contradictory') throw new Error('a history that is made smaller is explained on a sudden');
  const kept = events.filter((_, at) => whole[at]);
  return {
    initial,
    events: kept,
    order: verdict.order.map((at) => events[at]!),
    state: verdict.state,
    stuck: events[verdict.stuck]!,
    others: object.events.length - kept.length,
  };
}

/** The events up to the first answer that cannot be explained. What was asked before and answered later nobody knows by then. */
function cutOff({ events, initial }: HistoryObject): ObjectEvent[] {
  const ends = events.flatMap(({ operation: { end } }) => (end === undefined ? [] : [end]));
  ends.sort((one, other) => (one < other ? -1 : one > other ? 1 : 0));
  const until = (last: bigint): ObjectEvent[] =>
    events
      .filter(({ operation }) => operation.start <= last)
      .map((own) => {
        const { operation } = own;
        if (operation.end === undefined || operation.end <= last) return own;
        return { ...own, operation: { ...operation, end: undefined } };
      });
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const operations = until(ends[middle]!).map(({ operation }) => operation);
    if (linearize(operations, initial).answer === 'contradictory') high = middle;
    else low = middle + 1;
  }
  return until(ends[high]!);
}

/**
 * The end of a history that cannot be explained even if what it begins with may have been anything. What ended before comes before
 * all of it; what reached into it may take effect in it, as often as it likes.
 */
function beginLate(events: readonly ObjectEvent[], initial: string): { events: ObjectEvent[]; initial: string } {
  const starts = [...new Set(events.map(({ operation }) => operation.start))];
  starts.sort((one, other) => (one < other ? -1 : 1));
  const from = (first: bigint): ObjectEvent[] =>
    events.flatMap((own) => {
      const { operation } = own;
      if (operation.start >= first) return [own];
      if (operation.end !== undefined && operation.end < first) return [];
      return [{ ...own, operation: relaxed(own) }];
    });
  const contradictory = (first: bigint): boolean => {
    const operations = from(first).map(({ operation }) => operation);
    return linearize(operations, anything, limit).answer === 'contradictory';
  };
  // Mostly it is the last few; what is long takes long to prove.
  let length = 8;
  while (length < starts.length && !contradictory(starts[starts.length - length]!)) length *= 2;
  let low = Math.max(0, starts.length - length);
  let high = starts.length - 1;
  if (low === 0 && !contradictory(starts[low]!)) return { events: [...events], initial };
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (contradictory(starts[middle]!)) low = middle;
    else high = middle - 1;
  }
  return { events: from(starts[low]!), initial: anything };
}

function judge(initial: string, events: readonly ObjectEvent[], whole: readonly boolean[], most = limit): Verdict {
  const operations = events.map((own, at) => (whole[at] ? own.operation : relaxed(own)));
  return linearize(operations, initial, most);
}

/** May take effect at any time from its start on, as often as it likes, or never. */
function relaxed({ event, operation, effect }: ObjectEvent): Operation {
  // Sums that may be added as often as they like reach every value there is. Once is sound, too.
  const free = event.op !== 'fetchAdd';
  return { ...operation, end: undefined, free, apply: effect };
}
