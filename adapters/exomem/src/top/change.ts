import { bitsOf, type Occupancy, ownerOf, pageBits, userGroups } from '@exomem/core';

/** What changed between two looks, as far as the words show it: what came and went in between is not seen. */
export interface Change {
  allocations: number;
  frees: number;
  /** Pages that somebody has, and had not. */
  taken: number;
  /** Pages that somebody had, and has no more. */
  given: number;
}

/** What changed in all, and for each principal. */
export interface Changes {
  readonly all: Change;
  readonly principals: ReadonlyMap<number, Change>;
}

const none = (): Change => ({ allocations: 0, frees: 0, taken: 0, given: 0 });

/** Holds two looks at the words of a region against each other. */
export function changesBetween(before: Occupancy, after: Occupancy): Changes {
  const { groupPages } = after.geometry;
  const all = none();
  const principals = new Map<number, Change>();
  const of = (principal: number): Change => {
    let own = principals.get(principal);
    if (own === undefined) {
      own = none();
      principals.set(principal, own);
    }
    return own;
  };
  for (let at = 0; at < 2 * userGroups(after.geometry); at += 2) {
    const [wasLow, wasHigh] = [before.words[at]!, before.words[at + 1]!];
    const [isLow, isHigh] = [after.words[at]!, after.words[at + 1]!];
    if (wasLow === isLow && wasHigh === isHigh) continue;
    const was = ownerOf(wasHigh).principal;
    const is = ownerOf(isHigh).principal;
    for (let index = 0; index < groupPages; index++) {
      const old = was === 0 ? 0 : bitsOf(wasLow, index);
      const now = is === 0 ? 0 : bitsOf(isLow, index);
      if (was === is && old === now) continue;
      if (old !== 0 && (now === 0 || was !== is)) count(of(was), all, 'given');
      if (now !== 0 && (old === 0 || was !== is)) count(of(is), all, 'taken');
      if (old === pageBits.head) count(of(was), all, 'frees');
      if (now === pageBits.head) count(of(is), all, 'allocations');
    }
  }
  return { all, principals };
}

function count(own: Change, all: Change, what: keyof Change): void {
  own[what]++;
  all[what]++;
}
