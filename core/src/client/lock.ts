/** Lets one at a time in, in the order in which they came. */
export class Lock {
  #tail: Promise<void> | undefined;

  /** Runs `work` when everybody who came before is done. */
  async run<T>(work: () => Promise<T> | T): Promise<T> {
    const before = this.#tail;
    let leave!: () => void;
    const mine = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#tail = mine;
    if (before !== undefined) await before;
    try {
      return await work();
    } finally {
      if (this.#tail === mine) this.#tail = undefined;
      leave();
    }
  }

  get taken(): boolean {
    return this.#tail !== undefined;
  }
}
