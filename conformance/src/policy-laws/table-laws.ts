import { bitsOf, type Geometry, highHalf, type Identity, lowHalf, ownerHalf, pageBits, pageOffset } from '@exomem/core';
import type { Holder, Run } from './holding.js';
import { Breach } from './law.js';

/** A table of group words, and what clients were told: what the laws of a moment are judged from. */
export interface Table {
  readonly geometry: Geometry;
  readonly groups: number;
  word(group: number): bigint;
  /** The run that has that page. */
  at(page: number): Run | undefined;
  isNamed(page: number): boolean;
  /** Who acts by that half of a word. */
  holder(high: number): Holder | undefined;
  /** Whether such a run is on its way out, and may still be shown. */
  isLeaving(page: number, pages: number): boolean;
}

const bitNames = ['free', 'a head', 'a continuation', 'withheld'];

export function describeRun({ holder, page, pages, state }: Run): string {
  return `${holder.name} holds ${pages} pages from page ${page} (${state})`;
}

/** The half of a word that shows that owner. */
export const ownHalf = ({ principal, incarnation }: Identity): number => ownerHalf(principal, incarnation);

/** A group shows what clients were told of its pages. @throws `Breach` of `shown` or `named` */
export function checkGroup(table: Table, group: number): void {
  const { groupPages } = table.geometry;
  const word = table.word(group);
  const [high, low] = [highHalf(word), lowHalf(word)];
  for (let index = 0; index < groupPages; index++) {
    const page = group * groupPages + index;
    const bits = bitsOf(low, index);
    if (table.isNamed(page) && (bits !== pageBits.withheld || high >>> 16 === 0)) {
      throw new Breach('named', `page ${page} has a name, and its word 0x${word.toString(16)} says ${bitNames[bits]}`);
    }
    const run = table.at(page);
    if (run === undefined) continue;
    const { holder, state } = run;
    const expected = page === run.page ? pageBits.head : pageBits.continuation;
    const right =
      state === 'live' ? bits === expected : state === 'constructing' ? bits === pageBits.withheld : bits !== 0;
    if (high !== ownHalf(holder.identity) || !right) {
      throw new Breach('shown', `${describeRun(run)}, and the word of group ${group} says 0x${word.toString(16)}`);
    }
  }
}

/** Every run that the table shows as committed around that group is whole, or on its way. @throws `Breach` of `whole` */
export function checkRuns(table: Table, group: number): void {
  const { groupPages } = table.geometry;
  const total = table.groups * groupPages;
  const bits = (page: number): number => bitsOf(lowHalf(table.word(Math.floor(page / groupPages))), page % groupPages);
  const end = (group + 1) * groupPages;
  // A run that reaches into this group begins in it, or in a group before it that ends with a part of the run.
  let start = group * groupPages;
  while (start > 0 && bits(start) === pageBits.continuation) start--;
  for (let page = start; page < end; page++) {
    if (bits(page) !== pageBits.head) continue;
    const high = highHalf(table.word(Math.floor(page / groupPages)));
    if (high >>> 16 === 0) continue;
    let length = 1;
    while (
      page + length < total &&
      bits(page + length) === pageBits.continuation &&
      highHalf(table.word(Math.floor((page + length) / groupPages))) === high
    ) {
      length++;
    }
    const holder = table.holder(high);
    if (holder === undefined || asksFor(holder, length)) continue;
    const run = table.at(page);
    if (run?.page === page && run.pages === length) continue;
    if (table.isLeaving(page, length)) continue;
    throw new Breach(
      'whole',
      `the bytes show ${length} pages from page ${page} as a run of ${holder.name}, who asked for no such run`,
    );
  }
}

function asksFor({ asking }: Holder, pages: number): boolean {
  for (const { request } of asking) if (request.pages === pages && request.named !== true) return true;
  return false;
}

/** Where a run would fit that the holder could claim: its own room, and groups that nobody owns. */
export function claimable(
  words: readonly bigint[],
  geometry: Geometry,
  identity: Identity,
  pages: number,
  alignment = 1,
): string | undefined {
  const own = ownHalf(identity);
  const { groupPages } = geometry;
  const aligned = (page: number): boolean => pageOffset(geometry, page) % alignment === 0;
  let run = 0;
  for (let group = words.length - 1; group >= 0; group--) {
    const word = words[group]!;
    const nobody = highHalf(word) >>> 16 === 0;
    const mine = highHalf(word) === own;
    run = nobody || (mine && lowHalf(word) === 0) ? run + groupPages : 0;
    if (pages > groupPages) {
      if (run >= pages && aligned(group * groupPages)) return `from group ${group}`;
      continue;
    }
    let length = 0;
    for (let index = groupPages - 1; index >= 0; index--) {
      length = nobody || (mine && bitsOf(lowHalf(word), index) === 0) ? length + 1 : 0;
      if (length >= pages && aligned(group * groupPages + index)) return `in group ${group}`;
    }
  }
  return undefined;
}

/** What is given is what was asked for. @throws `Breach` of `placed` */
export function checkPlaced(
  geometry: Geometry,
  total: number,
  holder: Pick<Holder, 'name'>,
  { page, pages }: { readonly page: number; readonly pages: number },
  asked: { readonly pages: number; readonly alignment?: number },
): void {
  if (pages !== asked.pages || !Number.isInteger(page) || page < 0 || page + pages > total) {
    throw new Breach('placed', `${holder.name} asked for ${asked.pages} pages and got ${pages} from page ${page}`);
  }
  if (pageOffset(geometry, page) % (asked.alignment ?? geometry.pageSize) !== 0) {
    throw new Breach('placed', `page ${page} is not aligned to ${asked.alignment}`);
  }
}

/** A page that was just given out shows nothing but zeros, or what its holder wrote before. @throws `Breach` of `fresh` */
export function checkFresh(bytes: Uint8Array, holder: Holder, page: number, initialise: 'zero' | 'none'): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const own = initialise === 'none' ? holder.tag : 0;
  for (let at = 0; at < words.length; at++) {
    if (words[at] === 0) continue;
    for (const byte of bytes.subarray(4 * at, 4 * at + 4)) {
      if (byte === 0 || byte === own) continue;
      throw new Breach(
        'fresh',
        `${holder.name} got page ${page} (${initialise}), and it shows a byte 0x${byte.toString(16)}`,
      );
    }
  }
}
