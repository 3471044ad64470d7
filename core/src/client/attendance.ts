import { isExomemError } from '../errors.js';
import type { Coordinator } from '../policy/policy.js';
import { type Bench, runAsync } from '../protocol/runner.js';

/** Milliseconds until it is tried again after something failed. */
const afterFailure = 100;

/** What a member does for the others all the time that it is one, where its policy asks for that. */
export class Attendance {
  readonly #coordinator: Coordinator;
  readonly #bench: Bench;
  readonly #missed: (error: unknown) => void;
  readonly #stop = new AbortController();
  readonly #course: Promise<void>;

  /** @param bench one that runs protocols as they are */
  constructor(coordinator: Coordinator, bench: Bench, missed: (error: unknown) => void) {
    this.#coordinator = coordinator;
    this.#bench = bench;
    this.#missed = missed;
    this.#course = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#coordinator.attend !== undefined) {
      let next = afterFailure;
      try {
        next = await runAsync(this.#coordinator.attend(), this.#bench);
      } catch (error) {
        this.#missed(error);
        if (isExomemError(error, 'Fenced') || isExomemError(error, 'Closed')) return;
      }
      await this.#bench.surroundings.sleep(next, signal).catch(() => undefined);
    }
  }

  /** Idempotent. @param leaves in peace: the others are told that somebody else has to do it now */
  async end(leaves: boolean): Promise<void> {
    this.#stop.abort();
    await this.#course;
    if (leaves && this.#coordinator.leave !== undefined) await runAsync(this.#coordinator.leave(), this.#bench);
  }
}
