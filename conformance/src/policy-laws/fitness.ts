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
  const create = (client: number): Partial<Record<(typeof methods)[number], unknown>> => {
    try {
      return policy.create({ geometry: smallRegion(2, 2, policy), identity: identityOf(client) }) as Partial<Allocator>;
    } catch (error) {
      throw new SubjectUnfit(`create() of the policy "${name}" fails: ${String(error)}`);
    }
  };
  const allocator = create(0);
  if (typeof allocator !== 'object' || allocator === null) {
    throw new SubjectUnfit(`create() of the policy "${name}" gives ${String(allocator)} instead of an allocator`);
  }
  const missing = methods.filter((method) => typeof allocator[method] !== 'function');
  if (missing.length > 0) {
    const list = missing.map((method) => `no ${method}()`).join(', ');
    throw new SubjectUnfit(
      `the allocator of the policy "${name}" has ${list}: one that hands on what it does not change has all`,
    );
  }
  if (create(1) === allocator) {
    throw new SubjectUnfit(`create() of the policy "${name}" gives the same allocator twice: each client has its own`);
  }
  const protocol = (allocator as Allocator).allocate({ pages: 1, initialise: 'none' });
  if (typeof protocol?.next === 'function') return;
  const got = (protocol as unknown) instanceof Promise ? 'a promise' : `a ${typeof protocol}`;
  throw new SubjectUnfit(
    `allocate() of the policy "${name}" gives ${got} and no protocol: write *allocate(request) { ... yield load(...) ... }`,
  );
}
