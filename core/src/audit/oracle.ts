import { type Finding, Findings, type Severity } from './finding.js';
import type { RegionImage, Tables } from './image.js';
import type { Told } from './told.js';

export interface JudgeOptions {
  /**
   * Nothing is under way: whoever is joined is idle and has tidied up. Then what somebody who is there should have
   * finished is damage; what waits for the next client of a region that all have left is not.
   */
  readonly atRest?: boolean;
}

/** A sentence about a region that is always true, and the function that holds it against the bytes. */
export interface Oracle {
  readonly id: string;
  readonly sentence: string;
  /** Whether the bytes alone decide it; otherwise it takes what clients were told. */
  readonly decidedByBytes: boolean;
  check(image: RegionImage, told?: Told, options?: JudgeOptions): Finding[];
}

/** What an oracle that looks at tables is given. */
export interface Case {
  readonly tables: Tables;
  readonly told: Told;
  readonly atRest: boolean;
  /** What something is that is legal as long as somebody is at it, or nobody is there who should be. */
  readonly pending: Severity;
}

type Statement = Omit<Oracle, 'check'>;

/** An oracle over the tables. It has nothing to say about a region that has none. */
export function overTables(statement: Statement, judge: (found: Findings, given: Case) => void): Oracle {
  return overImage(statement, (found, { tables }, told, { atRest = false }) => {
    if (tables === undefined) return;
    judge(found, { tables, told, atRest, pending: atRest && tables.attended ? 'damage' : 'note' });
  });
}

/** An oracle over everything that was read. */
export function overImage(
  statement: Statement,
  judge: (found: Findings, image: RegionImage, told: Told, options: JudgeOptions) => void,
): Oracle {
  return {
    ...statement,
    check(image, told = {}, options = {}) {
      const found = new Findings(statement.id);
      judge(found, image, told, options);
      return found.list();
    },
  };
}
