import { pageBits } from '../region/words.js';

/** The low half of a group word is 16 x 2 bits, page 0 highest. A mask has both bits of each of its pages set. */

/** The mask of all pages. */
export const allMask = 0xffff_ffff;

/** The mask of `pages` pages from `index` on. */
export function runMask(index: number, pages: number): number {
  return pages === 16 ? 0xffff_ffff : (((1 << (2 * pages)) - 1) << (32 - 2 * (index + pages))) >>> 0;
}

/** The mask of the pages of `set`, a bit per page with page 0 lowest. */
export function setMask(set: number): number {
  let mask = 0;
  for (let index = 0; index < 16; index++) if (set & (1 << index)) mask |= runMask(index, 1);
  return mask >>> 0;
}

/** A run that begins at `index`: its head 01, or 11 as long as it is under construction; the rest 10. */
export function runBits(index: number, pages: number, constructing: boolean): number {
  const head = (constructing ? pageBits.withheld : pageBits.head) << (30 - 2 * index);
  return ((runMask(index, pages) & 0xaaaa_aaaa & ~runMask(index, 1)) | head) >>> 0;
}

/** Whether `pages` pages from `index` on are free. */
export function hasRoom(low: number, index: number, pages: number): boolean {
  return (low & runMask(index, pages)) === 0;
}

/** The first of `pages` free pages in a row, of the first `groupPages`; -1 if there are not so many. */
export function firstRoom(low: number, pages: number, groupPages: number): number {
  // A bit for each page that is free and begins a run of one; of two; and so on.
  let begins = ~(low | (low >>> 1)) & 0x5555_5555 & runMask(0, groupPages);
  for (let length = 1; length < pages; length++) begins &= begins << 2;
  return begins === 0 ? -1 : Math.clz32(begins) >>> 1;
}

/** How many of the first `groupPages` pages are free. */
export function freePages(low: number, groupPages: number): number {
  let used = (low | (low >>> 1)) & 0x5555_5555 & runMask(0, groupPages);
  used = (used & 0x3333_3333) + ((used >>> 2) & 0x3333_3333);
  used = (used + (used >>> 4)) & 0x0f0f_0f0f;
  return groupPages - (Math.imul(used, 0x0101_0101) >>> 24);
}

/** The pages (a bit per page, page 0 lowest) of `low` that show exactly those bits. */
export function pagesWith(low: number, bits: number, groupPages: number): number {
  let set = 0;
  for (let index = 0; index < groupPages; index++) if (((low >>> (30 - 2 * index)) & 3) === bits) set |= 1 << index;
  return set;
}
