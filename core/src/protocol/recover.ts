import type { NamespaceReplica } from '../namespace/replica.js';
import type { Allocator } from '../policy/policy.js';
import { exchangeSurely, surely } from '../policy/resolve.js';
import type { Geometry } from '../region/geometry.js';
import {
  groupWordOffset,
  memberFields,
  memberLineOffset,
  principalWordOffset,
  userGroups,
} from '../region/geometry.js';
import {
  decodePrincipal,
  encodeMember,
  encodePrincipal,
  memberState,
  ownerOf,
  principalState,
} from '../region/words.js';
import { load, read } from '../transport/step.js';
import { condemn, isKept } from './adopt.js';
import { shutOut } from './exclusion.js';
import { bindingOf, type MemberLine, type PrincipalLine, readMembers, readPrincipals } from './membership.js';
import type { Protocol } from './protocol.js';

/** Who recovers: a client's own allocator and replica; one recovery at a time on them. */
export interface Recoverer {
  readonly geometry: Geometry;
  readonly allocator: Allocator;
  readonly replica: NamespaceReplica;
}

/** What one recovery found. */
export interface Recovery {
  readonly principals: readonly number[];
  /** Groups that were freed or taken into custody. */
  readonly groups: number;
}

/**
 * Recovers a FENCED member: its anonymous memory becomes free, the pages of its files get a new custodian (who judges them
 * next), its slot is free. Each step is idempotent: any number of recoverers may be at it at once, and any may die anywhere.
 * Undefined: it may still act, since nobody can shut it out and its end is not proven; nothing has happened.
 */
export function* recoverMember(
  recoverer: Recoverer,
  { slot, incarnation, word }: MemberLine,
): Protocol<Recovery | undefined> {
  const { geometry } = recoverer;
  // Whoever declared it dead may have died before it could shut it out.
  if (!(yield* shutOut(bindingOf(geometry, slot, incarnation)))) return undefined;
  const dying: PrincipalLine[] = [];
  for (const line of yield* readPrincipals(geometry)) {
    if (line.state === principalState.free) continue;
    if (line.member !== slot || line.memberIncarnation !== incarnation) continue;
    // It is kept as it is, for whoever adopts it: or until its time is over.
    if (isKept(line)) continue;
    const { principal } = line;
    const condemned = encodePrincipal({ ...line, state: principalState.dying });
    const found = yield* exchangeSurely(principalWordOffset(geometry, principal), line.word, condemned);
    if (found === line.word || found === condemned)
      dying.push({ ...line, state: principalState.dying, word: condemned });
  }
  const groups = yield* recoverPrincipals(recoverer, dying);
  const free = encodeMember({ state: 0, incarnation, beat: 0 });
  yield* exchangeSurely(memberLineOffset(geometry, slot) + memberFields.w0, word, free);
  return { principals: dying.map(({ principal }) => principal), groups };
}

/** Recovers principals that are DYING: whose member nobody need find any more. How many groups changed. */
export function* recoverPrincipals(recoverer: Recoverer, dying: readonly PrincipalLine[]): Protocol<number> {
  const { geometry, allocator, replica } = recoverer;
  let groups = 0;
  if (dying.length === 0) return groups;
  // Every shared word that a dead one could still commit by is sealed before anything of it is judged.
  yield* replica.seal();
  for (const { principal, incarnation } of dying) groups += yield* replica.takeReserve(principal, incarnation);
  for (const { principal, incarnation } of dying) yield* replica.fence(principal, incarnation);
  for (const line of dying) {
    const { principal, incarnation, word } = line;
    if (
      decodePrincipal((yield* surely(load(principalWordOffset(geometry, principal)))) as bigint).state !==
      principalState.dying
    )
      continue;
    groups += yield* allocator.recover({ principal, incarnation });
    const free = encodePrincipal({
      state: principalState.free,
      incarnation,
      member: 0,
      memberIncarnation: 0,
      policy: 0,
    });
    yield* exchangeSurely(principalWordOffset(geometry, principal), word, free);
  }
  return groups;
}

/**
 * Principals that die with their member, and whose member is no more: handed over at the very moment at which it died, so that
 * those who recovered it did not see them. They become DYING. How many.
 */
export function* condemnStray(geometry: Geometry): Protocol<number> {
  const principals = yield* readPrincipals(geometry);
  // The members after them: one that is not there in that incarnation will never be again, and is shut out since.
  const members = yield* readMembers(geometry);
  let found = 0;
  for (const line of principals) {
    if (line.state === principalState.free || line.state === principalState.dying || isKept(line)) continue;
    const member = members[line.member];
    if (member?.incarnation === line.memberIncarnation && member.state !== memberState.free) continue;
    if (yield* condemn(geometry, line)) found++;
  }
  return found;
}

/**
 * Looks for words whose owner is no more: a claim that landed after its principal was recovered, a gift to one who had
 * left. Takes them over like those of the dead. How many groups changed.
 */
export function* scrub(recoverer: Recoverer): Protocol<number> {
  const { geometry, allocator, replica } = recoverer;
  const words = new Uint32Array(2 * geometry.groupCount);
  yield* surely(read(groupWordOffset(geometry, 0), new Uint8Array(words.buffer)));
  const users = new Set<number>();
  const reserve = new Set<number>();
  for (let group = 0; group < geometry.groupCount; group++) {
    const owner = words[2 * group + 1]!;
    if (owner !== 0) (group < userGroups(geometry) ? users : reserve).add(owner);
  }
  // The words first, then their principals: an owner that we see dead was dead when its word was read, or died since.
  const principals = new Map((yield* readPrincipals(geometry)).map((line) => [line.principal, line]));
  const dead = (high: number): boolean => {
    const { principal, incarnation } = ownerOf(high);
    const line = principals.get(principal);
    return line !== undefined && isOver(line, incarnation);
  };
  let groups = 0;
  for (const high of users) {
    if (!dead(high)) continue;
    yield* replica.catchUp();
    groups += yield* allocator.recover(ownerOf(high));
  }
  // Of the reserve the root alone judges, which was sealed against who is dead when it was recovered.
  for (const high of reserve) {
    if (!dead(high)) continue;
    const { principal, incarnation } = ownerOf(high);
    groups += yield* replica.takeReserve(principal, incarnation);
  }
  return groups;
}

/** Whether a principal's incarnation is over, by the word that its principal shows. Who is being adopted or recovered is others'. */
function isOver(line: PrincipalLine, incarnation: number): boolean {
  if (line.state === principalState.free) return incarnation <= line.incarnation;
  return line.state <= principalState.active && incarnation < line.incarnation;
}
