import { ExomemError } from '../errors.js';
import type { NamespaceReplica } from '../namespace/replica.js';
import type { AllocationPolicy, Identity } from '../policy/policy.js';
import { exchangeSurely, interrupted, loadSurely, reloadWords, surely } from '../policy/resolve.js';
import type { Geometry } from '../region/geometry.js';
import { memberFields, memberLineOffset, memberStride, principalWordOffset } from '../region/geometry.js';
import {
  decodeMember,
  decodePrincipal,
  encodePrincipal,
  encodeWanted,
  memberState,
  type PrincipalWord,
  principalState,
} from '../region/words.js';
import { type BatchAnswer, compareExchange, load, read, type WordStep } from '../transport/step.js';
import { shutOut } from './exclusion.js';
import { bindingOf, type Member, type MemberLine, type PrincipalLine } from './membership.js';
import { batch, drain, type Protocol } from './protocol.js';

/**
 * What the policy byte of a principal says: 0 it is a member's own, and dies with it; 254 it is an application that dies
 * with its member; n from 1 to 62 an application that is kept for adoption for 2^n seconds; 255 one that is kept until
 * somebody adopts it.
 */
export const keepForever = 255;
export const keepNot = 254;
export function encodeKeep(milliseconds: number): number {
  if (milliseconds === Number.POSITIVE_INFINITY) return keepForever;
  if (!(milliseconds > 0)) throw new ExomemError('OutOfRange', `memory cannot be kept for ${milliseconds} ms`);
  return Math.min(62, Math.max(1, Math.ceil(Math.log2(milliseconds / 1000))));
}
/** Milliseconds that a principal with that policy is kept; 0 for one that is not. */
export function decodeKeep(policy: number): number {
  if (policy === 0 || policy === keepNot) return 0;
  return policy === keepForever ? Number.POSITIVE_INFINITY : 2 ** policy * 1000;
}

/** Whether the member that a principal refers to is there. */
export function* memberAlive(geometry: Geometry, principal: PrincipalWord): Protocol<boolean> {
  const offset = memberLineOffset(geometry, principal.member) + memberFields.w0;
  return isAlive((yield* surely(load(offset))) as bigint, principal.memberIncarnation);
}
function isAlive(word: bigint, memberIncarnation: number): boolean {
  const { state, incarnation } = decodeMember(word);
  return incarnation === memberIncarnation && (state === memberState.joining || state === memberState.active);
}

/** Whether that incarnation of a member is over, for good. */
export function isMemberGone(
  { state, incarnation }: Pick<MemberLine, 'state' | 'incarnation'>,
  which: number,
): boolean {
  const over = state === memberState.fenced || state === memberState.free;
  return incarnation > which || (incarnation === which && over);
}

/** A principal's word, and whether the member that it refers to is there. */
export interface PrincipalLook {
  readonly word: bigint;
  readonly alive: boolean;
}

/** Bytes of the member table that are worth a round trip less. */
const cheapTable = 256 * 1024;

/** Reads a principal, and behind it who acts for it, in one round trip. Who is dead stays dead. */
export function* lookAtPrincipal(geometry: Geometry, principal: number): Protocol<PrincipalLook> {
  const principalWord = load(principalWordOffset(geometry, principal));
  const lines = new Uint8Array(geometry.memberSlots * memberStride);
  if (lines.length > cheapTable) {
    const word = (yield* surely(principalWord)) as bigint;
    return { word, alive: yield* memberAlive(geometry, decodePrincipal(word)) };
  }
  const answer = (yield* surely(batch([principalWord, read(geometry.memberOffset, lines)]))) as BatchAnswer;
  const word = answer[0] as bigint;
  const { member, memberIncarnation } = decodePrincipal(word);
  const at = member * memberStride + memberFields.w0;
  if (at + 8 > lines.length) return { word, alive: false };
  return { word, alive: isAlive(new DataView(lines.buffer).getBigUint64(at, true), memberIncarnation) };
}

/** Whether a principal waits for somebody to adopt it when its member dies. */
export function isKept({ state, policy }: Pick<PrincipalWord, 'state' | 'policy'>): boolean {
  return (state === principalState.active || state === principalState.adopting) && decodeKeep(policy) > 0;
}

