import type { Chronicle } from './chronicle.js';
import { Course, isEnd } from './course.js';
import { NotAlone, type Reduction } from './reduction.js';
import { Rows } from './rows.js';
import { type Faults, noFaults } from './schedule.js';
import { Trail } from './trail.js';
import type { Scene } from './world.js';

export interface ExhaustiveOptions {
  readonly faults?: Faults;
  /** States after which the search gives up. Default 10,000,000. */
  readonly limit?: number;
  /**
   * `breadth`: in the order of how far they are, so that what is found is found by a shortest way. `scattered`: anywhere, so that
   * a search that is given up has seen something of everything. Default `breadth`.
   */
  readonly order?: 'breadth' | 'scattered';
  /** Where `scattered` begins. Default 1. */
  readonly seed?: number;
  /** Milliseconds after which the search gives up. Default: none. */
  readonly milliseconds?: number;
  /**
   * Who waits for what never comes, with nobody else about who could go on, is no counterexample: that way is left. For protocols
   * that wait for others, as for a lock whose holder died.
   */
  readonly mayWait?: boolean;
  /**
   * Steps that are nobody else's business are taken at once, which makes far fewer states of the same ends: see {@link Reduction}.
   * What the judge does not look at, the scene says by `judged`. Default false: each order of all steps is gone.
   */
  readonly reduce?: boolean;
  /** Hears now and then how far it is. */
  readonly progress?: (so: Exhausted) => void;
}

export interface Exhausted {
  /** Different states in which something is open. */
  readonly states: number;
  /** Steps that were taken between them. */
  readonly steps: number;
  /** Ends that were reached. */
  readonly ends: number;
  /** Steps to the state that is farthest away, by the way by which it was seen first. */
  readonly depth: number;
  /** Different histories of clients. */
  readonly histories: number;
  readonly milliseconds: number;
  /** States that were seen and not gone on from yet. */
  readonly open: number;
  /** False if the limit was reached before all was seen. */
  readonly complete: boolean;
}

