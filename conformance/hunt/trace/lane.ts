import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Claims } from './claims.js';
import type { TraceStep } from './trace.js';
import { scaled } from './trace.js';
import type { Portion, Told } from './worker.js';

/** What all lanes of a replay share. */
export interface Course {
  readonly url: string;
  readonly divisor: number;
  readonly claims: Claims;
  /** Whether workers are to wait at the end of their portion. */
  paused: boolean;
  /** Numbers for workers. */
  workers: number;
  readonly counts: {
    steps: number;
    allocations: number;
    full: number;
    kills: number;
    mistakes: number;
    rounds: number;
  };
  /** The first thing that went wrong. */
  failure?: Error;
}

/** Steps that a worker is given at a time. */
const portion = 40;
const now = (): number => Number(process.hrtime.bigint() / 1000n);

/** One part of a trace, and the process that replays it, and those that come after it. */
export class Lane {
  readonly #course: Course;
  readonly #steps: readonly TraceStep[];
  #next = 0;
  #round = 0;
  #worker: ChildProcess | undefined;
  /** Milliseconds of this process, at which it was killed. */
  #killed: number | undefined;
  #idle = false;
  #leaving = false;
  #asked = 0;
  #gone: Promise<void> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(course: Course, steps: readonly TraceStep[]) {
    this.#course = course;
    this.#steps = steps;
  }

  /** Begins a process that goes on where the one before was ended. */
  start(): void {
    const { claims, counts } = this.#course;
    const who = ++this.#course.workers;
    this.#killed = undefined;
    this.#idle = false;
    const worker = fork(fileURLToPath(new URL('./worker.js', import.meta.url)), {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    this.#worker = worker;
    let fenced = false;
    createInterface({ input: worker.stdout! }).on('line', (line) => {
      const told = JSON.parse(line) as Told;
      if ('at' in told && told.note !== 'frees') counts.steps++;
      switch (told.note) {
        case 'up':
          worker.send({ url: this.#course.url, who }, () => undefined);
          break;
        case 'joined':
        case 'more':
          this.#idle = true;
          this.#feed();
          break;
        case 'proved':
          // Not later than it was asked.
          claims.proved(who, this.#asked);
          break;
        case 'held':
          counts.allocations++;
          claims.hold(who, told.id, told.offset, told.length, told.begun, told.done);
          this.#next = told.at + 1;
          break;
        case 'frees':
          claims.free(who, told.id, told.begun);
          counts.steps++;
          this.#next = told.at + 1;
          break;
        case 'full':
          counts.full++;
          this.#next = told.at + 1;
          break;
        case 'passed':
          this.#next = told.at + 1;
          break;
        case 'failed':
          fenced = told.code === 'Fenced';
          if (!fenced) this.#fail(new Error(`worker ${who} failed: ${told.what}`));
      }
    });
    // `close`: it has ended, and everything that it told has been read.
    this.#gone = new Promise((resolve) => {
      worker.once('close', (code, signal) => {
        if (fenced) {
          // On a machine that is busy one may be taken for dead by mistake; it says so, and what it had others have by now.
          counts.mistakes++;
          claims.fenced(who);
        } else {
          claims.died(who, this.#killed ?? now());
          if (this.#killed === undefined && code !== 0)
            this.#fail(new Error(`worker ${who} ended with ${signal ?? code}`));
        }
        this.#worker = undefined;
        resolve();
        this.#wake();
        if (!this.#leaving && this.#course.failure === undefined) this.start();
      });
    });
  }

  #fail(error: Error): void {
    this.#course.failure ??= error;
    this.#wake();
  }

  #feed(): void {
    this.#wake();
    if (!this.#idle || this.#course.paused || this.#leaving) return;
    // Once more from the beginning; what is left of the last round goes first.
    const again = this.#next >= this.#steps.length;
    if (again) {
      this.#round++;
      this.#next = 0;
      this.#course.counts.rounds++;
    }
    const steps = this.#steps.slice(this.#next, this.#next + portion).map(({ id, bytes }) => {
      return [this.#idOf(id), bytes === 0 ? 0 : scaled(bytes, this.#course.divisor)] as const;
    });
    this.#send({ at: this.#next, steps, ...(again ? { first: 'clear' as const } : {}) });
  }

  #send(portion: Portion): void {
    this.#idle = false;
    this.#worker?.send(portion, () => undefined);
  }

  #idOf(id: number): number {
    return this.#round * 2 ** 32 + id;
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#feed();
  }

  /** Asks it, in a pause, to show that it lives; it is idle again when it has, or when another one is there in its place. */
  prove(): void {
    this.#asked = now();
    this.#send({ at: this.#next, steps: [], first: 'prove' });
  }

  /** Whether its process waits for more, and is in the middle of nothing. */
  get rests(): boolean {
    return this.#idle;
  }

  /** Something about it has changed. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  kill(): void {
    if (this.#worker === undefined || this.#killed !== undefined) return;
    // It may do something until the signal arrives; what it held it held until now at least.
    this.#killed = now();
    this.#course.counts.kills++;
    this.#worker.kill('SIGKILL');
  }

  /** Gives everything back, and leaves. */
  async leave(): Promise<void> {
    this.#leaving = true;
    this.#send({ at: this.#next, steps: [], first: 'leave' });
    await this.#gone;
  }

  /** Ends it, whatever it does. */
  async end(): Promise<void> {
    this.#leaving = true;
    this.#worker?.kill('SIGKILL');
    await this.#gone;
  }
}
