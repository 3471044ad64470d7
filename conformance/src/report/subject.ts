import { type AllocationPolicy, atomic, type Placement } from '@exomem/core';
import type { MountSubject } from '../mount-laws/index.js';
import type { PolicySubject } from '../policy-laws/index.js';
import { SubjectUnfit } from '../transport-laws/fitness.js';
import { type TransportModule, transportSubject } from '../transport-laws/module.js';
import type { TransportSubject } from '../transport-laws/subject.js';

/**
 * What a module may export as its default to be held to the laws: a transport, or a policy, bare or with a name, or a placement,
 * which is tried with the policy `atomic`.
 */
export type ConformModule =
  | TransportModule
  | AllocationPolicy
  | (Omit<PolicySubject, 'name'> & { readonly name?: string })
  | { readonly name?: string; readonly placement: Placement };

/** What is held to the laws. */
export type Subject =
  | { readonly kind: 'transport'; readonly transport: TransportSubject }
  | { readonly kind: 'policy'; readonly policy: PolicySubject }
  | { readonly kind: 'mount'; readonly mount: MountSubject };

const transportSketch =
  'export default { setup: ({ bytes }) => ({ transport: mine(), url: "mine:region", teardown() {} }) } for a transport';
const policySketch = 'export default { policy } for a policy, { placement } for a placement';

/**
 * Reads what a module exports as its default.
 * @param name for messages, where the module gives none
 * @param patience milliseconds after which a factory that has not ended hangs
 * @throws `SubjectUnfit` with a sentence that says what is wrong and what to write instead
 */
export async function subjectOf(exported: unknown, name: string, patience?: number): Promise<Subject> {
  const module = exported as
    | { setup?: unknown; policy?: unknown; placement?: unknown; create?: unknown; progress?: unknown; name?: string }
    | undefined;
  if (typeof module !== 'object' || module === null) {
    const what = module === undefined ? 'no default' : `a default that is ${describeValue(module)}`;
    throw new SubjectUnfit(`${name} exports ${what}: write ${transportSketch}, or ${policySketch}`);
  }
  const several = (['setup', 'policy', 'placement'] as const).filter((key) => module[key] !== undefined);
  if (several.length > 1) {
    throw new SubjectUnfit(`the default of ${name} has ${several.join(' and ')}: write a module for each`);
  }
  if (typeof module.setup === 'function') {
    return { kind: 'transport', transport: await transportSubject(exported as TransportModule, name, patience) };
  }
  const policy = module.policy ?? (typeof module.create === 'function' ? exported : undefined);
  if (policy !== undefined) {
    checkPolicy(policy, name);
    const { progress } = module;
    if (progress !== undefined && typeof progress !== 'boolean') {
      throw new SubjectUnfit(`the progress that ${name} declares is ${describeValue(progress)}: write true or false`);
    }
    const declared = progress === undefined ? {} : { progress };
    return { kind: 'policy', policy: { name: module.name ?? policy.name, policy, ...declared } };
  }
  const { placement } = module;
  if (placement !== undefined) {
    checkPlacement(placement, name);
    const own = module.name ?? placement.name;
    const create: AllocationPolicy['create'] = (context) => atomic.create({ ...context, placement });
    return { kind: 'policy', policy: { name: own, policy: { ...atomic, name: own, create } } };
  }
  const got = Object.keys(module).join(', ') || 'nothing';
  const transport = 'connect' in module || 'transports' in module;
  throw new SubjectUnfit(
    transport
      ? `the default of ${name} is a transport alone, and the kit has to know how to make a region: write ${transportSketch}`
      : `the default of ${name} has ${got}, and neither setup nor policy nor placement: write ${transportSketch}, or ${policySketch}`,
  );
}

function checkPolicy(policy: unknown, name: string): asserts policy is AllocationPolicy {
  const { name: own, create } = policy as Partial<AllocationPolicy>;
  if (typeof create !== 'function') {
    throw new SubjectUnfit(`the policy of ${name} has no create(context), which makes an allocator`);
  }
  if (typeof own !== 'string') throw new SubjectUnfit(`the policy of ${name} has no name`);
}

function checkPlacement(placement: unknown, name: string): asserts placement is Placement {
  const { name: own, place, explain } = placement as Partial<Placement>;
  if (typeof place !== 'function') {
    throw new SubjectUnfit(`the placement of ${name} has no place(space, need), which answers a page`);
  }
  if (typeof explain !== 'function') throw new SubjectUnfit(`the placement of ${name} has no explain(place)`);
  if (typeof own !== 'string') throw new SubjectUnfit(`the placement of ${name} has no name`);
}

function describeValue(value: unknown): string {
  return typeof value === 'function' ? 'a function' : `a ${typeof value}`;
}
