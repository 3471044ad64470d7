/** Memory that a process was told is its own: from the answer to its request until it begins to give it back. */
interface Claim {
  readonly who: number;
  readonly id: number;
  readonly first: number;
  readonly pages: number;
  /** Microseconds of the clock that all processes of the machine share. */
  readonly begun: number;
  readonly from: number;
  to?: number;
}

/**
 * What processes were told, put side by side: whether one page was two processes' at the same time. It believes nobody but the
 * clock; a region, and whoever reads one, has no part in it.
 */
export class Claims {
  readonly #pageSize: number;
  /** What each process holds, by the number of the block. */
  readonly #open = new Map<number, Map<number, Claim>>();
  /** What has begun or ended since the last judgement. */
  #fresh: Claim[] = [];
  #ended: Claim[] = [];
  readonly #proved = new Map<number, number>();
  readonly #holders = new Map<number, Claim>();
  /** Pages that were held at most at a judgement. */
  peak = 0;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /** @param begun when it was asked for, `from` when it was answered */
  hold(who: number, id: number, offset: number, length: number, begun: number, from: number): void {
    const pages = Math.ceil(length / this.#pageSize);
    const claim: Claim = { who, id, first: Math.floor(offset / this.#pageSize), pages, begun, from };
    let own = this.#open.get(who);
    if (own === undefined) this.#open.set(who, (own = new Map()));
    own.set(id, claim);
    this.#fresh.push(claim);
  }

  free(who: number, id: number, at: number): void {
    const claim = this.#open.get(who)?.get(id);
    if (claim === undefined)
      throw new Error(`process ${who} gives block ${id} back, and was never told that it has it`);
    this.#end(claim, at);
  }

  /** Whoever dies holds until then what it was told it holds. */
  died(who: number, at: number): void {
    for (const claim of [...(this.#open.get(who)?.values() ?? [])]) this.#end(claim, at);
    this.#open.delete(who);
  }

  /** It is known to live: what it does is answered. */
  proved(who: number, at: number): void {
    this.#proved.set(who, at);
  }

  /**
   * Whoever was declared dead while it lived finds out some time later. What it was given last it was given as one who lives: so
   * it held until it asked for that, or until it showed that it lived.
   */
  fenced(who: number): void {
    const own = [...(this.#open.get(who)?.values() ?? [])];
    this.died(who, Math.max(this.#proved.get(who) ?? 0, ...own.map(({ begun }) => begun)));
  }

  #end(claim: Claim, at: number): void {
    claim.to = at;
    this.#open.get(claim.who)!.delete(claim.id);
    this.#ended.push(claim);
  }

  /** Pages that are held now. */
  get pages(): number {
    let pages = 0;
    for (const own of this.#open.values()) for (const claim of own.values()) pages += claim.pages;
    return pages;
  }

  /** At a moment when nobody is in the middle of anything. @throws if a page was two blocks' at the same time */
  judge(): void {
    const begins = this.#fresh.filter(({ from, to }) => to === undefined || to > from);
    const began = new Set(begins);
    const ends = this.#ended.filter((claim) => began.has(claim) || this.#holders.get(claim.first) === claim);
    const events = [
      ...begins.map((claim) => ({ at: claim.from, claim, ends: false })),
      ...ends.map((claim) => ({ at: claim.to!, claim, ends: true })),
    ].sort((one, other) => one.at - other.at || Number(other.ends) - Number(one.ends));
    [this.#fresh, this.#ended] = [[], []];
    for (const { claim, ends } of events) {
      for (let page = claim.first; page < claim.first + claim.pages; page++) {
        const holder = this.#holders.get(page);
        if (ends) {
          if (holder === claim) this.#holders.delete(page);
          continue;
        }
        if (holder !== undefined) {
          throw new Error(
            `page ${page} was given to process ${claim.who} as block ${claim.id} while process ${holder.who} had it as block ${holder.id}`,
          );
        }
        this.#holders.set(page, claim);
      }
    }
    this.peak = Math.max(this.peak, this.#holders.size);
  }
}
