/**
 * Rows of a fixed number of 32-bit numbers, each kept once. A row's number is the order in which it came, so two rows are
 * the same exactly if their numbers are; whoever goes through the numbers finds what was added meanwhile behind.
 */
export class Rows {
  readonly width: number;
  count = 0;
  #rows: Uint32Array;
  #slots: Int32Array;
  #mask: number;

  constructor(width: number, room = 1024) {
    this.width = width;
    this.#rows = new Uint32Array(room * width);
    this.#slots = new Int32Array(room * 2).fill(-1);
    this.#mask = room * 2 - 1;
  }

  /** The number of that row; `count` grows by one if it is new. */
  intern(row: ArrayLike<number>): number {
    const { width } = this;
    let hash = 0x9e37_79b9;
    for (let at = 0; at < width; at++) hash = stir(hash ^ row[at]!);
    const rows = this.#rows;
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = (hash ^ (hash >>> 15)) & mask; ; slot = (slot + 1) & mask) {
      const known = slots[slot]!;
      if (known < 0) {
        const number = this.count++;
        slots[slot] = number;
        if ((number + 1) * width > rows.length) this.#lengthen();
        this.#rows.set(row, number * width);
        if (this.count * 3 > slots.length * 2) this.#rehash();
        return number;
      }
      let at = 0;
      while (at < width && rows[known * width + at] === row[at]) at++;
      if (at === width) return known;
    }
  }

  at(number: number, column: number): number {
    return this.#rows[number * this.width + column]!;
  }

  /** Copies a row. */
  read(number: number, target: Uint32Array): void {
    const start = number * this.width;
    for (let at = 0; at < this.width; at++) target[at] = this.#rows[start + at]!;
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.#rows.byteLength + this.#slots.byteLength;
  }

  #lengthen(): void {
    const longer = new Uint32Array(this.#rows.length * 2);
    longer.set(this.#rows);
    this.#rows = longer;
  }

  #rehash(): void {
    const { width } = this;
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let number = 0; number < this.count; number++) {
      let hash = 0x9e37_79b9;
      for (let at = 0; at < width; at++) hash = stir(hash ^ this.#rows[number * width + at]!);
      let slot = (hash ^ (hash >>> 15)) & mask;
      while (slots[slot]! >= 0) slot = (slot + 1) & mask;
      slots[slot] = number;
    }
    this.#slots = slots;
    this.#mask = mask;
  }
}

function stir(value: number): number {
  const mixed = Math.imul(value, 0x85eb_ca6b);
  return Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
}