/** A way through a scene that ends badly: the number of the choice wherever there was one. */
export class Counterexample extends Error {
  override readonly name = 'Counterexample';
  constructor(
    readonly path: readonly number[],
    readonly states: number,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/**
 * Goes every way that a scene can go: every order of the steps of its clients, with at most so many faults, wherever they can
 * happen. Each client is an {@link Automaton}; a state is what the region holds, where each client stands, what is half done or
 * on its way, and the faults that are left. It is kept and compared exactly, and no state is followed twice.
 *
 * Not all orders are gone, where it makes no difference:
 * - A step in which no other client has a part is taken before anything else. All others lead to the same states behind it.
 * - Who is dead, shut out or done does nothing any more but by what is on its way: of its past only what the judge says counts.
 * - With `reduce`, steps that turn out to be nobody else's business come before all others.
 *
 * @throws {@link Counterexample}
 */
export function exhaust<Held, Heard>(make: () => Scene<Held, Heard>, options: ExhaustiveOptions = {}): Exhausted {
  const { faults = noFaults, reduce = false } = options;
  return new Search(new Course(make, faults, reduce) as Course<unknown, unknown>, options).run();
}

/** Goes one way again, and writes down what happens. What is wrong at its end is thrown once more. */
export function retrace<Held, Heard>(
  make: () => Scene<Held, Heard>,
  path: readonly number[],
  chronicle: Chronicle,
  faults: Faults = noFaults,
): void {
  new Search(new Course(make, faults, false) as Course<unknown, unknown>, {}).retrace(path, chronicle);
}

const stateLimit = 10_000_000;
/** Steps in a row in which nothing is open. */
const mostForced = 20_000;
/** Of so many of them in a row one is remembered. */
const chainLength = 8;
/** The same, where one may wait. */
const mostWaits = 500;

/** Where steps with nothing open lead to. */
interface ChainEnd {
  /** -1: somebody waits for ever. */
  readonly state: number;
  readonly steps: number;
}

/** Goes the ways of a course, and keeps where it has been. */
class Search {
  readonly #course: Course<unknown, unknown>;
  readonly #options: ExhaustiveOptions;
  #states: Rows;
  #trail = new Trail();
  /** Where nothing was open, now and then, and what it led to. */
  #chains: Rows;
  #chainEnds: ChainEnd[] = [];
  /** Those of them whose end is not known yet, and how many steps there had been. */
  readonly #openChains: { readonly chain: number; readonly from: number }[] = [];

  constructor(course: Course<unknown, unknown>, options: ExhaustiveOptions) {
    this.#course = course;
    this.#options = options;
    const { length } = course.row();
    this.#states = new Rows(length);
    this.#chains = new Rows(length);
  }

  run(): Exhausted {
    for (const start = performance.now(); ; ) {
      try {
        return this.#pass(start);
      } catch (error) {
        if (!(error instanceof NotAlone)) throw error;
        this.#anew();
      }
    }
  }

  /** Nothing was seen so far. */
  #anew(): void {
    this.#states = new Rows(this.#states.width);
    this.#chains = new Rows(this.#states.width);
    this.#chainEnds = [];
    this.#openChains.length = 0;
    this.#trail = new Trail();
    this.#course.steps = 0;
    this.#course.rewind();
  }

  #pass(start: number): Exhausted {
    const { limit = stateLimit, order = 'breadth', seed = 1, progress } = this.#options;
    const { milliseconds = Number.POSITIVE_INFINITY } = this.#options;
    // Lost replies are errors, by the million, and nobody looks at where they were made.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const choices = new Int32Array(256);
    const scattered = order === 'scattered';
    const frontier: number[] = [];
    let ends = 0;
    let depth = 0;
    let chance = seed >>> 0;
    let path = (): number[] => [];
    const so = (complete: boolean): Exhausted => ({
      states: this.#states.count,
      steps: this.#course.steps,
      ends,
      depth,
      histories: this.#course.histories,
      milliseconds: performance.now() - start,
      open: this.#states.count - gone,
      complete,
    });
    let gone = 0;
    let told = start;
    try {
      this.#force(choices);
      this.#keep(-1, 0, this.#course.steps);
      if (scattered) frontier.push(0);
      for (let next = 0; ; ) {
        let state = next;
        if (scattered) {
          if (frontier.length === 0) break;
          chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
          const at = Math.floor((chance / 2 ** 32) * frontier.length);
          state = frontier[at]!;
          const last = frontier.pop()!;
          if (at < frontier.length) frontier[at] = last;
        } else if (next++ >= this.#states.count) break;
        path = () => this.#trail.to(state);
        this.#course.recall(this.#states, state);
        gone++;
        const count = this.#course.choices(choices);
        depth = Math.max(depth, this.#trail.depth(state));
        let first = 0;
        if (isEnd(choices[0]!)) {
          ends++;
          path = () => [...this.#trail.to(state), 0];
          this.#course.finish();
          first = 1;
        }
        if (progress !== undefined && (gone & 1023) === 0 && performance.now() - told > 5000) {
          told = performance.now();
          progress(so(false));
        }
        for (let choice = first; choice < count; choice++) {
          if (choice > first) this.#course.recall(this.#states, state);
          path = () => [...this.#trail.to(state), choice];
          // The choices are written over by those behind.
          const chosen = choices[choice]!;
          const began = this.#course.steps;
          this.#course.perform(chosen);
          if (!this.#force(forced)) continue;
          const known = this.#states.count;
          const number = this.#keep(state, choice, this.#trail.depth(state) + this.#course.steps - began);
          if (number < known) continue;
          if (this.#states.count > limit) return so(false);
          if ((number & 255) === 0 && performance.now() - start > milliseconds) return so(false);
          if (scattered) frontier.push(number);
        }
      }
      return so(true);
    } catch (error) {
      if (error instanceof NotAlone) throw error;
      const { count } = this.#states;
      throw new Counterexample(this.#unfold(path()), count, error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  /** The same way, by the choices that there are if each order is gone. */
  #unfold(path: readonly number[]): readonly number[] {
    if (!this.#course.reduced) return path;
    const way: number[] = [];
    this.#course.way = way;
    try {
      this.#follow(path);
    } catch {
      // That is what it leads to.
    }
    this.#course.way = undefined;
    return way;
  }

  retrace(path: readonly number[], chronicle: Chronicle): void {
    this.#course.chronicle = chronicle;
    this.#follow(path);
  }

  #follow(path: readonly number[]): void {
    const choices = new Int32Array(256);
    this.#course.rewind();
    this.#force(choices);
    for (const choice of path) {
      const count = this.#course.choices(choices);
      if (choice >= count) throw new Error(`there is no choice ${choice} of ${count}`);
      if (isEnd(choices[choice]!)) {
        this.#course.finish();
        return;
      }
      this.#course.perform(choices[choice]!);
      this.#force(choices);
    }
  }

  /** Goes on as long as nothing is open. Whether something is, in the end; if not, somebody waits who may. */
  #force(choices: Int32Array): boolean {
    const { mayWait = false } = this.#options;
    const most = mayWait ? mostWaits : mostForced;
    // Who goes a way again takes each step of it.
    const replays = this.#course.chronicle !== undefined || this.#course.way !== undefined;
    for (let step = 1; step <= most; step++) {
      if (this.#course.choices(choices) > 1 || isEnd(choices[0]!)) return true;
      // One who is alone with what is left to do comes by the same places again and again, from everywhere.
      if (step % chainLength === 0 && !replays) {
        const known = this.#chains.count;
        const chain = this.#chains.intern(this.#course.row());
        if (chain < known) {
          const end = this.#chainEnds[chain];
          // Where it comes round to itself, its end is not known.
          if (end !== undefined || mayWait) return this.#endAs(end);
        } else this.#openChains.push({ chain, from: this.#course.steps });
      }
      this.#course.perform(choices[0]!);
    }
    this.#endChains(-1);
    if (mayWait) return false;
    throw new Error(`no end after ${most} steps in a row that nobody else has a part in`);
  }

  /** It ends where one did that has been here before. Undefined: nowhere, it goes round and round. */
  #endAs(end: ChainEnd | undefined): boolean {
    this.#course.steps += end?.steps ?? 0;
    if (end !== undefined && end.state >= 0) this.#course.recall(this.#states, end.state);
    this.#endChains(end?.state ?? -1);
    return end !== undefined && end.state >= 0;
  }

  /** That is where those that are open lead to. @param state -1: to none */
  #endChains(state: number): void {
    for (const { chain, from } of this.#openChains)
      this.#chainEnds[chain] = { state, steps: this.#course.steps - from };
    this.#openChains.length = 0;
  }

  /** The number of the present state. */
  #keep(parent: number, choice: number, depth: number): number {
    const known = this.#states.count;
    const number = this.#states.intern(this.#course.row());
    this.#endChains(number);
    if (number < known) return number;
    this.#trail.add(number, parent, choice, depth);
    return number;
  }
}

const forced = new Int32Array(256);
