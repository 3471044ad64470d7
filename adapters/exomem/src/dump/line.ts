/** One thing that a dump tells: for people, and for programs. */
export interface DumpLine {
  readonly text: string;
  /** What it is: `superblock`, `member`, `principal`, `groups`, `root`, `slots`, `record` ... */
  readonly kind: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type Dump = AsyncGenerator<DumpLine, void, void>;

export const line = (kind: string, text: string, fields: Readonly<Record<string, unknown>> = {}): DumpLine => ({
  kind,
  text,
  fields,
});

/** A word as all 16 digits. */
export const hex = (word: bigint): string => `0x${word.toString(16).padStart(16, '0')}`;

/** The name of a state, or its number. */
export function nameOf(states: Readonly<Record<string, number>>, state: number): string {
  return (
    Object.entries(states)
      .find(([, value]) => value === state)?.[0]
      .toUpperCase() ?? String(state)
  );
}

/** Runs of equal values: where each begins, and how many it has. */
export function* runsOf<T>(
  values: Iterable<T>,
  same: (a: T, b: T) => boolean,
): Generator<[at: number, count: number, value: T]> {
  let start = 0;
  let at = 0;
  let current: T | undefined;
  for (const value of values) {
    if (at > start && !same(current as T, value)) {
      yield [start, at - start, current as T];
      start = at;
    }
    if (at === start) current = value;
    at++;
  }
  if (at > start) yield [start, at - start, current as T];
}

/** `5`, or `5-9`. */
export const span = (at: number, count: number): string => (count === 1 ? String(at) : `${at}-${at + count - 1}`);
