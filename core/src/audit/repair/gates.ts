import { crc32c } from '../../region/crc32c.js';
import { encodeDataHeader, gateOffset } from '../../region/data-region.js';
import { stateOffset, superblockState } from '../../region/superblock.js';
import { encodeMember, memberState } from '../../region/words.js';
import { changesOf, type Mend, mendWord, type Patient, placesOf } from './mend.js';

/**
 * The header from the superblock. A gate that is none is closed for the incarnation that its member is in: a lane that is bound
 * stays so, and one that comes again is refused, which costs its client no more than to join anew.
 */
export function cureGates({ image: { data, superblock }, tables, damage }: Patient): Mend[] {
  const mends: Mend[] = [];
  if (data === undefined) return mends;
  const wanted = encodeDataHeader(superblock.block!);
  if (data.problem?.code === 'Damaged' || (data.problem !== undefined && isOurs(data.header, wanted))) {
    new DataView(wanted.buffer).setBigUint64(stateOffset, BigInt(superblockState.ready), true);
    const changes = changesOf(data.offset, data.header, wanted);
    mends.push({ oracle: 'gates', what: 'the header of the data region is made anew', where: data.offset, changes });
  }
  for (const slot of placesOf(damage, 'member', 'gates')) {
    const { incarnation } = tables.members[slot]!;
    const closed = encodeMember({ state: memberState.fenced, incarnation, beat: 0 });
    const offset = data.offset + gateOffset + slot * 8;
    mends.push(...mendWord('gates', `the gate of member ${slot} is closed`, offset, data.gates[slot]!, closed));
  }
  return mends;
}

/** Fields that say whose header it is, words of 8 bytes: all that are not zero, with the checksum. */
const fields = [0, 8, 48, 56, 64, 72, 80, 88, 96, 104, 4088];

/**
 * Whether a header that does not say that it belongs to the superblock was this one: it is not whole as that of another, and most of
 * it is as it must be. One that somebody has begun to format is not touched.
 */
function isOurs(header: Uint8Array, wanted: Uint8Array): boolean {
  const [is, should] = [viewOf(header), viewOf(wanted)];
  const { ready, formatting } = superblockState;
  const state = is.getBigUint64(stateOffset, true);
  if (Number(state & 15n) === formatting) return false;
  const same = fields.filter((at) => is.getBigUint64(at, true) === should.getBigUint64(at, true)).length;
  if (same === fields.length) return state !== BigInt(ready);
  const own = crc32c(header.subarray(stateOffset + 8, 4092), crc32c(header.subarray(0, stateOffset)));
  return own !== is.getUint32(4092, true) && 2 * same > fields.length;
}
function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
