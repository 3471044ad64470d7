/** An operation on one object, as the search sees it. */
export interface Operation {
  readonly start: bigint;
  /** Undefined: it may take effect at any time from its start on, or never. */
  readonly end: bigint | undefined;
  /** It may take effect any number of times. For proofs that what it did does not matter. */
  readonly free?: boolean;
  /**
   * Those that may be left out and have the same effect are alike: whatever a later one explains, an earlier one does. So they are
   * tried in the order of their starts, and nobody asks which of them it was.
   */
  readonly alike?: string;
  /** The state behind it is the same whatever was there. */
  readonly blind?: boolean;
  /** The state behind it; undefined where its answer contradicts the state before it. */
  apply(state: string): string | undefined;
}

export type Verdict =
  | { readonly answer: 'linearizable' | 'undecided'; readonly states: number }
  | {
      readonly answer: 'contradictory';
      /** How far the search went. */
      readonly states: number;
      /** The longest order that explains what it has, by indices. */
      readonly order: readonly number[];
      /** The state behind it. */
      readonly state: string;
      /** What had to come next, and could not. */
      readonly stuck: number;
    };

interface Entry {
  readonly op: number;
  readonly call: boolean;
  previous: Entry | undefined;
  next: Entry | undefined;
}

/**
 * Whether there is an order of operations that explains every answer, in which what ended before something began also comes
 * before it. The search is that of Wing and Gong (Testing and Verifying Concurrent Objects, 1993) with Lowe's memory of
 * where it has been (Testing for Linearizability, 2017), laid out as in Porcupine: calls and returns in the order of time as a
 * list; a call that fits is taken out, a return that is met means that its operation should have been.
 * @param limit of pairs of a set of operations and a state; beyond it the answer is `undecided`
 */
export function linearize(operations: readonly Operation[], initial: string, limit = 1_000_000): Verdict {
  const head = entriesOf(operations);
  const seen = new Set<string>();
  const taken = new Taken(operations);
  const stack: { readonly entry: Entry; readonly returned: Entry | undefined; readonly state: string }[] = [];
  const returns = returnsOf(head, operations.length);
  let left = operations.filter(({ end }) => end !== undefined).length;
  let state = initial;
  let best: { readonly order: number[]; readonly state: string; stuck: number } | undefined;
  let entry = head.next;
  while (left > 0) {
    if (entry === undefined) break;
    const operation = operations[entry.op]!;
    if (entry.call) {
      // What was left to choice, and is overwritten unseen, might as well not have happened.
      const last = stack[stack.length - 1];
      if (operation.blind === true && last !== undefined && operations[last.entry.op]!.end === undefined) {
        entry = entry.next;
        continue;
      }
      const earlier = taken.earlier(entry.op);
      const next = earlier >= 0 && !taken.has(earlier) ? undefined : operation.apply(state);
      // What may be left out and changes nothing is left out.
      const idle = next === state && operation.end === undefined;
      if (next === undefined || idle) {
        entry = entry.next;
        continue;
      }
      const free = operation.free === true;
      if (!free) taken.add(entry.op);
      const key = `${taken.key()}|${next}`;
      if (seen.has(key)) {
        if (!free) taken.remove(entry.op);
        entry = entry.next;
        continue;
      }
      if (seen.size >= limit) return { answer: 'undecided', states: seen.size };
      seen.add(key);
      const returned = returns[entry.op];
      stack.push({ entry, returned, state });
      state = next;
      if (!free) {
        lift(entry);
        if (returned !== undefined) {
          lift(returned);
          left -= 1;
        }
      }
      entry = head.next;
      continue;
    }
    if (best === undefined || stack.length > best.order.length) {
      best = { order: stack.map((step) => step.entry.op), state, stuck: entry.op };
    }
    const step = stack.pop();
    if (step === undefined) return { answer: 'contradictory', states: seen.size, ...best };
    state = step.state;
    if (operations[step.entry.op]!.free !== true) {
      if (step.returned !== undefined) {
        put(step.returned);
        left += 1;
      }
      put(step.entry);
      taken.remove(step.entry.op);
    }
    entry = step.entry.next;
  }
  return { answer: 'linearizable', states: seen.size };
}

