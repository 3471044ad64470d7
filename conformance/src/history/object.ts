import type { HistoryEvent } from './event.js';
import type { Operation } from './linearize.js';

/** A part of a history that can be judged by itself: the events on one word, or on one piece of memory that is given out. */
export interface HistoryObject {
  /** For messages. */
  readonly name: string;
  readonly kind: 'word' | 'memory';
  readonly initial: string;
  readonly events: readonly ObjectEvent[];
}

/** An event as far as it concerns one object. */
export interface ObjectEvent {
  readonly event: HistoryEvent;
  readonly operation: Operation;
  /** The state behind it, whatever was answered. */
  effect(state: string): string;
  /** What it did here, for people. */
  readonly tells: string;
}

const mask = (1n << 64n) - 1n;
const free = 'free';

/** Of an object of which nothing is known yet: whatever the next answer says is what it was. */
export const anything = 'anything';

/**
 * Takes a history apart. Linearizability is local (Herlihy and Wing, 1990): a history of words is linearizable if that of
 * each word is. A read or a write of several words is one of each word, since nobody promises more. An allocation is one of each
 * piece of memory that it covers, which is what "no two have it at a time" asks for.
 */
export function objectsOf(events: readonly HistoryEvent[], initial: (offset: number) => bigint): HistoryObject[] {
  const words = new Map<number, ObjectEvent[]>();
  for (const event of events) {
    if (event.outcome === 'failed' || event.op === 'allocate' || event.op === 'free') continue;
    if (event.op === 'read' && event.outcome !== 'ok') continue;
    for (let at = 0; at < (event.length ?? 8); at += 8) {
      const offset = event.offset! + at;
      const there = words.get(offset) ?? [];
      if (there.length === 0) words.set(offset, there);
      there.push(onWord(event, at / 8));
    }
  }
  const objects: HistoryObject[] = [...words].map(([offset, own]) => ({
    name: `the word at ${offset}`,
    kind: 'word',
    initial: String(initial(offset)),
    events: own,
  }));
  return [...objects, ...memoryOf(events)];
}

function onWord(event: HistoryEvent, index: number): ObjectEvent {
  const { op, outcome } = event;
  const told = outcome === 'ok';
  const pick = (value: HistoryEvent['value'] | HistoryEvent['result']): string =>
    String(Array.isArray(value) ? value[index] : value).replace(/^0+(?=\d)/, '');
  switch (op) {
    case 'read': {
      const result = pick(event.result);
      return made(event, `reads ${result}`, unchanged, result);
    }
    case 'write': {
      const value = pick(event.value);
      return made(event, `writes ${value}`, () => value, undefined, value);
    }
    case 'compareExchange': {
      const expected = pick(event.expected);
      const desired = pick(event.desired);
      const result = told ? pick(event.result) : undefined;
      const answered = result === undefined ? '' : result === expected ? ', and does' : `, and finds ${result}`;
      const put = (state: string): string => (state === expected ? desired : state);
      return made(event, `puts ${desired} where ${expected} is${answered}`, put, result);
    }
    default: {
      const delta = BigInt(event.delta!);
      const result = told ? pick(event.result) : undefined;
      const add = (state: string): string => String((BigInt(state) + delta) & mask);
      return made(event, `adds ${delta}${result === undefined ? '' : ` to ${result}`}`, add, result);
    }
  }
}

/** Cuts the memory that was given out at every edge that there is, so that each piece is given out whole. */
function memoryOf(events: readonly HistoryEvent[]): HistoryObject[] {
  const edges = new Set<number>();
  const relevant = events.filter(({ op, outcome }) => {
    if (op === 'allocate') return outcome === 'ok';
    return op === 'free' && outcome !== 'failed';
  });
  const beginOf = (event: HistoryEvent): number => (event.op === 'allocate' ? (event.result as number) : event.offset!);
  for (const event of relevant) {
    edges.add(beginOf(event));
    if (event.length !== undefined) edges.add(beginOf(event) + event.length);
  }
  const sorted = [...edges].sort((one, other) => one - other);
  const place = new Map(sorted.map((edge, at) => [edge, at]));
  const pieces: ObjectEvent[][] = sorted.map(() => []);
  const lengths = new Map<number, number>();
  for (const event of relevant) {
    if (event.op === 'allocate') lengths.set(beginOf(event), Math.max(event.length!, lengths.get(beginOf(event)) ?? 0));
  }
  for (const event of relevant) {
    const begin = beginOf(event);
    // Without a length it is not known which pieces a free concerns: it concerns those that its allocation has.
    const length = event.length ?? lengths.get(begin) ?? 0;
    for (let at = place.get(begin)!; at < sorted.length && sorted[at]! < begin + length; at += 1) {
      pieces[at]!.push(onMemory(event, begin));
    }
  }
  const objects: HistoryObject[] = [];
  for (const [at, own] of pieces.entries()) {
    if (own.length === 0) continue;
    const name = `the memory from ${sorted[at]} to ${sorted[at + 1] ?? 'there on'}`;
    objects.push({ name, kind: 'memory', initial: free, events: own });
  }
  return objects;
}

function onMemory(event: HistoryEvent, begin: number): ObjectEvent {
  const holder = `held from ${begin} on`;
  const length = event.length === undefined ? '' : `${event.length} bytes `;
  if (event.op === 'allocate') {
    const take = (state: string): string => (state === free ? holder : state);
    return made(event, `is given ${length}at ${begin}`, take, free);
  }
  const lenient = event.length === undefined;
  const give = (state: string): string => (state === holder ? free : state);
  return made(event, `frees ${length}at ${begin}`, give, lenient ? undefined : holder);
}

const unchanged = (state: string): string => state;

/**
 * @param effect the state behind it, for the state before it
 * @param before the state that its answer says was there, if it has one
 * @param after the state behind it whatever was there before, if that is known
 */
function made(
  event: HistoryEvent,
  tells: string,
  effect: (state: string) => string,
  before: string | undefined,
  after = anything,
): ObjectEvent {
  const known = event.outcome === 'ok';
  const onAnything = (state: string): string => (state === anything ? after : effect(state));
  const answered = (state: string): string | undefined => {
    if (state === anything) return effect(before!);
    return state === before ? effect(state) : undefined;
  };
  const apply = known && before !== undefined ? answered : onAnything;
  const alike = `${event.op} ${event.expected} ${event.desired} ${event.delta} ${after}`;
  const operation = {
    start: BigInt(event.start),
    end: known ? BigInt(event.end!) : undefined,
    alike,
    blind: after !== anything,
    apply,
  };
  return { event, operation, effect: onAnything, tells: known ? tells : `${tells}, and nobody knows whether it did` };
}
