import { type AllocationPolicy, ExomemError, isPolicyName, type Placement } from '@exomem/core';
import { importModule } from './module.js';
import { checkVersion } from './plugin.js';

/** What a user may bring by one module of its own. */
export interface Parts {
  policy: AllocationPolicy;
  placement: Placement;
}
export type PartKind = keyof Parts;

/** What each has to have, and what to write. */
const shapes = {
  policy: {
    methods: ['create'],
    plural: 'policies',
    sketch: 'export default { policy: { name, apiVersion: 1, create(context) { ... } } }',
  },
  placement: {
    methods: ['place', 'explain'],
    plural: 'placements',
    sketch: 'export default { placement: { name, apiVersion: 1, place(space, need) { ... }, explain(place) { ... } } }',
  },
} as const;

/**
 * Holds a policy or a placement against its contract.
 * @throws `InvalidArgument`, `Incompatible`
 */
export function checkPart<K extends PartKind>(kind: K, found: unknown, where: string): Parts[K] {
  const { methods, sketch } = shapes[kind];
  const wrong = (why: string): ExomemError =>
    new ExomemError('InvalidArgument', `this is no ${kind}: ${why}`, { where, advice: `write ${sketch}` });
  if (typeof found !== 'object' || found === null)
    throw wrong(`it is ${found === null ? 'null' : `a ${typeof found}`}`);
  const part = found as Record<string, unknown>;
  if (typeof part['name'] !== 'string' || part['name'] === '') throw wrong('it has no name');
  if (kind === 'policy' && !isPolicyName(part['name'])) {
    throw wrong(`"${part['name']}" is not a name of at most 32 printable ASCII characters without spaces`);
  }
  for (const method of methods) if (typeof part[method] !== 'function') throw wrong(`it has no ${method}()`);
  checkVersion(part['name'], part['apiVersion'], where);
  return found as Parts[K];
}

/**
 * Imports a module that brings one: as `{ policy }` or `{ placement }`, which is what `exomem conform` takes, too, as what it
 * exports itself, or as the only one of a plug-in.
 * @throws `NotFound`, `InvalidArgument`, `Incompatible`
 */
export async function loadPart<K extends PartKind>(kind: K, specifier: string): Promise<Parts[K]> {
  const { plural, sketch, methods } = shapes[kind];
  const module = await importModule(specifier, kind, `--${kind}`);
  for (const exported of [module['default'], module] as (Record<string, unknown> | undefined)[]) {
    if (typeof exported !== 'object' || exported === null) continue;
    if (exported[kind] !== undefined) return checkPart(kind, exported[kind], specifier);
    if (methods.some((method) => typeof exported[method] === 'function')) return checkPart(kind, exported, specifier);
    const several = exported[plural];
    if (!Array.isArray(several)) continue;
    if (several.length === 1) return checkPart(kind, several[0], specifier);
    const names = several.map((part) => String(part?.name)).join(', ');
    throw new ExomemError('InvalidArgument', `this module has ${several.length} ${plural}: ${names}`, {
      where: specifier,
      advice: `say which: --plugin ${specifier} --${kind} NAME`,
    });
  }
  const names = Object.keys(module).join(', ') || 'nothing';
  throw new ExomemError('InvalidArgument', `this module exports ${names}, and no ${kind}`, {
    where: specifier,
    advice: `write ${sketch}`,
  });
}
