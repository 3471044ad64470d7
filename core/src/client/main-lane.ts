import { ExomemError } from '../errors.js';
import type { Coordinator } from '../policy/policy.js';
import { interrupted, surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { type Bench, run, runAsync, runSync, type Surroundings } from '../protocol/runner.js';
import { read, write } from '../transport/step.js';
import type { Awaitable, Session } from '../transport/transport.js';
import type { Life } from './life.js';

/** The lane of everything that a client does but its heartbeats, for as long as it may do anything. */
export class MainLane {
  readonly session: Session;
  readonly #where: string;
  readonly #life: Life;
  #bench: Bench;
  #closed = false;

  /** @param where what errors say */
  constructor(session: Session, surroundings: Surroundings, where: string, life: Life) {
    this.session = session;
    this.#where = where;
    this.#life = life;
    this.#bench = { session, surroundings };
  }

  /** Protocols are run through it from here on. */
  coordinate(coordinator: Coordinator | undefined): void {
    this.#bench = { ...this.#bench, coordinator };
  }
  /** For protocols as they are: those of the coordination itself. */
  get bench(): Bench {
    return { ...this.#bench, coordinator: undefined };
  }

  /** @throws `Fenced`, `Closed`. */
  check(): void {
    this.#life.check();
    if (this.#closed) throw new ExomemError('Closed', 'this client has left the region', { where: this.#where });
  }

  /** Runs a protocol to its end. */
  async run<T>(protocol: Protocol<T>): Promise<T> {
    this.check();
    try {
      return await run(protocol, this.#bench);
    } catch (error) {
      throw this.#life.learn(error);
    }
  }
  runSync<T>(protocol: Protocol<T>): T {
    this.check();
    try {
      return runSync(protocol, this.#bench);
    } catch (error) {
      throw this.#life.learn(error);
    }
  }
  /** The same for who is about to become a member, or about to be none: nobody else has to hear of what goes wrong. */
  proceed<T>(protocol: Protocol<T>): Awaitable<T> {
    return run(protocol, this.#bench);
  }
  /** The same, uncoordinated. */
  bare<T>(protocol: Protocol<T>): Promise<T> {
    return runAsync(protocol, this.bench);
  }

  /** Reads data bytes. Reading twice does no harm, so a broken connection costs time only. */
  readBytes(offset: number, target: Uint8Array): Promise<void> | undefined {
    return this.#transfer(
      () => this.session.read(offset, target),
      () => read(offset, target),
    );
  }
  /** Writes data bytes; `source` must not change until it is done. */
  writeBytes(offset: number, source: Uint8Array): Promise<void> | undefined {
    return this.#transfer(
      () => this.session.write(offset, source),
      () => write(offset, source),
    );
  }
  #transfer(first: () => Promise<void> | void, step: () => ReturnType<typeof read>): Promise<void> | undefined {
    const again = (error: unknown): Promise<void> => {
      if (!interrupted(error)) throw this.#life.learn(error);
      return this.run(surely(step())).then(() => undefined);
    };
    try {
      const answer = first();
      return answer instanceof Promise ? answer.catch(again) : undefined;
    } catch (error) {
      return again(error);
    }
  }

  /** From here on nothing is run. What is under way goes on as long as the session does. */
  end(): void {
    this.#closed = true;
  }
}
