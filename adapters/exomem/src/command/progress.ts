import { formatSize } from './quantity.js';

/** What is quicker than that needs no progress. Milliseconds. */
const patience = 2000;
const period = 200;

/** Tells on stderr how far a long work is, where somebody looks on. */
export class Progress {
  readonly #what: string;
  readonly #began = performance.now();
  #told = 0;
  #shown = false;

  constructor(what: string) {
    this.#what = what;
  }

  /** `done` of `total` bytes; the total may be unknown. `more` is what else there is to tell. */
  update(done: number, total?: number, more?: string): void {
    const now = performance.now();
    if (!process.stderr.isTTY || now - this.#began < patience || now - this.#told < period) return;
    this.#told = now;
    this.#shown = true;
    const rate = done / ((now - this.#began) / 1000);
    const share = total ? ` of ${formatSize(total)} (${Math.floor((done / total) * 100)} %)` : '';
    const left = total && rate > 0 ? `, ${Math.ceil((total - done) / rate)} s left` : '';
    process.stderr.write(
      `\r\x1b[K${this.#what}: ${more ? `${more}, ` : ''}${formatSize(done)}${share}, ${formatSize(rate)}/s${left}`,
    );
  }

  end(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
    this.#shown = false;
  }
}
