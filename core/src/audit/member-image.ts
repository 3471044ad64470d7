import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { crc32c } from '../region/crc32c.js';
import { type Geometry, memberFields, memberLineOffset, memberStride } from '../region/geometry.js';
import { decodeApplied, decodeMember, decodeWanted, type Wanted } from '../region/words.js';
import { read } from '../transport/step.js';

/** A line of the member table, as it was read. */
export interface MemberImage {
  readonly slot: number;
  /** Where the line lies. */
  readonly offset: number;
  readonly word: bigint;
  readonly state: number;
  readonly incarnation: number;
  readonly w1: { readonly incarnation: number; readonly applied: number };
  readonly introduction: {
    readonly incarnation: number;
    /** Its checksum fits. */
    readonly whole: boolean;
    readonly steward: boolean;
    readonly label: string;
  };
  readonly wanted: Wanted | undefined;
}

const decoder = new TextDecoder();
const identityBytes = 64;
const identityFields = { crc: 4, flags: 24, label: 32 } as const;
/** Lines that one step reads. */
const chunk = 1024;

/** The whole member table. */
export function* readMemberImages(geometry: Geometry): Protocol<MemberImage[]> {
  const members: MemberImage[] = [];
  for (let start = 0; start < geometry.memberSlots; start += chunk) {
    const lines = Math.min(chunk, geometry.memberSlots - start);
    const bytes = new Uint8Array(lines * memberStride);
    yield* surely(read(memberLineOffset(geometry, start), bytes));
    for (let at = 0; at < lines; at++) {
      const line = bytes.subarray(at * memberStride, (at + 1) * memberStride);
      members.push(decodeLine(line, start + at, memberLineOffset(geometry, start + at)));
    }
  }
  return members;
}

function decodeLine(bytes: Uint8Array, slot: number, offset: number): MemberImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, memberStride);
  const word = view.getBigUint64(memberFields.w0, true);
  const { state, incarnation } = decodeMember(word);
  const identity = bytes.slice(memberFields.identity, memberFields.identity + identityBytes);
  const fields = new DataView(identity.buffer);
  const crc = fields.getUint32(identityFields.crc, true);
  fields.setUint32(identityFields.crc, 0, true);
  const label = identity.subarray(identityFields.label);
  const end = label.indexOf(0);
  const wanted = view.getBigUint64(memberFields.wanted, true);
  return {
    slot,
    offset,
    word,
    state,
    incarnation,
    w1: decodeApplied(view.getBigUint64(memberFields.w1, true)),
    introduction: {
      incarnation: fields.getUint32(0, true),
      whole: crc32c(identity) === crc,
      steward: (fields.getUint32(identityFields.flags, true) & 1) !== 0,
      label: end === 0 ? '' : decoder.decode(end < 0 ? label : label.subarray(0, end)),
    },
    wanted: wanted === 0n ? undefined : decodeWanted(wanted),
  };
}
