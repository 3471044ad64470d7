/** `damage`: no client that keeps to the format leaves this behind. `note`: legal now, and of interest. */
export type Severity = 'damage' | 'note';

/** What a finding is about, as far as it is about one of these. */
export interface Place {
  readonly member?: number;
  readonly principal?: number;
  readonly group?: number;
  /** Counted over all groups of the region. */
  readonly page?: number;
  /** The finding is about so many pages, from `page` on. */
  readonly pages?: number;
  /** Of the log. */
  readonly slot?: number;
  /** Of the log. */
  readonly index?: number;
  readonly inode?: number;
}

/** Something that an oracle has to say about a region. */
export interface Finding extends Place {
  /** The id of the oracle. */
  readonly oracle: string;
  readonly severity: Severity;
  /** In plain words. */
  readonly what: string;
  /** Offset in the region: of the word, record or page that shows it. */
  readonly where: number;
}

/** Findings of each severity that one oracle lists. A region of noise has more, and they say nothing new. */
const limit = 100;

/** Collects what one oracle finds. */
export class Findings {
  readonly #oracle: string;
  readonly #found: Finding[] = [];
  readonly #counts = { damage: 0, note: 0 };

  constructor(oracle: string) {
    this.#oracle = oracle;
  }

  add(severity: Severity, what: string, where: number, place: Place = {}): void {
    if (++this.#counts[severity] > limit) return;
    this.#found.push({ oracle: this.#oracle, severity, what, where, ...place });
  }
  damage(what: string, where: number, place?: Place): void {
    this.add('damage', what, where, place);
  }
  note(what: string, where: number, place?: Place): void {
    this.add('note', what, where, place);
  }

  /** Whether more damage would only be counted. */
  get full(): boolean {
    return this.#counts.damage > limit;
  }

  list(): Finding[] {
    const more = (['damage', 'note'] as const)
      .filter((severity) => this.#counts[severity] > limit)
      .map((severity) => ({
        oracle: this.#oracle,
        severity,
        what: `and ${this.#counts[severity] - limit} more of this kind`,
        where: 0,
      }));
    return [...this.#found, ...more];
  }
}

/** A number of things, in words: `1 page`, `2 pages`. */
export function count(number: number, thing: string, things = `${thing}s`): string {
  return `${number} ${number === 1 ? thing : things}`;
}
/** A word of the region, as `dump` and messages show it. */
export function hex(word: bigint | number): string {
  return `0x${word.toString(16)}`;
}
