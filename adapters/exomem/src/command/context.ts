import type { Client } from '@exomem/core';
import type { Composition } from '../composition/composition.js';
import type { Plugin } from '../composition/plugin.js';
import type { OpenOptions } from '../open.js';
import type { Interrupt } from './interrupt.js';
import { type Location, parseLocation, parseRegion } from './location.js';
import type { Output } from './output.js';

/** What every command is given. */
export class Context {
  readonly output: Output;
  readonly interrupt: Interrupt;
  /** What `--plugin` named. */
  readonly plugins: readonly string[];
  #composition: Promise<Composition> | undefined;

  constructor(output: Output, interrupt: Interrupt, plugins: readonly string[]) {
    this.output = output;
    this.interrupt = interrupt;
    this.plugins = plugins;
  }

  get signal(): AbortSignal {
    return this.interrupt.signal;
  }

  /** A file of a region, from an argument or EXOMEM_URL. */
  location(text?: string): Location {
    return parseLocation(text, process.env['EXOMEM_URL']);
  }
  /** A region, likewise. */
  region(text?: string): string {
    return text === undefined ? this.location().url : parseRegion(text);
  }

  /** What is built in, and what the plug-ins bring. */
  composition(): Promise<Composition> {
    this.#composition ??= this.#compose();
    return this.#composition;
  }
  async #compose(): Promise<Composition> {
    const { Composition } = await import('../composition/composition.js');
    const composition = new Composition();
    if (this.plugins.length > 0) {
      const { loadPlugin } = await import('../composition/plugin.js');
      for (const specifier of this.plugins) {
        const plugin: Plugin = await loadPlugin(specifier);
        composition.add(plugin, specifier);
      }
    }
    return composition;
  }

  /** Joins a region for the time of a command. Close it. */
  async join(url: string, options: OpenOptions = {}): Promise<Client> {
    const composition = await this.composition();
    const { join } = await import('../open.js');
    return join(url, { label: 'exomem', signal: this.signal, ...options }, composition);
  }

  /** Looks at a region without joining it. Close it. */
  look(url: string): Promise<Client> {
    return this.join(url, { role: 'observer' });
  }
}
