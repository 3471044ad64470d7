/**
 * Which log indexes something in flight has looked up at. A member publishes none above the lowest: so pages that a
 * later record took away are not reused under a read that found them before.
 */
export class Pins {
  readonly #counts = new Map<number, number>();

  take(index: number): void {
    this.#counts.set(index, (this.#counts.get(index) ?? 0) + 1);
  }
  give(index: number): void {
    const count = this.#counts.get(index)!;
    if (count === 1) this.#counts.delete(index);
    else this.#counts.set(index, count - 1);
  }
  /** The lowest pinned index, or `current` if nothing is. */
  lowest(current: number): number {
    let lowest = current;
    for (const index of this.#counts.keys()) if (index < lowest) lowest = index;
    return lowest;
  }
}
