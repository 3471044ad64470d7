import type { Protocol } from '../protocol/protocol.js';
import { type Geometry, groupWordOffset, userGroups } from '../region/geometry.js';
import { bitsOf, ownerOf, pageBits } from '../region/words.js';
import { read } from '../transport/step.js';
import type { Usage } from './policy.js';
import { surely } from './resolve.js';
import { countUsage } from './survey.js';

/**
 * What pages are used for, seen from outside:
 * - `free`: in a group that nobody owns
 * - `room`: free, in a group of somebody
 * - `held`: one allocation
 * - `withheld`: pages of named files, or under construction
 * - `reserve`, `snapshot`: set aside for the namespace, and in use by it
 */
export type Holding = 'free' | 'room' | 'held' | 'withheld' | 'reserve' | 'snapshot';

/** Pages in a row that are used for the same. An allocation is a run of its own, other pages are put together. */
export interface PageRun {
  readonly page: number;
  readonly pages: number;
  readonly holding: Holding;
  /** Whose they are; 0 and 0 are nobody's. */
  readonly principal: number;
  readonly incarnation: number;
}

/** Groups that one step reads. */
const chunk = 32_768;

/** Reads all group words. Where others change them meanwhile, each is of a moment of its own. */
export function* readOccupancy(geometry: Geometry): Protocol<Occupancy> {
  const words = new Uint32Array(2 * geometry.groupCount);
  for (let group = 0; group < geometry.groupCount; group += chunk) {
    const groups = Math.min(chunk, geometry.groupCount - group);
    const bytes = new Uint8Array(words.buffer, group * 8, groups * 8);
    yield* surely(read(groupWordOffset(geometry, group), bytes));
  }
  return new Occupancy(geometry, words);
}

/** Who holds what: the table of group words, as it was read. */
export class Occupancy {
  readonly geometry: Geometry;
  /** Two 32-bit halves a group, the low one first. */
  readonly words: Uint32Array;
  /** Of the pages that allocations can take. */
  readonly usage: Usage;

  constructor(geometry: Geometry, words: Uint32Array) {
    this.geometry = geometry;
    this.words = words;
    this.usage = countUsage(words.subarray(0, 2 * userGroups(geometry)), geometry.groupPages);
  }

  /** Pages given out or withheld, as a share of those that allocations can take. */
  get utilisation(): number {
    const { held, withheld, total } = this.usage;
    return total === 0 ? 0 : (held + withheld) / total;
  }
  /** 1 - longest run of free pages / free pages: 0 is one run, or none. */
  get fragmentation(): number {
    const { free, largestRun } = this.usage;
    return free === 0 ? 0 : 1 - largestRun / free;
  }

  /** All pages of the region, in order. */
  *runs(): Generator<PageRun, void, undefined> {
    const { groupCount, groupPages } = this.geometry;
    const reserve = userGroups(this.geometry);
    let page = 0;
    let pages = 0;
    let holding: Holding = 'free';
    let high = 0;
    for (let group = 0; group < groupCount; group++) {
      const low = this.words[2 * group]!;
      const owner = this.words[2 * group + 1]!;
      // Most groups of a large region are nobody's.
      if (owner === 0 && group < reserve && holding === 'free') {
        pages += groupPages;
        continue;
      }
      for (let index = 0; index < groupPages; index++) {
        const bits = owner === 0 ? 0 : bitsOf(low, index);
        const is = holdingOf(bits, owner, group >= reserve);
        if (is === holding && owner === high && bits !== pageBits.head) pages++;
        else {
          if (pages > 0) yield { page, pages, holding, ...ownerOf(high) };
          page = group * groupPages + index;
          pages = 1;
          holding = is;
          high = owner;
        }
      }
    }
    if (pages > 0) yield { page, pages, holding, ...ownerOf(high) };
  }
}

function holdingOf(bits: number, owner: number, reserve: boolean): Holding {
  if (reserve) return bits === 0 ? 'reserve' : 'snapshot';
  if (owner === 0) return 'free';
  if (bits === 0) return 'room';
  return bits === pageBits.withheld ? 'withheld' : 'held';
}
