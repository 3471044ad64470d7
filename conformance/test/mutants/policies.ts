import { policyLaws } from '@exomem/conformance';
import { type AllocationPolicy, atomic } from '@exomem/core';
import * as spoilers from '../fixtures/spoiled-policy.js';
import { type Kill, killedBy, type Mutant } from './mutant.js';

const { spoilCalls, spoilSteps } = spoilers;

/** A policy that is wrong in one way, and a law that it breaks. */
export interface FlawedPolicy {
  readonly what: string;
  readonly law: string;
  readonly policy: AllocationPolicy;
}

const flawed = (what: string, law: string, policy: AllocationPolicy): FlawedPolicy => ({ what, law, policy });

/** Wrong in what they ask of the region. */
export const spoiledGenerators: readonly FlawedPolicy[] = [
  flawed(
    'claims by a read and a plain write',
    'shown',
    spoilSteps(atomic, () => spoilers.claimsByWriting),
  ),
  flawed(
    'leaves the principal out of its claims',
    'fenced',
    spoilSteps(atomic, () => spoilers.ignoresFence),
  ),
  flawed(
    'takes a lost reply for a refusal',
    'valid',
    spoilSteps(atomic, () => spoilers.takesSilenceForRefusal),
  ),
  flawed(
    'commits a long run first',
    'whole',
    spoilSteps(atomic, () => spoilers.commitsFirst),
  ),
];

export const flawedPolicies: readonly FlawedPolicy[] = [
  ...spoiledGenerators,
  flawed(
    'claims in two steps',
    'valid',
    spoilSteps(atomic, () => spoilers.claimsInTwoSteps),
  ),
  flawed(
    'trusts its hint',
    'shown',
    spoilSteps(atomic, () => spoilers.trustsItsHint),
  ),
  flawed(
    'is off by one at the edge of a group',
    'whole',
    spoilSteps(atomic, () => spoilers.offByOneAtTheEdge),
  ),
  flawed('zeroes what the dead had', 'named', spoilCalls(atomic, spoilers.zeroesTheDead)),
  flawed('gives the same pages out twice', 'exclusive', spoilCalls(atomic, spoilers.givesTwice())),
  flawed('knows no names', 'named', spoilCalls(atomic, spoilers.knowsNoNames)),
  flawed('forgets to free', 'conserved', spoilCalls(atomic, spoilers.forgetsToFree)),
  flawed('finds fault with everything', 'valid', spoilCalls(atomic, spoilers.findsFault)),
  flawed('does not care for alignment', 'placed', spoilCalls(atomic, spoilers.ignoresAlignment)),
  flawed(
    'zeroes nothing',
    'fresh',
    spoilSteps(atomic, () => spoilers.zeroesNothing),
  ),
  flawed('refuses without looking', 'full', spoilCalls(atomic, spoilers.refusesUnseen)),
  flawed('refuses three pages', 'alone', spoilCalls(atomic, spoilers.refusesUnseen)),
  flawed('refuses for no reason', 'typed', spoilCalls(atomic, spoilers.isBusy)),
  flawed('frees again', 'stale', spoilCalls(atomic, spoilers.freesAgain)),
  flawed('frees what is not its own', 'foreign', spoilCalls(atomic, spoilers.freesForeign)),
  flawed('explains nothing', 'explained', spoilCalls(atomic, spoilers.isSilent)),
  flawed('leaves with all that it has', 'returned', spoilCalls(atomic, spoilers.keepsAll)),
  flawed('waits for ever', 'ends', spoilCalls(atomic, spoilers.waits)),
];

/** The laws that a policy breaks within so many schedules, and how. */
export async function brokenLaws(
  policy: AllocationPolicy,
  seed: number,
  schedules: number,
): Promise<Map<string, Kill>> {
  const broken = new Map<string, Kill>();
  for (const law of policyLaws({ name: 'it', policy }, { seed, schedules, patience: 100, corpus: [] })) {
    if (law.id === 'alone' || law.id === 'exhaustive') continue;
    const kill = await killedBy(law);
    if (kill !== undefined) broken.set(law.id, kill);
  }
  return broken;
}

async function hunt({ policy, law: id }: FlawedPolicy, seed: number, bounded: boolean): Promise<Kill | undefined> {
  const { [id]: own } = Object.fromEntries(
    policyLaws({ name: 'it', policy }, { seed, corpus: [] }).map((law) => [law.id, law]),
  );
  if (id === 'alone' || id === 'exhaustive') return killedBy(own!);
  // The first runs of a seed are the same, however many follow.
  for (const schedules of bounded ? [200, 600] : [100, 2_000]) {
    const broken = await brokenLaws(policy, seed, schedules);
    const kill = broken.get(id);
    if (kill !== undefined) return { ...kill, also: [...broken.keys()].filter((law) => law !== id) };
  }
  return undefined;
}

const mutant = (one: FlawedPolicy): Mutant => ({
  name: `a policy that ${one.what}`,
  of: 'policy',
  law: one.law,
  hunt: (seed, bounded) => hunt(one, seed, bounded),
});

export const policyMutants: readonly Mutant[] = [
  ...flawedPolicies.map(mutant),
  // What chance finds, going every way finds, too, where the meetings ask for it.
  // What refuses three pages is what refuses without looking.
  ...flawedPolicies
    .filter(({ law }) => law !== 'alone')
    .map(({ what, policy }) => ({
      ...mutant({ what, law: 'exhaustive', policy }),
      name: `a policy that ${what}, at a small meeting`,
    })),
];
