import { glance, type Moments } from '@exomem/conformance/simulator';
import { decodeState, encodeState, type FileOwner, type Geometry, NamespaceReplica } from '@exomem/core';
import { Breach, type Held } from './told.js';

/** A record that counts. */
export interface Counted {
  readonly author: number;
  readonly incarnation: number;
  readonly sequence: number;
  /** It makes a file. */
  readonly creates: boolean;
}

/** What one who has followed the log from its first record on has seen. */
export interface Seen {
  readonly index: number;
  readonly body: Uint8Array;
  /** The records that count, by index. */
  readonly records: ReadonlyMap<number, Counted>;
  /** `principal.incarnation` -> the index of the record that fences it. */
  readonly fences: ReadonlyMap<string, number>;
  readonly sequences: ReadonlyMap<string, number>;
  /** Pages that a file refers to. */
  readonly named: readonly Pick<Held, 'page' | 'pages'>[];
  /** Names in the root directory, with whom each file ends. */
  readonly names: ReadonlyMap<string, FileOwner | undefined>;
}

/** Follows the log; no client. What it has seen is a number, so that a world can be at many moments. */
export class Witness {
  readonly #geometry: Geometry;
  readonly #seen: Seen[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #after = new Map<string, number>();

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
    const state = new NamespaceReplica(geometry).state;
    this.#number({
      index: state.index,
      body: encodeState(state),
      records: new Map(),
      fences: new Map(),
      sequences: new Map(),
      named: [],
      names: new Map(),
    });
  }

  /** Nothing yet. */
  readonly first = 0;

  at(seen: number): Seen {
    return this.#seen[seen]!;
  }

  /**
   * What it has seen when it has followed at that moment.
   * @param parts a name of all that it looks at
   * @throws `Breach` of I7: each record is whole, and who comes now sees the same.
   */
  follow(seen: number, moments: Moments, region: number, parts: string): number {
    const key = `${seen}|${parts}`;
    let after = this.#after.get(key);
    if (after === undefined) {
      after = this.#follow(this.at(seen), moments, region);
      this.#after.set(key, after);
    }
    return after;
  }

  #follow(before: Seen, moments: Moments, region: number): number {
    const geometry = this.#geometry;
    const records = new Map(before.records);
    const fences = new Map(before.fences);
    const sequences = new Map(before.sequences);
    const replica = new NamespaceReplica(geometry);
    if (before.index > 1) replica.state = decodeState(before.body, geometry.pageSize, before.index);
    replica.onRecord = (record) => {
      const { author, incarnation, sequence, index, operations } = record;
      const name = `${author}.${incarnation}`;
      if (fences.has(name) || (sequences.get(name) ?? 0) >= sequence) return;
      sequences.set(name, sequence);
      records.set(index, { author, incarnation, sequence, creates: operations.some(({ op }) => op === 'create') });
      for (const operation of operations) {
        if (operation.op !== 'fence') continue;
        const fenced = `${operation.principal}.${operation.incarnation}`;
        if (!fences.has(fenced)) fences.set(fenced, index);
      }
    };
    try {
      glance(moments, region, replica.catchUp());
    } catch (error) {
      throw new Breach('I7', `the log cannot be followed: ${String(error)}`);
    }
    const { state } = replica;
    const body = encodeState(state);
    this.#newcomer(moments, region, state.index, body);
    const named = [...state.inodes.values(), ...state.kept.values()].flatMap(({ extents }) => extents);
    const names = new Map(
      [...state.directory(1).entries].map(([name, inode]) => [name, state.inodes.get(inode)?.owner] as const),
    );
    return this.#number({ index: state.index, body, records, fences, sequences, named, names });
  }

  /** Who comes now sees the same as who has followed all the way. */
  #newcomer(moments: Moments, region: number, index: number, body: Uint8Array): void {
    const replica = new NamespaceReplica(this.#geometry);
    try {
      glance(moments, region, replica.load());
      glance(moments, region, replica.catchUp());
    } catch (error) {
      throw new Breach('I7', `a newcomer cannot load: ${String(error)}`);
    }
    if (replica.index !== index || Buffer.compare(encodeState(replica.state), body) !== 0) {
      throw new Breach(
        'I7',
        `a newcomer at ${replica.index} sees another tree, fences or sequences than who followed to ${index}`,
      );
    }
  }

  #number(seen: Seen): number {
    const parts = [seen.index, Buffer.from(seen.body).toString('latin1')];
    for (const [index, { author, incarnation, creates }] of seen.records)
      parts.push(`${index}:${author}.${incarnation}.${creates}`);
    for (const [name, index] of seen.fences) parts.push(`${name}!${index}`);
    const key = parts.join('|');
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#seen.length;
      this.#seen.push(seen);
      this.#numbers.set(key, number);
    }
    return number;
  }
}
