import { createRequire } from 'node:module';
import {
  type AllocationPolicy,
  ExomemError,
  type Placement,
  pairTransport,
  splitPairUrl,
  type Transport,
} from '@exomem/core';
import type { MountHost } from '@exomem/mount';
import type { DependencyContainer } from 'tsyringe';
import { isPath } from './module.js';
import { checkPart, loadPart, type PartKind, type Parts } from './part.js';
import { checkPlugin, originOf, type Plugin } from './plugin.js';

// An `import` of these two, which are CommonJS, has Node analyse every file of theirs first. Each command pays for that:
// `require` saves it 50 ms.
const require = createRequire(import.meta.url);
require('reflect-metadata');
const { container: root, instanceCachingFactory } = require('tsyringe') as typeof import('tsyringe');

/** The token under which a part is registered. Nothing is found by a class or its decorators: plain modules can join. */
const token = {
  transport: (scheme: string): symbol => Symbol.for(`exomem.transport.${scheme}`),
  policy: (name: string): symbol => Symbol.for(`exomem.policy.${name}`),
  placement: (name: string): symbol => Symbol.for(`exomem.placement.${name}`),
  host: (name: string): symbol => Symbol.for(`exomem.host.${name}`),
};
type Kind = keyof typeof token;

/** What a module of the user's own can bring by an option of that name. */
const own: Partial<Record<Kind, true>> = { policy: true, placement: true };

/** The names of the placements of `core`, and what they are exported as. */
const placements = {
  'low-fragmentation': 'lowFragmentation',
  'first-fit': 'firstFit',
  'best-fit': 'bestFit',
  aligned: 'aligned',
} as const;

const defaultHost = 'fuse-native';

/**
 * Where everything is put together: transports by the schemes of their URLs, policies, placements and hosts of
 * mounts by name. What is built in is
 * loaded when it is asked for.
 */
