import { bitsOf, type Geometry, highHalf, lowHalf, ownerOf, pageBits, userGroups } from '@exomem/core';
import { type RegionImage, readWords } from '../image/region-image.js';
import { type Dump, type DumpLine, hex, line, runsOf, span } from './line.js';

/** Group words that are read at a time. */
const chunk = 65_536;

/** The table of group words, runs of equal words as one line. `owners`: of these principals alone. */
export async function* dumpGroups(image: RegionImage, geometry: Geometry, owners?: ReadonlySet<number>): Dump {
  if (owners === undefined) {
    yield line('legend', 'pages of a group: . free, H head, - continuation, w withheld; of nobody: 0 zero, d dirty');
  }
  const limit = userGroups(geometry);
  for (let base = 0; base < geometry.groupCount; ) {
    // A run does not reach from the groups of users into the reserve.
    const end = base < limit ? limit : geometry.groupCount;
    const words = await readWords(image, geometry.groupOffset + base * 8, Math.min(chunk, end - base));
    for (const [at, count, word] of runsOf(words, (a, b) => a === b)) {
      if (owners !== undefined && !owners.has(ownerOf(highHalf(word)).principal)) continue;
      yield groupsLine(base + at, count, word, geometry, base >= limit);
    }
    if (words.length === 0) {
      yield line('damage', `groups ${span(base, geometry.groupCount - base)}: the region ends before them`);
      return;
    }
    base += words.length;
  }
}

function groupsLine(group: number, count: number, word: bigint, { groupPages }: Geometry, reserve: boolean): DumpLine {
  const { principal, incarnation } = ownerOf(highHalf(word));
  const low = lowHalf(word);
  let pages = '';
  for (let index = 0; index < groupPages; index++) {
    const bits = bitsOf(low, index);
    if (principal === 0) pages += bits === pageBits.dirty ? 'd' : bits === pageBits.clean ? '0' : '?';
    else pages += '.H-w'[bits];
  }
  const owner =
    principal === 0
      ? incarnation === 0
        ? 'nobody'
        : `nobody, incarnation ${incarnation}`
      : `principal ${principal} incarnation ${incarnation}`;
  return line('groups', `group ${span(group, count)}${reserve ? ' (reserve)' : ''}: ${hex(word)} ${owner} ${pages}`, {
    group,
    count,
    word: hex(word),
    principal,
    incarnation,
    pages,
    reserve,
  });
}
