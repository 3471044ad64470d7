import { ExomemError } from '../errors.js';
import type { Identity } from '../policy/policy.js';
import { exchangeSurely, giveAway, surely } from '../policy/resolve.js';
import type { Geometry } from '../region/geometry.js';
import { memberFields, memberLineOffset, principalWordOffset } from '../region/geometry.js';
import {
  decodeMember,
  decodePrincipal,
  encodePrincipal,
  encodeWanted,
  memberState,
  type PrincipalWord,
  principalState,
} from '../region/words.js';
import { load } from '../transport/step.js';
import { type Exclusion, shutOut } from './exclusion.js';
import { bindingOf, type Member, type PrincipalLine } from './membership.js';
import { drain, type Protocol } from './protocol.js';

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
  const { state, incarnation } = decodeMember((yield* surely(load(offset))) as bigint);
  return incarnation === principal.memberIncarnation && (state === memberState.joining || state === memberState.active);
}

/**
 * Takes a principal whose member is dead: that member is shut out first, so the one compareExchange on the principal's
 * word is all it takes. Nothing of the data moves; what is held is read from the structure afterwards.
 * @throws `NotFound` (no such principal), `Busy` (its member lives, or somebody else was faster),
 * `Unproven` (it may still act), `UnsupportedCapability` where nobody can be shut out.
 */
export function* adoptPrincipal(
  geometry: Geometry,
  me: Member,
  principal: number,
  exclusion: Exclusion = 'revoke',
): Protocol<Identity> {
  const offset = principalWordOffset(geometry, principal);
  const word = (yield* surely(load(offset))) as bigint;
  const now = decodePrincipal(word);
  if (now.state !== principalState.active) {
    throw new ExomemError('NotFound', `there is no principal ${principal} to adopt`);
  }
  if (yield* memberAlive(geometry, now)) {
    throw new ExomemError('Busy', `the member that acts for principal ${principal} is alive`, {
      advice: 'ask it to migrate, or declare it dead first: `exomem kick`',
    });
  }
  if (exclusion === 'none' || exclusion === 'wait') {
    throw new ExomemError(
      'UnsupportedCapability',
      'over this transport nobody can be shut out, so nothing can be adopted',
    );
  }
  if (!(yield* shutOut(bindingOf(geometry, now.member, now.memberIncarnation)))) {
    throw new ExomemError('Unproven', `the member that acts for principal ${principal} may still do so`);
  }
  const mine = encodePrincipal({ ...now, member: me.slot, memberIncarnation: me.incarnation });
  if ((yield* exchangeSurely(offset, word, mine)) !== word) {
    throw new ExomemError('Busy', `somebody else took principal ${principal}`);
  }
  return { principal, incarnation: now.incarnation, word: mine };
}

/**
 * Hands a principal to a living member, willingly and apart from its own. The last step of whoever acted for it: from then on
 * its claims are refused.
 * @throws `Busy` if that member is not there, `Fenced` if the principal is no longer ours.
 */
export function* migratePrincipal(
  geometry: Geometry,
  identity: Identity,
  to: { slot: number; incarnation: number },
): Protocol<void> {
  yield drain;
  const target = { ...decodePrincipal(identity.word), member: to.slot, memberIncarnation: to.incarnation };
  if (!(yield* memberAlive(geometry, target))) {
    throw new ExomemError('Busy', `member ${to.slot} is not there`, { advice: '`exomem members` shows who is' });
  }
  if (!(yield* giveAway(principalWordOffset(geometry, identity.principal), identity.word, encodePrincipal(target)))) {
    throw new ExomemError('Fenced', `principal ${identity.principal} was taken by another client`);
  }
  // Should it have died in between: it is as if it had died right after, and whoever recovers it sees what to keep.
  const wanted = encodeWanted({ principal: identity.principal, incarnation: identity.incarnation, pages: 0 });
  yield* exchangeSurely(memberLineOffset(geometry, to.slot) + memberFields.wanted, 0n, wanted);
}

/** Whose time to be kept is over: only who has seen that very word all the while may condemn it. */
export function* condemn(geometry: Geometry, line: PrincipalLine): Protocol<boolean> {
  const dying = encodePrincipal({ ...line, state: principalState.dying });
  return (yield* exchangeSurely(principalWordOffset(geometry, line.principal), line.word, dying)) === line.word;
}
