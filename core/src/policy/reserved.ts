import type { Extent } from './policy.js';

/** A unit of a reservation, as it was handed out: worth something until it comes back, or the reservation ends. */
export class ReservedUnit implements Extent {
  #out = true;
  readonly #stock: Stock;

  constructor(
    stock: Stock,
    readonly page: number,
    readonly pages: number,
  ) {
    this.#stock = stock;
  }

  get live(): boolean {
    return this.#out && !this.#stock.ended;
  }

  /** It comes back. False: it did before. */
  giveBack(): boolean {
    if (!this.live) return false;
    this.#out = false;
    return true;
  }
}

/**
 * The units of a reservation, of one size, that are not handed out just now. All of them are claimed in the words, as runs
 * of their own, for as long as it lasts; who has which is known here alone. So handing out takes no step, and who adopts or
 * recovers the owner sees all units, handed out or not.
 */
export class Stock {
  /** First pages of units whose bytes are as the claim left them, and of those that were handed out before. */
  readonly #fresh: number[] = [];
  readonly #used: number[] = [];
  #units = 0;
  ended = false;

  constructor(readonly pages: number) {}

  /** All of them, handed out or not. */
  get units(): number {
    return this.#units;
  }
  get available(): number {
    return this.#fresh.length + this.#used.length;
  }

  add(extents: readonly Extent[]): void {
    this.#units += extents.length;
    // From the end of a list is taken first: the lowest.
    for (let at = extents.length - 1; at >= 0; at--) this.#fresh.push(extents[at]!.page);
  }

  /** A unit, or undefined if all are out. One that was used before if there is one: it may be near in caches. */
  take(): ReservedUnit | undefined {
    const page = this.#used.pop() ?? this.#fresh.pop();
    return page === undefined ? undefined : new ReservedUnit(this, page, this.pages);
  }

  /** The same, rather one that nobody has used. */
  takeFresh(): { readonly unit: ReservedUnit; readonly fresh: boolean } | undefined {
    const first = this.#fresh.pop();
    const page = first ?? this.#used.pop();
    if (page === undefined) return undefined;
    return { unit: new ReservedUnit(this, page, this.pages), fresh: first !== undefined };
  }

  /** A unit comes back. False: it did before, or the reservation has ended. */
  restore(unit: ReservedUnit): boolean {
    if (!unit.giveBack()) return false;
    this.#used.push(unit.page);
    return true;
  }
}