/** Calls and returns by time; at the same instant calls come first, since what touches is concurrent. */
function entriesOf(operations: readonly Operation[]): Entry {
  const moments: { readonly at: bigint; readonly call: boolean; readonly op: number }[] = [];
  for (const [op, { start, end }] of operations.entries()) {
    moments.push({ at: start, call: true, op });
    if (end !== undefined) moments.push({ at: end, call: false, op });
  }
  moments.sort((one, other) => {
    if (one.at !== other.at) return one.at < other.at ? -1 : 1;
    return Number(other.call) - Number(one.call);
  });
  const head: Entry = { op: -1, call: true, previous: undefined, next: undefined };
  let last = head;
  for (const { op, call } of moments) {
    const entry: Entry = { op, call, previous: last, next: undefined };
    last.next = entry;
    last = entry;
  }
  return head;
}

function returnsOf(head: Entry, length: number): (Entry | undefined)[] {
  const returns = new Array<Entry | undefined>(length);
  for (let entry = head.next; entry !== undefined; entry = entry.next) if (!entry.call) returns[entry.op] = entry;
  return returns;
}

function lift(entry: Entry): void {
  entry.previous!.next = entry.next;
  if (entry.next !== undefined) entry.next.previous = entry.previous;
}

/** Where it was: entries come back in the opposite order of their going. */
function put(entry: Entry): void {
  entry.previous!.next = entry;
  if (entry.next !== undefined) entry.next.previous = entry;
}

/**
 * The set of operations that have been taken. Most histories are narrow: nearly all that began long ago has been taken, so the
 * set is the first that has not, and those beyond it that have.
 */
class Taken {
  readonly #required: Uint8Array;
  /** Of an operation that must take effect, its place by its start; of others, -1. */
  readonly #place: Int32Array;
  readonly #optional = new Set<number>();
  /** Of one that may be left out, the one like it that began before it; -1 if there is none. */
  readonly #earlier: Int32Array;
  #low = 0;
  #high = -1;

  constructor(operations: readonly Operation[]) {
    this.#place = new Int32Array(operations.length).fill(-1);
    const required = [...operations.keys()].filter((op) => operations[op]!.end !== undefined);
    required.sort((one, other) => compare(operations[one]!, operations[other]!));
    for (const [place, op] of required.entries()) this.#place[op] = place;
    this.#required = new Uint8Array(required.length + 1);
    this.#earlier = new Int32Array(operations.length).fill(-1);
    const last = new Map<string, number>();
    for (const op of [...operations.keys()].sort((one, other) => compare(operations[one]!, operations[other]!))) {
      const { alike, end, free } = operations[op]!;
      if (end !== undefined || free === true || alike === undefined) continue;
      this.#earlier[op] = last.get(alike) ?? -1;
      last.set(alike, op);
    }
  }

  has(op: number): boolean {
    return this.#optional.has(op);
  }

  earlier(op: number): number {
    return this.#earlier[op]!;
  }

  add(op: number): void {
    const place = this.#place[op]!;
    if (place < 0) {
      this.#optional.add(op);
      return;
    }
    this.#required[place] = 1;
    this.#high = Math.max(this.#high, place);
    while (this.#required[this.#low] === 1) this.#low += 1;
  }

  remove(op: number): void {
    const place = this.#place[op]!;
    if (place < 0) {
      this.#optional.delete(op);
      return;
    }
    this.#required[place] = 0;
    this.#low = Math.min(this.#low, place);
    while (this.#high >= 0 && this.#required[this.#high] === 0) this.#high -= 1;
  }

  key(): string {
    // As runs: while one is held up, thousands of others may end.
    let key = String(this.#low);
    for (let place = this.#low + 1, run = 0; place <= this.#high + 1; place += 1) {
      if (this.#required[place] === 1) run += 1;
      else if (run > 0) {
        key += `,${place - run}+${run}`;
        run = 0;
      }
    }
    if (this.#optional.size > 0) key += `;${[...this.#optional].sort((one, other) => one - other).join()}`;
    return key;
  }
}

const compare = (one: Operation, other: Operation): number => Number(one.start - other.start);
