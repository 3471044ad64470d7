import { type Law, LawBroken } from '@exomem/conformance';

/** What a seeded bug is a change of. */
export type Ground = 'transport' | 'policy' | 'protocol' | 'codec' | 'history' | 'mount';

/** A seeded bug: a small change of something that is right, and the law that has to notice. */
export interface Mutant {
  readonly name: string;
  readonly of: Ground;
  /** The law, the invariant or the check that it was seeded for. */
  readonly law: string;
  /** It takes more than a few seconds. */
  readonly slow?: boolean;
  /**
   * Holds it to its law, with the usual effort, or with less if that is to be bounded.
   * @returns undefined: it lives
   */
  hunt(seed: number, bounded: boolean): Promise<Kill | undefined>;
}

export interface Kill {
  /** The law that it broke. */
  readonly law: string;
  /** Other laws that the same runs show it to break. */
  readonly also?: readonly string[];
  /** Random runs, states of a search or recorded histories until then. */
  readonly runs: number;
  readonly unit: 'runs' | 'states' | 'histories';
  /** What was seen. */
  readonly what: string;
}

/** Whether that law kills it. @param tries how often it was held, where chance is not the law's own */
export async function killedBy(law: Pick<Law, 'id' | 'run'>, tries = 1): Promise<Kill | undefined> {
  try {
    await law.run();
    return undefined;
  } catch (error) {
    if (!(error instanceof LawBroken)) throw error;
    return { law: law.id, runs: error.runs ?? tries, unit: 'runs', what: error.message };
  }
}
