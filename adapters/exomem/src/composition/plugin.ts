import { resolve } from 'node:path';
import { type AllocationPolicy, ExomemError, type Placement, type Transport } from '@exomem/core';
import type { MountHost } from '@exomem/mount';
import { importModule, isPath } from './module.js';

/** The version of the contract between exomem and its plug-ins. */
export const pluginApiVersion = 1;

/**
 * What a module brings. It exports these names, or an object of them as its default:
 *
 * ```js
 * export const name = 'mine';
 * export const apiVersion = 1;
 * export const transports = [{ name: 'mine', schemes: ['mine'], apiVersion: 1, connect(url, options) { ... } }];
 * ```
 */
export interface Plugin {
  readonly name: string;
  readonly apiVersion: typeof pluginApiVersion;
  /** Ways for bytes to travel, by the schemes of their URLs. */
  readonly transports?: readonly Transport[];
  /** Ways to coordinate space, by name. */
  readonly policies?: readonly AllocationPolicy[];
  /** Ways to choose where an allocation goes, by name. */
  readonly placements?: readonly Placement[];
  /** Ways for the kernel's requests to reach a mount, by name. */
  readonly hosts?: readonly MountHost[];
}

const kinds = { transports: 'connect', policies: 'create', placements: 'place', hosts: 'mount' } as const;

/**
 * Holds what a module exports against the contract.
 * @throws `InvalidArgument`, `Incompatible`
 */
export function checkPlugin(found: unknown, where: string): Plugin {
  const plugin = found as Plugin;
  const wrong = (why: string): ExomemError =>
    new ExomemError('InvalidArgument', `this is no plug-in: ${why}`, {
      where,
      advice: `export name, apiVersion = ${pluginApiVersion} and transports, policies, placements or hosts`,
    });
  if (typeof found !== 'object' || found === null) throw wrong('it exports nothing');
  if (typeof plugin.name !== 'string' || plugin.name === '') throw wrong('it exports no name');
  checkVersion(plugin.name, plugin.apiVersion, where);
  for (const [kind, method] of Object.entries(kinds)) {
    const parts: unknown = plugin[kind as keyof typeof kinds];
    if (parts === undefined) continue;
    if (!Array.isArray(parts)) throw wrong(`its ${kind} are no array`);
    for (const part of parts) {
      if (typeof part?.name !== 'string' || typeof part[method] !== 'function') {
        throw wrong(`one of its ${kind} has no name or no ${method}()`);
      }
      // A host has no version of its own.
      if (kind !== 'hosts') checkVersion(`${part.name} in ${plugin.name}`, part.apiVersion, where);
      if (kind === 'transports') checkSchemes(part, wrong);
    }
  }
  return plugin;
}

export function checkVersion(name: string, version: unknown, where: string): void {
  if (version === pluginApiVersion) return;
  throw new ExomemError(
    'Incompatible',
    `${name} is made for version ${String(version)} of the plug-in contract, this is version ${pluginApiVersion}`,
    { where, advice: `use a version of it that exports apiVersion = ${pluginApiVersion}` },
  );
}

function checkSchemes({ name, schemes }: Transport, wrong: (why: string) => ExomemError): void {
  const fine =
    Array.isArray(schemes) && schemes.length > 0 && schemes.every((scheme) => /^[a-z][a-z0-9+.-]*$/.test(scheme));
  if (!fine) throw wrong(`the transport ${name} has no schemes, which are lower-case words as in "tcp"`);
}

/** What plug-ins were imported as, so that another thread can do the same. */
const origins = new WeakMap<Plugin, string>();

/** What a plug-in was imported as; undefined if it was handed over as an object. */
export function originOf(plugin: Plugin): string | undefined {
  return origins.get(plugin);
}

/** Imports a plug-in: a path, or the name of a package. @throws `NotFound`, `InvalidArgument`, `Incompatible` */
export async function loadPlugin(specifier: string): Promise<Plugin> {
  const module = await importModule(specifier, 'plug-in', '--plugin');
  const plugin = checkPlugin(pluginOf(module), specifier);
  origins.set(plugin, isPath(specifier) ? resolve(specifier) : specifier);
  return plugin;
}

/** A module that exports one policy or placement, as for --policy, --placement and `exomem conform`, is a plug-in with that. */
function pluginOf(module: Record<string, unknown>): unknown {
  const named = ['name', 'policy', 'placement'].some((name) => module[name] !== undefined);
  const exported = named ? module : module['default'];
  const { policy, placement, apiVersion } = (exported ?? {}) as {
    policy?: AllocationPolicy;
    placement?: Placement;
    apiVersion?: unknown;
  };
  if (apiVersion !== undefined || (policy === undefined && placement === undefined)) return exported;
  return {
    name: policy?.name ?? placement?.name,
    apiVersion: pluginApiVersion,
    ...(policy === undefined ? {} : { policies: [policy] }),
    ...(placement === undefined ? {} : { placements: [placement] }),
  };
}
