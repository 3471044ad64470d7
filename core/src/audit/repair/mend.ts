import type { Finding } from '../finding.js';
import type { RegionImage, Tables } from '../image.js';

/** A word that is to change, if it still is what was read. */
export interface Change {
  readonly offset: number;
  readonly expected: bigint;
  readonly desired: bigint;
}

/** Something that is put right. */
export interface Mend {
  /** The oracle that had found it. */
  readonly oracle: string;
  /** In plain words, as in "group 7 is given back to principal 3". */
  readonly what: string;
  readonly where: number;
  readonly changes: readonly Change[];
}

/** What a cure is given. */
export interface Patient {
  readonly image: RegionImage;
  readonly tables: Tables;
  /** What is damaged, and believed. */
  readonly damage: readonly Finding[];
  /** Nobody has joined, and nothing is kept for adoption: memory that cannot be told whose it is is nobody's. */
  readonly deserted: boolean;
}

/** A mend of one word. */
export function mendWord(oracle: string, what: string, offset: number, expected: bigint, desired: bigint): Mend[] {
  return expected === desired ? [] : [{ oracle, what, where: offset, changes: [{ offset, expected, desired }] }];
}

/** What makes `from` to `to`, both at `offset`, which is aligned. */
export function changesOf(offset: number, from: Uint8Array, to: Uint8Array): Change[] {
  const [before, after] = [viewOf(from), viewOf(to)];
  const changes: Change[] = [];
  for (let at = 0; at < from.length; at += 8) {
    const [expected, desired] = [before.getBigUint64(at, true), after.getBigUint64(at, true)];
    if (expected !== desired) changes.push({ offset: offset + at, expected, desired });
  }
  return changes;
}
function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The places of one kind that some oracles have found damaged. */
export function placesOf(
  damage: readonly Finding[],
  kind: 'member' | 'principal' | 'group',
  ...ids: string[]
): number[] {
  const found = new Set<number>();
  for (const finding of damage) {
    const place = finding[kind];
    if (place !== undefined && ids.includes(finding.oracle)) found.add(place);
  }
  return [...found].sort((a, b) => a - b);
}
