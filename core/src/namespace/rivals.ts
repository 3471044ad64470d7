import { type Geometry, recordUnit } from '../region/geometry.js';

/** Records that are fetched ahead with one attempt at most. */
const most = 4;
/** Whoever has written none of so many records is not expected to write the next. */
const memory = 16;

/** Where whoever appends beside us wrote its last record. */
interface Trail {
  readonly index: number;
  /** Where its next one is likely to begin. */
  readonly next: number;
  /** The end of its half. */
  readonly end: number;
}

/** Bytes of an arena. */
export interface Place {
  readonly offset: number;
  readonly length: number;
}

/**
 * Where others will write their next records, as far as can be told: right behind their last ones, for each fills its half of
 * an arena from its beginning to its end. It may be wrong, and then costs a few bytes: what is read there is believed
 * only if the slot of the log points at it.
 */
export class Rivals {
  readonly #geometry: Geometry;
  readonly #trails = new Map<number, Trail>();

  constructor(geometry: Geometry) {
    this.#geometry = geometry;
  }

  /** The slot of `index` points at a record of so many bytes there. */
  saw(index: number, offset: number, bytes: number): void {
    const { arenaOffset, arenaBytes, memberSlots } = this.#geometry;
    const length = arenaBytes / 2;
    const half = Math.floor((offset - arenaOffset) / length);
    if (half < 0 || half >= memberSlots * 2) return;
    const start = arenaOffset + half * length;
    const end = start + length;
    const next = offset + Math.ceil(bytes / recordUnit) * recordUnit;
    // Deleted first: a map keeps the order in which keys came.
    this.#trails.delete(start);
    this.#trails.set(start, { index, next: next < end ? next : start, end });
    // One more than are read: one of them may be ours.
    if (this.#trails.size > most + 1) this.#trails.delete(this.#trails.keys().next().value!);
  }

  /**
   * Places for the record of `index`, of all but who writes to the half at `own`: who wrote last comes first.
   * @param bytes of each, at most
   */
  places(index: number, own: number, bytes: number): Place[] {
    const places: Place[] = [];
    for (const [start, { index: last, next, end }] of this.#trails) {
      if (start === own || last < index - memory) continue;
      places.unshift({ offset: next, length: Math.min(bytes, end - next) });
    }
    return places.slice(0, most);
  }
}
