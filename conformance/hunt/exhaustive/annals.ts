/** All that the protocols of a client were told, one thing after the other, as a number: the same for two histories if that is the same. */
export class Annals {
  readonly #numbers = new Map<string, number>();

  /** After that was told, too. @param before what was told before; 0: nothing */
  after(before: number, what: string): number {
    const key = `${before}|${what}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#numbers.size + 1;
      this.#numbers.set(key, number);
    }
    return number;
  }
}
