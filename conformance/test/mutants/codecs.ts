import {
  crc32c,
  decodePrincipal,
  decodeRecord,
  decodeSnapshotHeader,
  encodePrincipal,
  encodeRecord,
  encodeSnapshotHeader,
  type LogRecord,
  type PrincipalWord,
  principalState,
} from '@exomem/core';
import type { Kill, Mutant } from './mutant.js';

/** How structures of the region are read. */
export interface Codecs {
  readonly record: (bytes: Uint8Array, index: number, lap: number) => LogRecord | undefined;
  readonly snapshot: (bytes: Uint8Array) => unknown;
  readonly principal: (word: bigint) => PrincipalWord;
}

export const codecs: Codecs = { record: decodeRecord, snapshot: decodeSnapshotHeader, principal: decodePrincipal };

/** Numbers that begin at the seed. */
function numbers(seed: number): (below: number) => number {
  let chance = (seed * 2_654_435_761) >>> 0;
  return (below) => {
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((chance / 2 ** 32) * below);
  };
}

const most = 500;

/** Laws of codecs: what a reader must make of what it is given, over random values. How one is broken, or undefined. */
export const codecLaws: readonly {
  readonly id: string;
  readonly sentence: string;
  check(codecs: Codecs, seed: number): { runs: number; what: string } | undefined;
}[] = [
  {
    id: 'damage-shows',
    sentence: 'A record or a snapshot of which one bit is another is taken for none.',
    check({ record, snapshot }, seed) {
      const draw = numbers(seed);
      for (let run = 1; run <= most; run++) {
        const [index, lap] = [1 + draw(1_000), draw(100)];
        const named = { op: 'unlink', parent: 1, name: `f${draw(1e6)}`, inode: 7, directory: false, time: 0n } as const;
        const whole = {
          index,
          lap,
          author: 1 + draw(8),
          incarnation: draw(9),
          sequence: draw(99),
          operations: [named],
        };
        const header = encodeSnapshotHeader({ index, length: draw(9_999), checksum: draw(2 ** 32), runs: [] });
        for (const [bytes, read] of [
          [encodeRecord(whole), (damaged: Uint8Array) => record(damaged, index, lap)],
          [header, snapshot],
        ] as const) {
          const bit = draw(bytes.length * 8);
          bytes[bit >>> 3]! ^= 1 << (bit & 7);
          let seen: unknown;
          try {
            seen = read(bytes);
          } catch {
            // It is refused, if not in the best of ways.
          }
          if (seen !== undefined)
            return { runs: run, what: `bit ${bit} of ${bytes.length} bytes changed, and it reads on` };
        }
      }
      return undefined;
    },
  },
  {
    id: 'round-trip',
    sentence: 'What was written into a word is what is read from it, with every bit of every field.',
    check({ principal }, seed) {
      const draw = numbers(seed);
      for (let run = 1; run <= most; run++) {
        const word: PrincipalWord = {
          state: principalState.active,
          incarnation: draw(2 ** 16),
          member: draw(2 ** 8),
          memberIncarnation: draw(2 ** 20),
          policy: draw(4),
        };
        const seen = principal(encodePrincipal(word));
        for (const [field, value] of Object.entries(word)) {
          const got = seen[field as keyof PrincipalWord];
          if (got !== value) return { runs: run, what: `${field} ${value} is read as ${got}` };
        }
      }
      return undefined;
    },
  },
];

/** With a sum that fits whatever is there. */
function sealed(bytes: Uint8Array, end: number): Uint8Array {
  const copy = bytes.slice();
  if (end >= 8 && end <= copy.length) {
    new DataView(copy.buffer).setUint32(4, crc32c(copy.subarray(8, end)), true);
  }
  return copy;
}

const wrong: readonly { readonly name: string; readonly law: string; readonly reads: Partial<Codecs> }[] = [
  {
    name: 'a record is read without its checksum',
    law: 'damage-shows',
    reads: {
      record: (bytes, index, lap) =>
        decodeRecord(sealed(bytes, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)), index, lap),
    },
  },
  {
    name: 'the header of a snapshot is read without its checksum',
    law: 'damage-shows',
    reads: { snapshot: (bytes) => decodeSnapshotHeader(sealed(bytes, bytes.length)) },
  },
  {
    name: 'an incarnation is read with a bit too few',
    law: 'round-trip',
    reads: {
      principal: (word) => {
        const whole = decodePrincipal(word);
        return { ...whole, memberIncarnation: whole.memberIncarnation & 0x7ffff };
      },
    },
  },
];

export const codecMutants: readonly Mutant[] = wrong.map(({ name, law: id, reads }) => ({
  name,
  of: 'codec',
  law: id,
  async hunt(seed): Promise<Kill | undefined> {
    const law = codecLaws.find((one) => one.id === id)!;
    const seen = law.check({ ...codecs, ...reads }, seed);
    return seen && { law: id, unit: 'runs', ...seen };
  },
}));
