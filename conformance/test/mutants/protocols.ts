import { convict, mutants } from '../../hunt/exhaustive/mutants.js';
import type { Mutant } from './mutant.js';

/** Faults in the shipped protocols, the log among them: each is found by a search, as a breach of an invariant. */
export const protocolMutants: readonly Mutant[] = mutants.map((mutant) => ({
  name: mutant.name,
  of: 'protocol',
  law: mutant.invariant,
  ...(mutant.slow ? { slow: true } : {}),
  async hunt(seed, bounded) {
    const { found, states } = convict(mutant, bounded ? 20_000 : undefined, seed);
    if (found === undefined) return undefined;
    const law = /^([A-Z]\d+): /.exec(found.message)?.[1] ?? 'answer';
    return { law, runs: states, unit: 'states', what: `${mutant.search}: ${found.message}` };
  },
}));
