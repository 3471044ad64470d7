import { mountLaws } from '@exomem/conformance';
import { mountMutants as spoiled } from '../fixtures/mount-mutants.js';
import { killedBy, type Mutant } from './mutant.js';

/** What these break shows only where two programs really meet, which a machine that is busy elsewhere may not let them. */
const needsMeeting = /^(rename-atomic|exclusive-create|concurrent-appends|listing)/;

/** It bounds how long a case is made simpler, too. */
const patience = 15_000;

const inWords = (spoiler: string): string => spoiler.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** File systems that are wrong in one way: the one of this machine, between which and its user an operation is spoiled. */
export const mountMutants: readonly Mutant[] = spoiled.map(({ id: name, law: id, subject }) => ({
  name: `a file system that ${inWords(name)}`,
  of: 'mount',
  law: id,
  async hunt(seed) {
    const { dir, dir2, ...declared } = subject;
    for (let left = needsMeeting.test(id) ? 10 : 1, tries = 1; left > 0; left -= 1, tries += 1) {
      const law = mountLaws(dir, dir2, { ...declared, corpus: [], seed, patience }).find((one) => one.id === id);
      if (law === undefined || law.skip !== undefined) throw new Error(`${id} says nothing: ${law?.skip}`);
      const kill = await killedBy(law, tries);
      if (kill !== undefined) return kill;
    }
    return undefined;
  },
}));
