import fc from 'fast-check';
import { harmsIn, written } from './harm.js';
import { imagesOf, type Kind, kinds } from './image.js';
import { type Outcome, Patient } from './patient.js';

export type { Harm } from './harm.js';
export { type Kind, kinds } from './image.js';
export type { Outcome } from './patient.js';

export interface DamageHunt {
  /** Seeds, each of so many runs for each image. Default 10. */
  readonly seeds?: number | undefined;
  /** Ends after so many seconds, whatever `seeds` says. */
  readonly seconds?: number | undefined;
  /** The first seed. Default 1. */
  readonly seed?: number | undefined;
  readonly kinds?: readonly Kind[] | undefined;
  readonly tell: (line: string) => void;
}

/** Runs of one seed for each image: half of them suffer one harm, half up to four. */
const runs = 100;

/** Both images of each kind, ready to suffer. */
export async function patientsOf(which: readonly Kind[] = kinds): Promise<Patient[]> {
  const images = [];
  for (const kind of which) images.push(...(await imagesOf(kind)));
  return images.map((image) => new Patient(image));
}

/** Lets one suffer at random. What came of it, how often. @throws the smallest harm that something is wrong after */
export function harm(patient: Patient, seed: number, numRuns: number): Map<Outcome, number> {
  const outcomes = new Map<Outcome, number>();
  for (const most of [1, 4]) {
    fc.assert(
      fc.property(harmsIn(patient.areas, most), (harms) => {
        const outcome = patient.suffer(harms);
        if (outcome !== undefined) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
      {
        seed,
        numRuns: Math.ceil(numRuns / 2),
        reporter: ({ failed, counterexample, errorInstance }) => {
          if (!failed) return;
          const { kind, deserted } = patient.image;
          const what =
            errorInstance instanceof Error
              ? (errorInstance.stack ?? '').split('\n    at Property')[0]
              : String(errorInstance);
          const where = `${kind}, ${deserted ? 'deserted' : 'inhabited'}, seed ${seed}`;
          throw new Error(`${where}: ${written(counterexample![0])}\n${what}`);
        },
      },
    );
  }
  return outcomes;
}

/** `npm run hunt -- damage`: bytes of metadata are harmed, and audit, repair and salvage held to what they promise. Whether all is well. */
export async function huntDamage({ seeds = 10, seconds, seed = 1, kinds: which, tell }: DamageHunt): Promise<boolean> {
  const patients = await patientsOf(which);
  const began = performance.now();
  const total = new Map<Outcome, number>();
  let failures = 0;
  let at = seed;
  const over = (): boolean =>
    seconds === undefined ? at >= seed + seeds : performance.now() - began >= 1000 * seconds;
  for (; !over(); at++) {
    for (const patient of patients) {
      try {
        for (const [outcome, count] of harm(patient, at, runs)) total.set(outcome, (total.get(outcome) ?? 0) + count);
      } catch (error) {
        failures++;
        tell(error instanceof Error ? error.message : String(error));
      }
    }
  }
  const told = [...total].map(([outcome, count]) => `${count} ${outcome}`).join(', ');
  tell(`${at - seed} seeds from ${seed}, ${patients.length} images: ${told}; ${failures} failed`);
  return failures === 0;
}
