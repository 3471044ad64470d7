import type { Awaitable, Capabilities, ConnectOptions, Session } from '@exomem/core';

/**
 * A transport that is held to the laws: how to make a region of it, and what it declares. What a law skips follows
 * from these declarations alone, and a law of its own holds the declarations against the truth.
 */
export interface TransportSubject {
  /** For messages, as `tcp over IPv6`. */
  readonly name: string;
  /** What every session is going to declare. */
  readonly capabilities: Capabilities;
  /** What a region of this subject can do to a connection. An asynchronous transport should offer all. */
  readonly faults?: readonly Fault[];
  /** How other threads or processes reach a region; absent where none can. */
  readonly workers?: WorkerEntry;
  /**
   * Makes a region of exactly `bytes` bytes (a multiple of 8), all zero, that no other law shares, and whatever
   * serves it.
   */
  setup(options: { readonly bytes: number }): Awaitable<SubjectRegion>;
}

/**
 * `cut`: a connection can be destroyed under its session. `blackHole`: what is sent on it can be made to vanish, both
 * ways and without a reset, as when a cable is pulled. `hold`: what is sent on it can be kept back and delivered later,
 * even when both ends have given the connection up, as a network may do.
 */
export type Fault = 'cut' | 'blackHole' | 'hold';

/** One region under test, with what serves it. */
export interface SubjectRegion {
  /** Opens a lane; by default of a new client with a random id, lane 0. */
  connect(options?: Partial<ConnectOptions>): Promise<Session>;
  /**
   * Destroys the connection of that session; without a session every connection there is, those of workers too.
   * Connections that are made afterwards work.
   */
  cut?(session?: Session): unknown;
  /**
   * From now on nothing travels on the present connection of that session, in either direction, and neither end is
   * told. Connections that are made afterwards work.
   */
  blackHole?(session: Session): unknown;
  /**
   * From now on what that session sends on its present connection is kept back. What it gives releases that to the
   * appliance, wherever the session is by then.
   */
  hold?(session: Session): Awaitable<() => unknown>;
  /** What the worker program needs to reach this region; it is cloned into threads and processes. */
  readonly workerData?: unknown;
  /** Ends all of it, whatever state it is in. */
  teardown?(): unknown;
}

/** The program of a thread (`worker_threads`) or of a process (`child_process.fork`): it calls `transportWorker`. */
export interface WorkerEntry {
  readonly kind: 'thread' | 'process';
  /** URL of the compiled module, as `new URL('./worker.js', import.meta.url).href`. */
  readonly module: string;
}
