import { mountLaws, policyLaws, transportLaws } from '@exomem/conformance';
import { atomic } from '@exomem/core';
import { always, atTheEnd, grows } from '../../hunt/exhaustive/invariants.js';
import { loopbackSubject } from '../fixtures/loopback-subject.js';
import { codecLaws, codecMutants } from './codecs.js';
import { historyMutants } from './histories.js';
import { mountMutants } from './mounts.js';
import type { Kill, Mutant } from './mutant.js';
import { policyMutants } from './policies.js';
import { protocolMutants } from './protocols.js';
import { transportMutants } from './transports.js';

export const mutants: readonly Mutant[] = [
  ...transportMutants,
  ...policyMutants,
  ...protocolMutants,
  ...codecMutants,
  ...historyMutants,
  ...mountMutants,
];

/** What became of a mutant with one seed. */
export interface Attempt {
  readonly seed: number;
  readonly kill: Kill | undefined;
  readonly milliseconds: number;
}

/** A row of the table. */
export interface Row {
  readonly mutant: Mutant;
  readonly attempts: readonly Attempt[];
}

/** Everything that a mutant can break, whether it breaks it or not: the laws of the kit, and what the searches hold. */
export function allLaws(): {
  readonly of: string;
  readonly id: string;
  readonly sentence: string;
  readonly purpose?: string;
}[] {
  const laws = (of: string, all: readonly { id: string; sentence: string; purpose?: string }[]) =>
    all.map(({ id, sentence, purpose = '' }) => ({ of, id, sentence, purpose }));
  const told = [
    ...always,
    ...grows,
    ...atTheEnd,
    { id: 'I3', sentence: 'What a client that has nothing to do knows of its words is true.' },
    { id: 'I4', sentence: 'Who takes itself for dead is, and who is fenced is given nothing.' },
    { id: 'I5', sentence: 'Who looks at what is held sees the runs that were given out, each whole.' },
    { id: 'I7', sentence: 'Each record that is reached is whole, and who comes now sees what all others see.' },
    { id: 'I9', sentence: 'Nobody writes to a page that it neither has nor looks at by a name.' },
    { id: 'I10', sentence: 'When all are recovered nothing is left but what files name.' },
    { id: 'I12', sentence: 'What is read by a name is what was written by that name.' },
    { id: 'I13', sentence: 'No room is found only where at some instant there was none.' },
    { id: 'answer', sentence: 'An operation ends with one of its answers.' },
  ];
  const searched = [...new Map(told.map((one) => [one.id, one])).values()];
  return [
    ...laws('transport', transportLaws(loopbackSubject())),
    ...laws('policy', policyLaws({ name: 'atomic', policy: atomic })),
    ...laws(
      'search',
      searched.sort((one, other) => one.id.localeCompare(other.id, 'en', { numeric: true })),
    ),
    ...laws('mount', mountLaws('/tmp')),
    ...laws('codec', codecLaws),
    ...laws('history', [
      { id: 'linearizable-words', sentence: 'Each word behaves as if one thing happened to it at a time.' },
      { id: 'linearizable-memory', sentence: 'Each piece of memory belongs to one at a time.' },
    ]),
  ];
}

/** Whether a mutant died by every seed, and by the law that it was seeded for. */
export const killed = ({ attempts }: Row): boolean => attempts.every(({ kill }) => kill !== undefined);

/** Which mutants each law killed, by its own name or along with another. */
export function killersOf(rows: readonly Row[]): { id: string; of: string; sentence: string; killed: string[] }[] {
  return allLaws().map(({ of, id, sentence }) => {
    const own = rows.filter(({ mutant, attempts }) => {
      const ground = mutant.of === 'protocol' ? 'search' : mutant.of;
      return ground === of && attempts.some(({ kill }) => kill?.law === id || kill?.also?.includes(id));
    });
    return { id, of, sentence, killed: own.map(({ mutant }) => mutant.name) };
  });
}

/** Hunts a mutant, once for each seed. */
export async function hunt(mutant: Mutant, seeds: readonly number[], bounded: boolean): Promise<Row> {
  const attempts: Attempt[] = [];
  for (const seed of seeds) {
    const began = performance.now();
    const kill = await mutant.hunt(seed, bounded);
    attempts.push({ seed, kill, milliseconds: performance.now() - began });
  }
  return { mutant, attempts };
}

/** A row for people. */
export function rowText(row: Row): string {
  const { mutant, attempts } = row;
  const kills = attempts.flatMap(({ kill }) => (kill === undefined ? [] : [kill]));
  const by = [...new Set(kills.map(({ law }) => law))].join(', ');
  const runs = kills.map((kill) => kill.runs);
  const least = Math.min(...runs);
  const most = Math.max(...runs);
  const after = least === most ? `${least}` : `${least} to ${most}`;
  const time = Math.max(...attempts.map(({ milliseconds }) => milliseconds));
  const alive = attempts.filter(({ kill }) => kill === undefined).map(({ seed }) => seed);
  const verdict = alive.length > 0 ? `LIVES with seed ${alive.join(', ')}` : `${by} | ${after} ${kills[0]!.unit}`;
  return `${mutant.of} | ${mutant.name} | ${verdict} | ${(time / 1000).toFixed(2)} s`;
}
