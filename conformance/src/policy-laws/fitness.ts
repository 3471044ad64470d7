import type { AllocationPolicy, Allocator } from '@exomem/core';
import { SubjectUnfit } from '../transport-laws/fitness.js';
import { identityOf, smallRegion } from './small-region.js';

const methods = [
  ...(['allocate', 'free', 'release', 'withhold', 'settle', 'discover', 'merge', 'inherit', 'recover'] as const),
  ...(['giveRoom', 'holdings', 'surrender', 'dismiss', 'retain', 'suspects', 'judge', 'doubtNames', 'sweep'] as const),
  ...(['retire', 'inspect', 'validate', 'explain'] as const),
] satisfies readonly (keyof Allocator)[];

/** Looks whether there is anything to be held to laws. @throws `SubjectUnfit` with a sentence that says what is missing */
export function examinePolicy(name: string, policy: AllocationPolicy): void {
  if (typeof policy?.create !== 'function') {
    throw new SubjectUnfit(`the policy "${name}" has no create(context), which makes an allocator`);
  }
  let allocator: Partial<Record<(typeof methods)[number], unknown>>;
  try {
    allocator = policy.create({ geometry: smallRegion(2, 2, policy), identity: identityOf(0) }) as typeof allocator;
  } catch (error) {
    throw new SubjectUnfit(`create() of the policy "${name}" fails: ${String(error)}`);
  }
  if (typeof allocator !== 'object' || allocator === null) {
    throw new SubjectUnfit(`create() of the policy "${name}" gives ${String(allocator)} instead of an allocator`);
  }
  const missing = methods.filter((method) => typeof allocator[method] !== 'function');
  if (missing.length === 0) return;
  const list = missing.map((method) => `no ${method}()`).join(', ');
  throw new SubjectUnfit(
    `the allocator of the policy "${name}" has ${list}: one that hands on what it does not change has all`,
  );
}
