import fc from 'fast-check';
import type { Area } from './areas.js';
import type { Copy } from './image.js';

/** What is done to the bytes of an area. */
export interface Harm {
  readonly area: string;
  /** Where in the area, of the whole of it. */
  readonly at: number;
  readonly how: 'flip' | 'zero' | 'noise' | 'copy' | 'stretch';
  readonly word: bigint;
}

/** @param most harms that one image suffers */
export function harmsIn(areas: readonly Area[], most: number): fc.Arbitrary<Harm[]> {
  const harm = fc.record({
    area: fc.constantFrom(...areas.map(({ name }) => name)),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    how: fc.constantFrom(
      'flip' as const,
      'flip' as const,
      'zero' as const,
      'noise' as const,
      'copy' as const,
      'stretch' as const,
    ),
    word: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  });
  return fc.array(harm, { minLength: 1, maxLength: most });
}

/** Does it. Whether a byte is another now. */
export function inflict(copy: Copy, areas: readonly Area[], harms: readonly Harm[]): boolean {
  let changed = false;
  for (const { area: name, at, how, word } of harms) {
    const area = areas.find((one) => one.name === name);
    if (area === undefined) continue;
    const words = Math.ceil(area.length / 8);
    const place = area.offset + Math.floor(at * words) * 8;
    const count = how === 'stretch' ? Math.min(1 + Number(word % 64n), words - Math.floor(at * words)) : 1;
    for (let number = 0; number < count; number++) {
      const offset = place + 8 * number;
      const was = copy.load(offset);
      const is = changedWord(copy, area, was, how, word + BigInt(number) * 0x9e37_79b9_7f4a_7c15n);
      if (is === was) continue;
      copy.store(offset, is);
      changed = true;
    }
  }
  return changed;
}

function changedWord(copy: Copy, area: Area, was: bigint, how: Harm['how'], word: bigint): bigint {
  switch (how) {
    case 'flip':
      return was ^ (1n << (word % 64n));
    case 'zero':
      return 0n;
    case 'copy':
      return copy.load(area.offset + Number(word % BigInt(Math.ceil(area.length / 8))) * 8);
    case 'noise':
      return BigInt.asUintN(64, word);
    case 'stretch':
      return word % 3n === 0n ? 0n : BigInt.asUintN(64, word);
  }
}

/** As it is written down to be done again. */
export function written(harms: readonly Harm[]): string {
  return `[${harms.map(({ area, at, how, word }) => `{ area: '${area}', at: ${at}, how: '${how}', word: ${word}n }`).join(', ')}]`;
}
