import type { HistoryEvent } from '@exomem/conformance';

/** What a thread did, in memory that it shares: seven words for each step, and a state that says how far it is. */
export interface Slate {
  readonly capacity: number;
  readonly words: BigUint64Array;
  readonly states: Int32Array;
}

const ops = ['read', 'write', 'compareExchange', 'fetchAdd'] as const;
type SlateOp = (typeof ops)[number];
const perStep = 7;
/** States of a step. */
const under = 1;
const over = 2;

export const slateBytes = (capacity: number): number => capacity * (perStep * 8 + 8);

export function slate(memory: SharedArrayBuffer): Slate {
  const capacity = memory.byteLength / (perStep * 8 + 8);
  return {
    capacity,
    words: new BigUint64Array(memory, 0, capacity * perStep),
    states: new Int32Array(memory, capacity * perStep * 8, capacity),
  };
}

export function begun(
  { words, states }: Slate,
  at: number,
  op: SlateOp,
  offset: number,
  one: bigint,
  two: bigint,
): void {
  const base = at * perStep;
  words[base] = BigInt(ops.indexOf(op));
  words[base + 1] = BigInt(offset);
  words[base + 2] = one;
  words[base + 3] = two;
  words[base + 4] = process.hrtime.bigint();
  Atomics.store(states, at, under);
}

export function done({ words, states }: Slate, at: number, result: bigint): void {
  const base = at * perStep;
  words[base + 5] = process.hrtime.bigint();
  words[base + 6] = result;
  Atomics.store(states, at, over);
}

/** What the slate of a thread says, in the order of its steps. */
export function eventsOf({ words, states, capacity }: Slate, client: string): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  for (let at = 0; at < capacity && Atomics.load(states, at) !== 0; at += 1) {
    const base = at * perStep;
    const op = ops[Number(words[base])]!;
    const one = String(words[base + 2]);
    const start = words[base + 4]!;
    const told = Atomics.load(states, at) === over;
    const end = told ? String(words[base + 5]) : null;
    const given = {
      read: {},
      write: { value: one },
      compareExchange: { expected: one, desired: String(words[base + 3]) },
      fetchAdd: { delta: one },
    }[op];
    events.push({
      client,
      op,
      offset: Number(words[base + 1]),
      ...given,
      result: told && op !== 'write' ? String(words[base + 6]) : null,
      start: String(start),
      end,
      outcome: told ? 'ok' : 'unknown',
    });
  }
  return events;
}