export class Composition {
  readonly #container: DependencyContainer = root.createChildContainer();
  /** Who brought a part, for messages. */
  readonly #parts: Record<Kind, Map<string, string>> = {
    transport: new Map(),
    policy: new Map(),
    placement: new Map(),
    host: new Map(),
  };

  /** By scheme, what brings a transport in another thread: a plug-in's specifier, or undefined for one of ours. */
  readonly #modules = new Map<string, string | undefined>();

  /** @throws `InvalidArgument`, `Incompatible`, `Exists` (two parts of one name) */
  constructor(plugins: readonly Plugin[] = []) {
    const tcp = instanceCachingFactory(async () => (await import('@exomem/transport-tcp/client')).tcp());
    for (const scheme of ['tcp', 'unix']) {
      this.#register('transport', scheme, 'exomem', tcp);
      this.#modules.set(scheme, undefined);
    }
    this.#register('transport', 'file', 'exomem', async () =>
      (await import('../image/file-transport.js')).fileTransport(),
    );
    for (const name of ['atomic', 'locked', 'message'] as const) {
      this.#register('policy', name, 'exomem', async () => (await import('@exomem/core'))[name]);
    }
    for (const [name, exported] of Object.entries(placements)) {
      this.#register('placement', name, 'exomem', async () => (await import('@exomem/core'))[exported]);
    }
    this.#register('host', defaultHost, 'exomem', async () => (await import('@exomem/mount')).fuseNative());
    for (const plugin of plugins) this.add(plugin);
  }

  /** Takes in what a plug-in brings. */
  add(plugin: Plugin, where = plugin?.name): void {
    checkPlugin(plugin, where);
    for (const transport of plugin.transports ?? []) {
      for (const scheme of transport.schemes) {
        this.#register('transport', scheme, plugin.name, async () => transport);
        const origin = originOf(plugin);
        if (origin !== undefined) this.#modules.set(scheme, origin);
      }
    }
    for (const host of plugin.hosts ?? []) this.#register('host', host.name, plugin.name, async () => host);
    for (const kind of ['policy', 'placement'] as const) {
      for (const part of (kind === 'policy' ? plugin.policies : plugin.placements) ?? []) {
        this.#register(kind, checkPart(kind, part, where).name, plugin.name, async () => part);
      }
    }
  }

  /** How another thread comes by the transport of a URL's scheme; undefined if it cannot. */
  abroad(url: string): { readonly plugin: string | undefined } | undefined {
    const pair = splitPairUrl(url);
    if (pair !== undefined) {
      const [data, metadata] = [this.abroad(pair.data), this.abroad(pair.metadata)];
      if (data === undefined || metadata === undefined) return undefined;
      // A thread is given one plug-in.
      const one = data.plugin === undefined || metadata.plugin === undefined || data.plugin === metadata.plugin;
      return one ? { plugin: data.plugin ?? metadata.plugin } : undefined;
    }
    const scheme = schemeOf(url) ?? '';
    return this.#modules.has(scheme) ? { plugin: this.#modules.get(scheme) } : undefined;
  }

  /** The transport of a URL's scheme, or of both its schemes where it is `DATA?metadata=METADATA`. @throws `InvalidArgument` */
  async transport(url: string): Promise<Transport> {
    const pair = splitPairUrl(url);
    if (pair !== undefined) {
      const [data, metadata] = await Promise.all([this.transport(pair.data), this.transport(pair.metadata)]);
      return pairTransport({ data, metadata });
    }
    const scheme = schemeOf(url);
    if (scheme === undefined) {
      throw new ExomemError('InvalidArgument', 'this is no URL of a region', {
        where: url,
        advice: 'write it like tcp://HOST:PORT/REGION',
      });
    }
    return this.#resolve<Transport>('transport', scheme, url);
  }

  /** A policy by its name, or by the module that has it; one that is handed over is looked at. @throws `InvalidArgument`, ... */
  policy(given: string | AllocationPolicy): Promise<AllocationPolicy> {
    return this.#part('policy', given);
  }

  /** A placement, likewise. */
  placement(given: string | Placement): Promise<Placement> {
    return this.#part('placement', given);
  }

  /** The policy that a region names; undefined if nobody brought one of that name. */
  async registered(name: string): Promise<AllocationPolicy | undefined> {
    return this.#parts.policy.has(name) ? this.policy(name) : undefined;
  }

  async #part<K extends PartKind>(kind: K, given: string | Parts[K]): Promise<Parts[K]> {
    if (typeof given !== 'string') return checkPart(kind, given, `the ${kind} that was handed over`);
    if (!this.#parts[kind].has(given) && isPath(given)) return loadPart(kind, given);
    return this.#resolve<Parts[K]>(kind, given, given);
  }

  /** How the kernel's requests reach a mount. @throws `InvalidArgument` */
  async host(name = defaultHost): Promise<MountHost> {
    return this.#resolve<MountHost>('host', name, name);
  }

  #register(
    kind: Kind,
    name: string,
    origin: string,
    make: (container: DependencyContainer) => Promise<unknown>,
  ): void {
    const before = this.#parts[kind].get(name);
    if (before !== undefined) {
      throw new ExomemError('Exists', `the ${kind} "${name}" of ${origin} has the name of one of ${before}`, {
        advice: 'give it another name',
      });
    }
    this.#parts[kind].set(name, origin);
    this.#container.register(token[kind](name), { useFactory: make });
  }

  #resolve<T>(kind: Kind, name: string, where: string): Promise<T> {
    if (!this.#parts[kind].has(name)) {
      throw new ExomemError('InvalidArgument', `there is no ${kind} "${name}"`, {
        where,
        advice: `known are ${[...this.#parts[kind].keys()].join(', ')}; --${kind in own ? kind : 'plugin'} ./mine.mjs brings another`,
      });
    }
    return this.#container.resolve<Promise<T>>(token[kind](name));
  }
}

/** Lower case; undefined if it has none. */
export function schemeOf(url: string): string | undefined {
  return /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
}
