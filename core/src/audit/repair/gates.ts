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
  if (data.problem?.code === 'Damaged') {
    const wanted = encodeDataHeader(superblock.block!);
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