/**
 * Takes a principal whose member is dead: that member is shut out first, so the one compareExchange on the principal's
 * word is all it takes. Nothing of the data moves; what is held is read from the structure afterwards.
 *
 * Where nothing is known that is three round trips, which wait for each other: whom to shut out the word says; and that must be
 * over before the word changes, for whoever died in between would leave a word that does not say any more who is still to be shut out.
 * @param isShutOut whether the caller has shut out that incarnation, after it was declared dead: it stays out
 * @throws `NotFound` (no such principal), `Busy` (its member lives, or somebody else was faster), `Unproven` (that member may
 * still act).
 */
export function* adoptPrincipal(
  geometry: Geometry,
  me: Member,
  principal: number,
  /** What was seen of it: who is dead stays dead, and the word has to be the same still. */
  look?: PrincipalLook,
  isShutOut: (slot: number, incarnation: number) => boolean = () => false,
): Protocol<Identity> {
  const offset = principalWordOffset(geometry, principal);
  const word = orphan(look ?? (yield* lookAtPrincipal(geometry, principal)), principal);
  const now = decodePrincipal(word);
  if (now.state === principalState.adopting) {
    throw new ExomemError('Busy', `principal ${principal} is being adopted where nobody can be shut out`);
  }
  const { member, memberIncarnation } = now;
  if (!isShutOut(member, memberIncarnation) && !(yield* shutOut(bindingOf(geometry, member, memberIncarnation)))) {
    throw new ExomemError('Unproven', `the member that acts for principal ${principal} may still do so`);
  }
  const mine = encodePrincipal({ ...now, member: me.slot, memberIncarnation: me.incarnation });
  if ((yield* exchangeSurely(offset, word, mine)) !== word) throw taken(principal);
  return { principal, incarnation: now.incarnation, word: mine };
}

/** Who adopts without shutting anybody out. */
export interface Adopter {
  readonly geometry: Geometry;
  readonly replica: NamespaceReplica;
  readonly member: Pick<Member, 'slot' | 'incarnation'>;
  /** Makes what re-tags its words. */
  readonly policy: AllocationPolicy;
}

/**
 * Takes a principal whose member is dead and cannot be shut out: as its next incarnation. Its words are re-tagged to that, bits
 * as they are, so a late compareExchange of the dead finds none of them; a late claim is of an incarnation that is over,
 * and `scrub` finds it. Who dies at this leaves a principal that the next one adopts in the same way.
 * @throws `NotFound` (no such principal), `Busy` (its member lives, or somebody else was faster, or it has had all the
 * incarnations there are), `Fenced` (we were declared dead meanwhile).
 */
export function* reincarnate({ geometry, replica, member, policy }: Adopter, principal: number): Protocol<Identity> {
  const offset = principalWordOffset(geometry, principal);
  const word = orphan(yield* lookAtPrincipal(geometry, principal), principal, member);
  const before = decodePrincipal(word);
  if (before.incarnation >= lastIncarnation) {
    throw new ExomemError('Busy', `principal ${principal} has been adopted as often as it can be`);
  }
  const next = {
    ...before,
    incarnation: before.incarnation + 1,
    member: member.slot,
    memberIncarnation: member.incarnation,
  };
  const adopting = encodePrincipal({ ...next, state: principalState.adopting });
  if ((yield* exchangeSurely(offset, word, adopting)) !== word) throw taken(principal);
  yield* replica.fence(principal, before.incarnation, true);
  const identity = { principal, incarnation: next.incarnation, word: adopting };
  // It stops at the first sign of a higher incarnation: then somebody else is at it.
  yield* policy.create({ geometry, identity }).inherit();
  const active = encodePrincipal({ ...next, state: principalState.active });
  if ((yield* exchangeSurely(offset, adopting, active)) !== adopting) {
    throw new ExomemError('Fenced', `principal ${principal} was taken by another client`);
  }
  return { ...identity, word: active };
}
/** Beyond what registers, for adoption. */
const lastIncarnation = 0xffff;

