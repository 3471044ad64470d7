import { surely } from '../../policy/resolve.js';
import type { Protocol } from '../../protocol/protocol.js';
import { crc32c } from '../../region/crc32c.js';
import { memberFields } from '../../region/geometry.js';
import {
  decodeMember,
  decodePrincipal,
  encodeApplied,
  encodeMember,
  memberState,
  principalState,
} from '../../region/words.js';
import { read } from '../../transport/step.js';
import { appliedBeyond } from '../log-end.js';
import type { MemberImage } from '../member-image.js';
import { changesOf, type Mend, mendWord, type Patient, placesOf } from './mend.js';

const identityBytes = 64;
const { free, joining, active, fenced } = memberState;

/**
 * Lines of members. Where it is not clear whether somebody is there, they are taken to be: if not, the heart stands still, and
 * somebody declares them dead. What tells is what others say: principals that refer to a line, and the checksum of its introduction.
 */
export function* cureMembers(patient: Patient): Protocol<Mend[]> {
  const { tables, damage } = patient;
  const mends: Mend[] = [];
  // What two say is not what is wrong.
  const { log, geometry } = tables;
  const lost = log.begin === undefined ? undefined : appliedBeyond(tables.members, log.end, geometry.logSlots, 2);
  const sick = new Set(placesOf(damage, 'member', 'members'));
  for (const principal of placesOf(damage, 'principal', 'principals')) {
    const { state, member, memberIncarnation } = decodePrincipal(tables.principals[principal]!);
    const line = tables.members[member];
    // Somebody acts for a principal, and is said to be joining still.
    if (state !== principalState.free && line?.state === joining && line.incarnation === memberIncarnation)
      sick.add(member);
  }
  for (const slot of sick) {
    const member = tables.members[slot];
    if (member === undefined) continue;
    const referred = incarnationsReferredTo(patient, slot);
    const [state, incarnation] = judge(member, referred);
    const { beat } = decodeMember(member.word);
    const word = encodeMember({ state, incarnation, beat: state === free ? 0 : beat });
    const name = names[state];
    mends.push(
      ...mendWord(
        'members',
        `member ${slot} (incarnation ${incarnation}) is ${name}`,
        member.offset,
        member.word,
        word,
      ),
    );
    const at = tables.w1At(member);
    const applied = member.w1;
    const beyond = tables.log.begin !== undefined && applied.applied > Math.max(tables.log.end, lost ?? 0);
    const behind = applied.incarnation < incarnation && state === active;
    if (applied.incarnation > incarnation || behind || (applied.incarnation === incarnation && beyond)) {
      // Nothing applied is always true enough: nothing is reused before it says more.
      const was = encodeApplied(applied.incarnation, applied.applied);
      const what = `member ${slot} has published nothing of what it has applied`;
      mends.push(...mendWord('members', what, at, was, encodeApplied(incarnation, 0)));
    }
    const { introduction } = member;
    if (state === active && !(introduction.whole && introduction.incarnation === incarnation)) {
      const offset = member.offset + memberFields.identity;
      const bytes = new Uint8Array(identityBytes);
      yield* surely(read(offset, bytes));
      const changes = changesOf(offset, bytes, introduced(bytes, incarnation));
      const what = `the introduction of member ${slot} is taken as it is`;
      if (changes.length > 0) mends.push({ oracle: 'members', what, where: offset, changes });
    }
  }
  return mends;
}

const names: Record<number, string> = {
  [free]: 'gone',
  [joining]: 'joining',
  [active]: 'there',
  [fenced]: 'declared dead',
};

function judge(
  { state, incarnation, word, introduction }: MemberImage,
  referred: ReadonlySet<number>,
): [number, number] {
  const told = introduction.whole && introduction.incarnation > 0 ? introduction.incarnation : undefined;
  const { beat } = decodeMember(word);
  let is = incarnation;
  if (is === 0 && state !== free) {
    is = told ?? Math.max(0, ...referred);
    if (is === 0) return [free, 0];
  }
  // It has introduced itself as another, and that one is known to others.
  if (told !== undefined && told !== is && state === active && referred.has(told) && !referred.has(is)) is = told;
  const known = referred.has(is);
  if (state > fenced || (state === free && beat !== 0)) return [known ? (told === is ? active : fenced) : free, is];
  if (state === joining && known) return [told === is ? active : fenced, is];
  return [state, is];
}

/** Incarnations of a slot that principals in use refer to. */
function incarnationsReferredTo({ tables }: Patient, slot: number): Set<number> {
  const found = new Set<number>();
  for (const word of tables.principals) {
    const { state, member, memberIncarnation } = decodePrincipal(word);
    if (state !== principalState.free && state <= principalState.dying && member === slot) found.add(memberIncarnation);
  }
  return found;
}

/** The same introduction, whole, and of that incarnation. */
function introduced(bytes: Uint8Array, incarnation: number): Uint8Array {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(0, incarnation, true);
  view.setUint32(4, 0, true);
  view.setUint32(4, crc32c(copy), true);
  return copy;
}
