import { ExomemError } from '@exomem/core';

/** What is wrong with a range of a region of `size` bytes; an offset too large for a number arrives as infinity. */
export function checkRange(offset: number, length: number, size: number): ExomemError | undefined {
  if (offset + length <= size) return undefined;
  return new ExomemError('OutOfRange', `${length} bytes at ${offset} end beyond the region's ${size} bytes`);
}

/** What is wrong with the place of a word. */
export function checkWord(offset: number, size: number): ExomemError | undefined {
  if (offset + 8 > size) return checkRange(offset, 8, size);
  if (offset % 8 === 0) return undefined;
  return new ExomemError('Unaligned', `a word cannot lie at ${offset}: it is no multiple of 8`);
}
