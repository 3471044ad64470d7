/** What one number of a workload asks a client to do. `pick` chooses among what there is to choose from. */
export type Deed =
  | { readonly kind: 'rest' }
  | {
      readonly kind: 'allocate';
      readonly pages: number;
      readonly initialise: 'zero' | 'none' | 'caller';
      readonly named: boolean;
      /** In pages; also a part of one. */
      readonly alignment: number;
      /** It fills the pages when it has them. */
      readonly writes: boolean;
    }
  | {
      readonly kind:
        | 'free'
        | 'freeAgain'
        | 'freeForeign'
        | 'withhold'
        | 'name'
        | 'release'
        | 'unname'
        | 'giveRoom'
        | 'recover'
        | 'judge';
      readonly pick: number;
    };

/** The numbers of a workload are below this. */
export const deedLimit = 16_384;

const kinds = [
  ...(['free', 'free', 'free', 'free', 'free', 'free', 'free', 'free', 'free'] as const),
  ...(['withhold', 'name', 'name', 'release', 'unname', 'unname'] as const),
  ...(['giveRoom', 'recover', 'judge', 'freeAgain', 'freeForeign'] as const),
] as const;

/** What one in eight asks for. */
const alignments = [2, 2, 4, 0.5] as const;

/** Reads a number as a deed. Zero rests; small numbers ask for little. */
export function readDeed(number: number, groupPages: number, total: number): Deed {
  if (number === 0) return { kind: 'rest' };
  const kind = number % 32;
  const pick = Math.floor(number / 32);
  if (kind > 11) return { kind: kinds[kind - 12]!, pick };
  const named = kind >= 9;
  // A page, a part of a group, a group, up to three groups and a half.
  const pages = kind < 5 ? 1 + (pick % groupPages) : 1 + (pick % Math.min(total, Math.floor(groupPages * 3.5)));
  const more = Math.floor(pick / 16);
  const initialise = more % 2 === 0 ? 'none' : 'zero';
  return {
    kind: 'allocate',
    pages,
    initialise: named && more % 3 === 0 ? 'caller' : initialise,
    named,
    alignment: more % 8 === 7 ? alignments[more >>> 3]! : 1,
    writes: more % 4 !== 3,
  };
}
