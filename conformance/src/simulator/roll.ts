import type { ClientNode } from './automaton.js';
import type { Flight, Stray } from './flight.js';
import { Local } from './world.js';

/** Everywhere that a client has stood, each kept once and with a number. */
export class Roll<Held, Heard> {
  readonly #index: number;
  readonly #epitaph: (local: Local<Held, Heard>) => string;
  readonly #epitaphs = new Map<string, number>();
  readonly #known = new Map<string, Local<Held, Heard>>();
  readonly #all: Local<Held, Heard>[] = [];

  /** @param epitaph all that counts of a client that does nothing any more */
  constructor(index: number, epitaph: (local: Local<Held, Heard>) => string) {
    this.#index = index;
    this.#epitaph = epitaph;
  }

  at(number: number): Local<Held, Heard> {
    return this.#all[number]!;
  }

  /** That place. Who is dead, shut out or done stands where all others do of whom the same is to be said. */
  of(
    node: ClientNode<Held, Heard>,
    flights: readonly (Flight | undefined)[],
    strays: readonly Stray[],
    dead: boolean,
    fenced: boolean,
    cut: number,
  ): Local<Held, Heard> {
    const still = dead || fenced || node.finished;
    let key: string;
    if (still) {
      const local = new Local(-1, this.#index, node, [], strays, dead, fenced, true, 0);
      key = `${dead ? 'd' : ''}${fenced ? 'f' : ''}!${this.#said(local)}`;
    } else {
      key = `${node.id}`;
      for (const flight of flights) key += `,${flight === undefined ? 0 : flight.id}`;
      if (cut !== 0) key += `/${cut}`;
    }
    for (const stray of strays) key += `+${stray.id}`;
    let known = this.#known.get(key);
    if (known === undefined) {
      const [left, broken] = still ? [[], 0] : [flights, cut];
      known = new Local(this.#all.length, this.#index, node, left, strays, dead, fenced, still, broken);
      this.#all.push(known);
      this.#known.set(key, known);
    }
    return known;
  }

  #said(local: Local<Held, Heard>): number {
    const { node, dead, fenced } = local;
    const how = fenced ? 2 : dead ? 1 : 0;
    let epitaph = node.epitaphs[how];
    if (epitaph === undefined) {
      const { binding } = node;
      const text = `${this.#epitaph(local)}|${binding?.slot}.${binding?.incarnation}`;
      epitaph = this.#epitaphs.get(text) ?? this.#epitaphs.size;
      this.#epitaphs.set(text, epitaph);
      node.epitaphs[how] = epitaph;
    }
    return epitaph;
  }
}
