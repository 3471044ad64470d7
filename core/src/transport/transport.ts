import type { BatchAnswer, MemoryStep } from './step.js';

/** A value, or the promise of one. A session whose capabilities say `synchronous` never answers with a promise. */
export type Awaitable<T> = T | Promise<T>;

/** What a transport can do. Declared, never guessed; the conformance laws hold each declaration against the truth. */
export interface Capabilities {
  /** Every step is done when the call returns, and no call returns a promise. */
  readonly synchronous: boolean;
  /** `view()` gives the memory of the region itself. */
  readonly mapped: boolean;
  /**
   * `none`: no compareExchange and no fetchAdd. `host`: atomic with the CPU of the appliance and with every other
   * client. `device`: atomic among clients of the same device only.
   */
  readonly atomics: 'none' | 'host' | 'device';
  /** The longest read or write that travels as one piece; longer ones are cut into pieces of this size. Bytes. */
  readonly maxTransfer: number;
  /** The most steps that one batch can carry. */
  readonly maxBatch: number;
  /** A batch can stop at its first failed compareExchange. */
  readonly stopOnFail: boolean;
  /** A new epoch of a lane fences the earlier ones: none of their steps lands any more. */
  readonly sessionFence: boolean;
  /**
   * How a member is shut out. `immediate`: `revoke()` stops its steps on every lane at once, delayed ones too. `proof`:
   * nobody can be stopped, and `revoke()` succeeds once it is proven that what the member ran in has ended. `none`: neither.
   */
  readonly revoke: 'immediate' | 'proof' | 'none';
  /**
   * Where nobody can be shut out: milliseconds, counted from the call, within which a step of a session lands or never
   * does. Absent: nobody can say.
   */
  readonly maxDelay?: number;
  /** The transport can wait for a word to change. */
  readonly watch: boolean;
}

/** Every call takes these. */
export interface CallOptions {
  /** Aborting ends the wait: `Aborted` if nothing can have happened, else `OutcomeUnknown`. */
  readonly signal?: AbortSignal;
  /** Milliseconds until the wait ends: `DeadlineExceeded` if nothing can have happened, else `OutcomeUnknown`. */
  readonly timeout?: number;
}

export interface BatchOptions extends CallOptions {
  /** Stop at the first compareExchange that fails; the steps behind it answer {@link notRun}. */
  readonly stopOnFail?: boolean;
}

/** What ties a lane to a member: the appliance reads the member word itself and refuses any but JOINING or ACTIVE. */
export interface MemberBinding {
  readonly slot: number;
  readonly incarnation: number;
  /** Where the member word w0 lies. */
  readonly offset: number;
}

/**
 * One lane of a client to one region. Its steps take effect in the order of the calls.
 *
 * Errors: `OutOfRange`, `Unaligned`, `InvalidArgument` (nothing happened); `Aborted`, `DeadlineExceeded`,
 * `Disconnected`, `Closed` (nothing happened); `OutcomeUnknown` (it may have happened: `renew()`, then read the word);
 * `Fenced` (this lane or its member was shut out); `Unproven` (`revoke()` alone); `UnsupportedCapability`, `PermissionDenied`, `ProtocolError`.
 */
export interface Session {
  readonly capabilities: Capabilities;
  /** Bytes of the region. */
  readonly size: number;
  /** Counts the epochs of this lane; grows with every `renew()` that was needed. */
  readonly epoch: number;
  /** For messages: the URL, or what stands for one. */
  readonly where: string;

  /** The word at `offset`, untorn. */
  load(offset: number, options?: CallOptions): Awaitable<bigint>;
  /** Fills `target` from `offset`. No aligned 8-byte word is torn. */
  read(offset: number, target: Uint8Array, options?: CallOptions): Awaitable<void>;
  /** Writes `source` to `offset`; `source` must not change until it is done. No aligned 8-byte word is torn. */
  write(offset: number, source: Uint8Array, options?: CallOptions): Awaitable<void>;
  /** Puts `desired` where `expected` is; answers what was there. */
  compareExchange(offset: number, expected: bigint, desired: bigint, options?: CallOptions): Awaitable<bigint>;
  /** Adds `delta` modulo 2^64; answers what was there before. */
  fetchAdd(offset: number, delta: bigint, options?: CallOptions): Awaitable<bigint>;
  /** Runs the steps in order, in one round trip where the transport can. */
  batch(steps: readonly MemoryStep[], options?: BatchOptions): Awaitable<BatchAnswer>;

  /** Ties this lane to a member. `Fenced` if the member word does not show it alive, and then for every later step. */
  bind(member: MemberBinding, options?: CallOptions): Awaitable<void>;
  /**
   * Settles what is unknown: opens a new epoch of the lane (reconnecting if need be) unless every step so far was
   * answered. When it returns, no step of an earlier epoch lands any more.
   */
  renew(options?: CallOptions): Awaitable<void>;
  /**
   * Shuts out every lane that is bound to the member, for good: when it returns, no step of that member lands any more.
   * Where the capability says `proof` this waits for nothing: `Unproven` while the member may run on, and nothing changed.
   */
  revoke(member: MemberBinding, options?: CallOptions): Awaitable<void>;
  /** The memory of the region itself. `UnsupportedCapability` unless `mapped`; `Fragmented` over a segment's edge. */
  view(offset: number, length: number): Uint8Array;
  /**
   * The same in several pieces, in order and without gaps, where the memory is in several buffers. A session may leave this out if
   * its memory is in one, or is not shared.
   */
  windows?(offset: number, length: number): Uint8Array[];
  /** Ends the session; what is in flight answers `OutcomeUnknown`. Idempotent. */
  close(): Awaitable<void>;
}

export interface ConnectOptions extends CallOptions {
  /** Who connects: 16 random bytes, the same for all lanes of a client. */
  readonly clientId: Uint8Array;
  /** Which of the client's lanes this is; 0 is the main one. */
  readonly lane: number;
  /** Milliseconds that a connection may stay silent with something in flight before it counts as lost. Default 10,000. */
  readonly silence?: number;
}

/** A way for bytes to travel: what a plug-in implements and registers under its URL schemes. */
export interface Transport {
  readonly name: string;
  /** URL schemes without the colon, as `tcp`. */
  readonly schemes: readonly string[];
  /** The version of this contract that it was written for. */
  readonly apiVersion: 1;
  /**
   * Opens one lane to the region that `url` names.
   * @throws `InvalidArgument` (URL), `Disconnected`, `NotFound` (no such region), `DeadlineExceeded`, `Aborted`.
   */
  connect(url: string, options: ConnectOptions): Promise<Session>;
}