/** The word of a principal, if it can be adopted. `me`: who may have begun to adopt it before. */
function orphan({ word, alive }: PrincipalLook, principal: number, me?: Pick<Member, 'slot' | 'incarnation'>): bigint {
  const now = decodePrincipal(word);
  if (now.state !== principalState.active && now.state !== principalState.adopting) {
    throw new ExomemError('NotFound', `there is no principal ${principal} to adopt`);
  }
  const begun =
    now.state === principalState.adopting && now.member === me?.slot && now.memberIncarnation === me.incarnation;
  if (!begun && alive) {
    throw new ExomemError('Busy', `the member that acts for principal ${principal} is alive`, {
      advice: 'ask it to migrate, or declare it dead first: `exomem kick`',
    });
  }
  return word;
}

function taken(principal: number): ExomemError {
  return new ExomemError('Busy', `somebody else took principal ${principal}`);
}

/** A member that something is handed to. */
export interface Heir {
  readonly slot: number;
  readonly incarnation: number;
  /** Its word as it was seen last: if that is what it still is, nobody need look whether it lives. */
  readonly word?: bigint;
}

/**
 * Hands a principal to a living member, willingly and apart from its own. The last step of whoever acted for it: from then on
 * its claims are refused. One round trip if the heir has not beaten since its word was seen, which the same batch holds against it; else
 * two.
 * @param stopOnFail whether a batch can stop at its first failed compareExchange
 * @throws `Busy` if that member is not there, `Fenced` if the principal is no longer ours.
 */
export function* migratePrincipal(geometry: Geometry, identity: Identity, to: Heir, stopOnFail = true): Protocol<void> {
  yield drain;
  const target = { ...decodePrincipal(identity.word), member: to.slot, memberIncarnation: to.incarnation };
  // Should it die right behind that: it is as if it had died later, and whoever recovers it sees what to keep.
  const { principal, incarnation, word } = identity;
  const line = memberLineOffset(geometry, to.slot);
  const wanted = encodeWanted({ principal, incarnation, pages: 0 });
  const tell = compareExchange(line + memberFields.wanted, 0n, wanted);
  const give = compareExchange(principalWordOffset(geometry, principal), word, encodePrincipal(target));
  let seen = stopOnFail && to.word !== undefined ? to.word : yield* loadSurely(load(line + memberFields.w0));
  for (;;) {
    if (!isAlive(seen, to.incarnation)) {
      throw new ExomemError('Busy', `member ${to.slot} is not there`, { advice: '`exomem members` shows who is' });
    }
    // Changes nothing: it holds if the word is what was seen.
    const guard = compareExchange(line + memberFields.w0, seen, seen);
    const found = yield* giveAwayAndTell(stopOnFail ? [guard] : [], give, tell);
    if (found === undefined) return;
    if (found === 'lost') throw new ExomemError('Fenced', `principal ${principal} was taken by another client`);
    seen = found;
  }
}

/**
 * Gives a word away if a guard holds, and leaves a hint about that, which says nothing where it fails. See {@link giveAway}.
 * Undefined: it is given away; `lost`: it was not ours any more; else what was found instead of what is guarded.
 */
function* giveAwayAndTell(
  guard: readonly WordStep[],
  give: WordStep,
  tell: WordStep,
): Protocol<bigint | 'lost' | undefined> {
  try {
    const answer = (yield batch([...guard, give, tell], guard.length > 0)) as BatchAnswer;
    for (const [at, { expected }] of guard.entries()) if (answer[at] !== expected) return answer[at] as bigint;
    return answer[guard.length] === give.expected ? undefined : 'lost';
  } catch (error) {
    if (!interrupted(error)) throw error;
  }
  // Others may have gone on from the new word: whatever is not the old one says that it happened.
  const [guarded, now] = yield* reloadWords([guard[0]?.offset ?? give.offset, give.offset]);
  if (now === give.expected) return guard.length > 0 ? guarded! : yield* giveAwayAndTell([], give, tell);
  yield* exchangeSurely(tell.offset, tell.expected, tell.desired);
  return undefined;
}

/** Whose time to be kept is over: only who has seen that very word all the while may condemn it. */
export function* condemn(geometry: Geometry, line: PrincipalLine): Protocol<boolean> {
  const dying = encodePrincipal({ ...line, state: principalState.dying });
  return (yield* exchangeSurely(principalWordOffset(geometry, line.principal), line.word, dying)) === line.word;
}
