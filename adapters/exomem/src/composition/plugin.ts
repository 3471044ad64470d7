import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type AllocationPolicy, ExomemError, type Transport } from '@exomem/core';
import type { MountHost } from '@exomem/mount';

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
  /** Ways to choose space, by name. */
  readonly policies?: readonly AllocationPolicy[];
  /** Ways for the kernel's requests to reach a mount, by name. */
  readonly hosts?: readonly MountHost[];
}

const kinds = { transports: 'connect', policies: 'create', hosts: 'mount' } as const;

/**
 * Holds what a module exports against the contract.
 * @throws `InvalidArgument`, `Incompatible`
 */
export function checkPlugin(found: unknown, where: string): Plugin {
  const plugin = found as Plugin;
  const wrong = (why: string): ExomemError =>
    new ExomemError('InvalidArgument', `this is no plug-in: ${why}`, {
      where,
      advice: `export name, apiVersion = ${pluginApiVersion} and transports, policies or hosts`,
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

function checkVersion(name: string, version: unknown, where: string): void {
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
  const isPath = /^\.{0,2}\//.test(specifier) || /\.[cm]?js$/.test(specifier);
  let module: Record<string, unknown>;
  try {
    module = await import(isPath ? pathToFileURL(resolve(specifier)).href : specifier);
  } catch (cause) {
    const missing = ['ERR_MODULE_NOT_FOUND', 'ENOENT'].includes((cause as NodeJS.ErrnoException).code ?? '');
    throw new ExomemError(
      missing ? 'NotFound' : 'InvalidArgument',
      `this plug-in cannot be loaded: ${(cause as Error).message.split('\n', 1)[0]}`,
      { where: specifier, advice: 'name a module, as in --plugin ./mine.mjs', cause },
    );
  }
  const plugin = checkPlugin(module['name'] === undefined ? module['default'] : module, specifier);
  origins.set(plugin, isPath ? resolve(specifier) : specifier);
  return plugin;
}
