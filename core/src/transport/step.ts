/**
 * The one-sided steps that everything in exomem is made of. Offsets and lengths are bytes, as `number`; words are
 * 64-bit little-endian, 8-byte aligned, as `bigint`.
 *
 * Two shapes only, one for words and one for bytes: the code that executes steps stays monomorphic.
 */
export interface WordStep {
  readonly op: 'load' | 'compareExchange' | 'fetchAdd';
  readonly offset: number;
  /** `compareExchange`: the value that must be there. Otherwise 0n. */
  readonly expected: bigint;
  /** `compareExchange`: the value to put there. `fetchAdd`: what to add, modulo 2^64. Otherwise 0n. */
  readonly desired: bigint;
}

export interface BytesStep {
  readonly op: 'read' | 'write';
  readonly offset: number;
  /** `read`: where the bytes go. `write`: where they come from. */
  readonly bytes: Uint8Array;
}

/** A step that touches the region once. */
export type MemoryStep = WordStep | BytesStep;

/** In the answer to a batch: this step was not run, because a compareExchange before it failed. */
export const notRun: unique symbol = Symbol.for('exomem.notRun') as never;

/** The answer to a word step is the word (what was there before), to a bytes step nothing. */
export type StepAnswer = bigint | undefined;
export type BatchAnswer = (StepAnswer | typeof notRun)[];

export const load = (offset: number): WordStep => ({ op: 'load', offset, expected: 0n, desired: 0n });
export const compareExchange = (offset: number, expected: bigint, desired: bigint): WordStep => ({
  op: 'compareExchange',
  offset,
  expected,
  desired,
});
export const fetchAdd = (offset: number, delta: bigint): WordStep => ({
  op: 'fetchAdd',
  offset,
  expected: 0n,
  desired: delta,
});
export const read = (offset: number, bytes: Uint8Array): BytesStep => ({ op: 'read', offset, bytes });
export const write = (offset: number, bytes: Uint8Array): BytesStep => ({ op: 'write', offset, bytes });
