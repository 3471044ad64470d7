/** A timer that is set for longer fires at once. */
const longestTimer = 2 ** 31 - 1;
/** How often one looks in vain for an answer until a connection counts as lost. */
const looks = 4;

/** The silence of whoever owes an answer. */
export class Silence {
  readonly #period: number;
  readonly #over: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param over it has lasted for so many milliseconds */
  constructor(milliseconds: number, over: () => void) {
    this.#period = Math.min(milliseconds / looks, longestTimer);
    this.#over = over;
  }

  /** Something is asked for. That breaks no silence which has begun. */
  begin(): void {
    if (this.#timer === undefined) this.#look(looks);
  }

  /** It is broken, or of no interest any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Looks are counted and not time: a stall of this process is no silence of the other. */
  #look(left: number): void {
    const look = (): void => {
      if (left > 1) {
        this.#look(left - 1);
      } else {
        this.#timer = undefined;
        this.#over();
      }
    };
    this.#timer = setTimeout(look, this.#period);
  }
}
