import { ExomemError } from '../errors.js';
import { incompatible, isPolicyName, type Superblock, variantOf } from '../region/superblock.js';
import { atomic } from './atomic.js';
import { locked } from './locked.js';
import { message } from './message.js';
import type { AllocationPolicy } from './policy.js';

/** The policies of this package: one for each coordination variant that it knows. */
export const shippedPolicies: readonly AllocationPolicy[] = [atomic, locked, message];

const variants: ReadonlyMap<bigint, string> = new Map(
  (['atomic', 'locked', 'message'] as const).map((name) => [incompatible[name], name]),
);

type Ruled = Pick<Superblock, 'incompat' | 'policy'>;

/** The name of the policy that rules a region: one of the format's own, or what a user's own is called. */
export function ruler({ incompat, policy }: Ruled): string {
  return policy ?? variants.get(variantOf(incompat)) ?? `0x${incompat.toString(16)}`;
}

/** What a region that such a policy rules says of it. @throws `InvalidArgument` for a name that no region can say. */
export function ruleOf({ name, feature = incompatible.custom }: Pick<AllocationPolicy, 'name' | 'feature'>): {
  readonly incompat: bigint;
  readonly policy?: string;
} {
  if (feature !== incompatible.custom) return { incompat: feature };
  const taken = [...variants.values()].includes(name);
  if (isPolicyName(name) && !taken) return { incompat: feature, policy: name };
  throw new ExomemError(
    'InvalidArgument',
    taken ? `"${name}" is the name of a policy of exomem` : `"${name}" is no name of a policy`,
    { advice: 'give it a name of its own of at most 32 printable ASCII characters, without spaces' },
  );
}

/**
 * The policy for a region: the one that was chosen, if it rules the region, else the one of this package.
 * @throws `Incompatible`: policies are never mixed.
 */
export function policyFor(block: Ruled, chosen?: AllocationPolicy): AllocationPolicy {
  const name = ruler(block);
  if (chosen !== undefined) {
    const rule = ruleOf(chosen);
    if (rule.incompat === variantOf(block.incompat) && rule.policy === block.policy) return chosen;
    const isOurs = block.policy === undefined;
    throw new ExomemError('Incompatible', `the policy "${name}" rules the region, not "${chosen.name}"`, {
      advice: isOurs
        ? `leave the policy out: the region says which it is; "${chosen.name}" needs a region that is made for it`
        : `give the module that has "${name}", as in --policy ./${name}.js; "${chosen.name}" needs a region that is made for it`,
    });
  }
  const shipped = shippedPolicies.find(({ feature }) => feature === variantOf(block.incompat));
  if (shipped !== undefined) return shipped;
  throw new ExomemError(
    'Incompatible',
    block.policy === undefined
      ? `the policy "${name}" rules the region, which this version does not know`
      : `the policy "${name}" rules the region, which is none of exomem`,
    block.policy === undefined
      ? {}
      : { advice: `give the module that has it, as in --policy ./${name}.js, or open(url, { policy })` },
  );
}

/** {@link policyFor}, which asks for the policy of the region's name where none was chosen. */
export async function findPolicy(
  block: Ruled,
  chosen?: AllocationPolicy,
  registered?: (name: string) => Promise<AllocationPolicy | undefined>,
): Promise<AllocationPolicy> {
  return policyFor(block, chosen ?? (block.policy === undefined ? undefined : await registered?.(block.policy)));
}
