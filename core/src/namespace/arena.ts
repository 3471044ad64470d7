import { recordUnit } from '../region/geometry.js';

interface Place {
  readonly index: number;
  readonly unit: number;
  readonly units: number;
}

/**
 * Room for the records of one member incarnation: its half of the member slot's arena. A place is free when no slot of
 * the log from the root's snapshot on points at it, whoever wrote it.
 */
export class RecordArena {
  readonly #used: Uint8Array;
  #places: Place[] = [];
  #next = 0;

  /** @param offset where the half lies in the region; `length` in bytes. */
  constructor(
    readonly offset: number,
    readonly length: number,
  ) {
    this.#used = new Uint8Array(Math.floor(length / recordUnit));
  }

  /** The offset of `bytes` free bytes in a row; -1 if there are none. */
  find(bytes: number): number {
    const units = Math.ceil(bytes / recordUnit);
    const total = this.#used.length;
    let tried = 0;
    let at = this.#next;
    while (tried <= total) {
      if (at + units > total) {
        tried += total - at;
        at = 0;
        if (units > total) return -1;
      }
      let free = 0;
      while (free < units && this.#used[at + free] === 0) free++;
      if (free === units) return this.offset + at * recordUnit;
      tried += free + 1;
      at += free + 1;
    }
    return -1;
  }

  /** The slot of `index` points at `offset` now. Places outside of this half are not ours to keep. */
  keep(index: number, offset: number, bytes: number): void {
    if (offset < this.offset || offset >= this.offset + this.length) return;
    const unit = (offset - this.offset) / recordUnit;
    const units = Math.ceil(bytes / recordUnit);
    if (this.#used[unit] === 1 && this.#places.some((place) => place.index === index && place.unit === unit)) return;
    this.#used.fill(1, unit, unit + units);
    this.#places.push({ index, unit, units });
    this.#next = (unit + units) % this.#used.length;
  }

  /** The slot of `index` points elsewhere, for certain: the place is free again. */
  giveBack(index: number, offset: number): void {
    const unit = (offset - this.offset) / recordUnit;
    const at = this.#places.findIndex((place) => place.index === index && place.unit === unit);
    const [place] = this.#places.splice(at, 1);
    this.#used.fill(0, unit, unit + place!.units);
  }

  /** A snapshot holds everything below `index`. How many places that freed. */
  forget(index: number): number {
    const kept = this.#places.filter((place) => place.index >= index);
    const freed = this.#places.length - kept.length;
    if (freed > 0) {
      this.#places = kept;
      this.#used.fill(0);
      for (const { unit, units } of kept) this.#used.fill(1, unit, unit + units);
    }
    return freed;
  }

  /** Share of the units that are in use, 0 to 1. */
  get fill(): number {
    let used = 0;
    for (const { units } of this.#places) used += units;
    return used / this.#used.length;
  }
}
