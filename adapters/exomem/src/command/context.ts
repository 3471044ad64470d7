import type { Client } from '@exomem/core';
import type { Composition } from '../composition/composition.js';
import type { Plugin } from '../composition/plugin.js';
import type { OpenOptions } from '../open.js';
import type { Interrupt } from './interrupt.js';
import { type Location, parseLocation, parseRegion } from './location.js';
import type { Output } from './output.js';

/** What a command line takes in beside what is built in. */
export interface Given {
  /** Specifiers of modules. */
  readonly plugins: readonly string[];
  /** The name of a policy, or the path of the module that has it. */
  readonly policy?: string | undefined;
  /** The name of a placement, likewise. */
  readonly placement?: string | undefined;
}

/** What every command is given. */
export class Context {
  readonly output: Output;
  readonly interrupt: Interrupt;
  /** What `--plugin`, `--policy` and `--placement` named. */
  readonly given: Given;
  #composition: Promise<Composition> | undefined;

  constructor(output: Output, interrupt: Interrupt, given: Given) {
    this.output = output;
    this.interrupt = interrupt;
    this.given = given;
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
    return new Composition(await this.plugins());
  }

  /** The plug-ins, loaded. */
  async plugins(): Promise<Plugin[]> {
    const plugins: Plugin[] = [];
    if (this.given.plugins.length === 0) return plugins;
    const { loadPlugin } = await import('../composition/plugin.js');
    for (const specifier of this.given.plugins) plugins.push(await loadPlugin(specifier));
    return plugins;
  }

  /** Joins a region for the time of a command. Close it. */
  async join(url: string, options: OpenOptions = {}): Promise<Client> {
    const composition = await this.composition();
    const { join } = await import('../open.js');
    const { policy, placement } = this.given;
    return join(url, { label: 'exomem', signal: this.signal, policy, placement, ...options }, composition);
  }

  /** Looks at a region without joining it. Close it. */
  look(url: string): Promise<Client> {
    return this.join(url, { role: 'observer' });
  }
}
