import { ExomemError } from '../errors.js';
import { incompatible, type Superblock, variantOf } from '../region/superblock.js';
import { atomic } from './atomic.js';
import { locked } from './locked.js';
import { message } from './message.js';
import type { AllocationPolicy } from './policy.js';

/** The policies of this package: one for each coordination variant that it knows. */
export const shippedPolicies: readonly AllocationPolicy[] = [atomic, locked, message];

const variantNames = Object.entries(incompatible);

/**
 * The policy for a region: the one that was chosen, if the region is of its variant, else the one of this package.
 * @throws `Incompatible`: variants are never mixed.
 */
export function policyFor({ incompat }: Pick<Superblock, 'incompat'>, chosen?: AllocationPolicy): AllocationPolicy {
  const variant = variantOf(incompat);
  const name = variantNames.find(([, bit]) => bit === variant)?.[0] ?? `0x${incompat.toString(16)}`;
  if (chosen !== undefined) {
    if ((chosen.feature ?? incompatible.atomic) === variant) return chosen;
    throw new ExomemError('Incompatible', `the region is coordinated by \`${name}\`, not by \`${chosen.name}\``, {
      advice: 'leave the policy out: the region says which it is; what another needs is another region',
    });
  }
  const shipped = shippedPolicies.find(({ feature = incompatible.atomic }) => feature === variant);
  if (shipped !== undefined) return shipped;
  throw new ExomemError('Incompatible', `the region is coordinated by \`${name}\`, which this version does not know`);
}
