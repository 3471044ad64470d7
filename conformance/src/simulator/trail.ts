/** By which choice, from where, and after how many steps each state was seen first. */
export class Trail {
  #parents = new Int32Array(1024);
  #choices = new Uint8Array(1024);
  #depths = new Uint16Array(1024);

  /** @param parent -1: it is where everything begins */
  add(state: number, parent: number, choice: number, depth: number): void {
    if (state >= this.#parents.length) this.#lengthen(state * 2);
    this.#parents[state] = parent;
    this.#choices[state] = choice;
    this.#depths[state] = depth;
  }

  depth(state: number): number {
    return this.#depths[state]!;
  }

  /** The choices from the beginning to there. */
  to(state: number): number[] {
    const path: number[] = [];
    for (let at = state; this.#parents[at]! >= 0; at = this.#parents[at]!) path.push(this.#choices[at]!);
    return path.reverse();
  }

  #lengthen(length: number): void {
    const [parents, choices, depths] = [new Int32Array(length), new Uint8Array(length), new Uint16Array(length)];
    parents.set(this.#parents);
    choices.set(this.#choices);
    depths.set(this.#depths);
    [this.#parents, this.#choices, this.#depths] = [parents, choices, depths];
  }
}
