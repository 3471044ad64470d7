import {
  decodePrincipal,
  encodePrincipal,
  memberState,
  type PrincipalWord,
  principalState,
} from '../../region/words.js';
import { isKept } from '../standing.js';
import { type Mend, mendWord, type Patient, placesOf } from './mend.js';

const { free, registering, active, dying } = principalState;
/** An application that is kept until somebody adopts it. */
const keptForever = 255;

/**
 * Principal words. What the log says of incarnations is checked by sums, and believed; what is left of a word that makes no
 * sense is kept as far as it does. Of two that would be possible it is the one that frees nothing.
 */
export function curePrincipals(patient: Patient): Mend[] {
  const mends: Mend[] = [];
  for (const principal of placesOf(patient.damage, 'principal', 'principals', 'log')) {
    const word = patient.tables.principals[principal];
    if (word === undefined) continue;
    const desired = principal === 0 ? 0n : judge(patient, principal, decodePrincipal(word));
    if (desired === undefined) continue;
    const { state, incarnation } = decodePrincipal(desired);
    const what = `principal ${principal} (incarnation ${incarnation}) is ${names[state] ?? 'as it can be'}`;
    mends.push(...mendWord('principals', what, patient.tables.principalAt(principal), word, desired));
  }
  return mends;
}

const names: Record<number, string> = {
  [free]: 'free',
  [registering]: 'being registered',
  [active]: 'registered',
  [dying]: 'to be recovered',
};

/** Undefined: nothing makes sense of it. */
function judge(patient: Patient, principal: number, word: PrincipalWord): bigint | undefined {
  const { tables } = patient;
  const { log, standings } = tables;
  let { state, incarnation, member, memberIncarnation, policy } = word;
  const nobody = (last: number): bigint =>
    encodePrincipal({ state: free, incarnation: last, member: 0, memberIncarnation: 0, policy: 0 });
  const least = leastIncarnation(patient, principal);
  const fence = log.begin === undefined ? 0 : (log.state.fences.get(principal) ?? 0);
  const shown = shownIncarnation(patient, principal);
  if (incarnation < least) incarnation = state !== free && shown >= least ? shown : least;
  if (state !== free && incarnation === 0) {
    incarnation = shown;
    if (incarnation === 0) return 0n;
  }
  const reference = standings.reference({ ...word, incarnation });
  const possible = reference !== 'nowhere' && reference !== 'future';
  const blank = member === 0 && memberIncarnation === 0 && policy === 0;
  const policyFits = policy === 0 || policy === 254 || isKept(policy);
  if (state > dying) state = possible ? active : free;
  else if (state === free && !blank) {
    const used = reference === 'there' && policyFits && shown === incarnation;
    state = used && fence < incarnation ? active : free;
  }
  if (state === free) return nobody(incarnation);
  if (!possible) {
    const other = memberFor(patient, principal, policy);
    if (other === undefined) return undefined;
    member = other.slot;
    memberIncarnation = other.incarnation;
  }
  if (!policyFits) policy = hasOwn(patient, principal, member, memberIncarnation) ? keptForever : 0;
  if ((state === active || state === registering) && fence >= incarnation) state = dying;
  return encodePrincipal({ state, incarnation, member, memberIncarnation, policy });
}

/** The incarnation that somebody of that number has appended in, or was fenced in. */
function leastIncarnation({ tables: { log } }: Patient, principal: number): number {
  if (log.begin === undefined) return 0;
  let least = Math.max(log.state.fences.get(principal) ?? 0, log.state.sequences.get(principal)?.incarnation ?? 0);
  for (const { author, incarnation } of log.entries) if (author === principal) least = Math.max(least, incarnation);
  return least;
}

/** The incarnation that most of its group words show; 0 if there is none. */
function shownIncarnation({ tables }: Patient, principal: number): number {
  const counts = new Map<number, number>();
  for (let group = 0; group < tables.geometry.groupCount; group++) {
    const high = tables.high(group);
    if (high >>> 16 === principal) counts.set(high & 0xffff, (counts.get(high & 0xffff) ?? 0) + 1);
  }
  let [shown, most] = [0, 0];
  for (const [incarnation, count] of counts) if (count > most) [shown, most] = [incarnation, count];
  return shown;
}

/** Whether a member has a principal of its own besides this one. */
function hasOwn({ tables }: Patient, besides: number, slot: number, incarnation: number): boolean {
  return tables.principals.some((word, principal) => {
    const line = decodePrincipal(word);
    if (principal === besides || line.state === free || line.policy !== 0) return false;
    return line.member === slot && line.memberIncarnation === incarnation;
  });
}

/** Whom a principal refers to that refers to nobody: the one who lacks its own, or else one who is no more. */
function memberFor(
  patient: Patient,
  principal: number,
  policy: number,
): { slot: number; incarnation: number } | undefined {
  const { members } = patient.tables;
  if (policy === 0) {
    const lacking = members.filter(
      ({ slot, state, incarnation }) => state === memberState.active && !hasOwn(patient, principal, slot, incarnation),
    );
    if (lacking.length === 1) return lacking[0];
  }
  const gone = members.find(({ state, incarnation }) => state === memberState.free && incarnation > 0);
  if (gone !== undefined) return gone;
  const past = members.find(({ state, incarnation }) => state <= memberState.fenced && incarnation > 1);
  return past && { slot: past.slot, incarnation: past.incarnation - 1 };
}
