import { type Occupancy, type PrincipalLine, principalState } from '@exomem/core';
import { nameOf, type Roster } from '../commands/roster.js';

/** Somebody who owns groups. Counts of pages. */
export interface Owner {
  readonly principal: number;
  /** `lost`: the principal is free, or its member is not there; a steward finds it. */
  readonly kind: 'member' | 'application' | 'lost';
  /** The slot of its member. */
  readonly member: number | undefined;
  readonly name: string;
  readonly room: number;
  readonly held: number;
  readonly withheld: number;
}

/** Who owns groups, the largest first. */
export function ownersOf(occupancy: Occupancy, roster: Roster): Owner[] {
  const lines = new Map(roster.principals.map((line) => [line.principal, line]));
  return [...occupancy.usage.principals]
    .map(([principal, { room, held, withheld }]) => ({
      principal,
      ...describe(principal, lines.get(principal), roster),
      room,
      held,
      withheld,
    }))
    .sort((a, b) => b.held - a.held || b.withheld - a.withheld || a.principal - b.principal);
}

function describe(
  principal: number,
  line: PrincipalLine | undefined,
  roster: Roster,
): Pick<Owner, 'kind' | 'member' | 'name'> {
  const member = line && roster.owner(line);
  if (line?.state === principalState.active && line.policy !== 0) {
    const where = member === undefined ? 'whose member is dead' : `of ${nameOf(member)}`;
    return { kind: 'application', member: member?.slot, name: `application ${principal} ${where}` };
  }
  if (member === undefined) return { kind: 'lost', member: undefined, name: `principal ${principal}, nobody's now` };
  return { kind: 'member', member: member.slot, name: nameOf(member) };
}
