import { ExomemError } from '../errors.js';
import type { Coordinator } from '../policy/policy.js';
import type { Awaitable, Session } from '../transport/transport.js';
import type { ControlStep, Protocol, Step, StepResult } from './protocol.js';
import { Watcher } from './watcher.js';

/** Time and chance, which core takes as parameters. */
export interface Surroundings {
  /** Monotonic milliseconds. */
  now(): number;
  /** Nanoseconds since 1970. */
  wallClock(): bigint;
  /** An integer from 0 to 2^32 - 1. */
  random(): number;
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Blocks the thread, where that is allowed; the synchronous runner alone calls it. */
  sleepSync(milliseconds: number): void;
}

/** Where a protocol runs: a session, and what is not in it. */
export interface Bench {
  readonly session: Session;
  readonly surroundings: Surroundings;
  /** Waits for everything in flight on all lanes of the client. Absent: this session is the only lane. */
  drain?(): Awaitable<void>;
  /** How changes of the table of groups reach the region. Absent: as they are. */
  readonly coordinator?: Coordinator | undefined;
}

function execute(step: Step, bench: Bench, wait: boolean): Awaitable<StepResult | void> {
  const { session } = bench;
  switch (step.op) {
    case 'load':
      return session.load(step.offset);
    case 'compareExchange':
      return session.compareExchange(step.offset, step.expected, step.desired);
    case 'batch':
      return session.batch(step.steps, step.stopOnFail ? stop : undefined);
    case 'read':
      return session.read(step.offset, step.bytes);
    case 'write':
      return session.write(step.offset, step.bytes);
    case 'fetchAdd':
      return session.fetchAdd(step.offset, step.desired);
    case 'bind':
      return session.bind(step.member);
    case 'renew':
      return session.renew();
    case 'revoke':
      return session.capabilities.revoke === 'none' ? undefined : session.revoke(step.member);
    case 'drain':
      return bench.drain?.();
    case 'pause':
      if (wait) return bench.surroundings.sleep(step.milliseconds);
      return bench.surroundings.sleepSync(step.milliseconds);
    case 'watch':
      return wait ? watchAsync(step, bench) : watchSync(step, bench);
    case 'now':
      return bench.surroundings.now();
    case 'wallClock':
      return bench.surroundings.wallClock();
    case 'random':
      return bench.surroundings.random();
  }
}

type Watch = ControlStep & { op: 'watch' };

async function watchAsync(step: Watch, { session, surroundings }: Bench): Promise<number> {
  const watcher = new Watcher(step.milliseconds);
  for (;;) {
    const before = surroundings.now();
    const same = (await session.load(step.offset)) === step.word;
    if (!same) return 0;
    if (watcher.saw(before, surroundings.now())) return 1;
    await surroundings.sleep(watcher.delay);
  }
}

function watchSync(step: Watch, { session, surroundings }: Bench): number {
  const watcher = new Watcher(step.milliseconds);
  for (;;) {
    const before = surroundings.now();
    // Whoever changes the word needs no longer than this for it, as a rule.
    for (let spin = 0; spin < spins; spin++) if (session.load(step.offset) !== step.word) return 0;
    if (watcher.saw(before, surroundings.now())) return 1;
    surroundings.sleepSync(watcher.delay);
  }
}
/** Looks at a word between two sleeps. */
const spins = 64;

const stop = { stopOnFail: true } as const;

function coordinated<T>(protocol: Protocol<T>, { coordinator }: Bench): Protocol<T> {
  return coordinator === undefined ? protocol : coordinator.coordinate(protocol);
}

/**
 * Runs a protocol to its end without a promise. The session must be `synchronous`.
 * @throws what the protocol throws; `UnsupportedCapability` if a step answers with a promise.
 */
export function runSync<T>(given: Protocol<T>, bench: Bench): T {
  const protocol = coordinated(given, bench);
  let state = protocol.next();
  while (!state.done) {
    let result: Awaitable<StepResult | void>;
    try {
      result = execute(state.value, bench, false);
    } catch (error) {
      state = protocol.throw(error);
      continue;
    }
    if (result instanceof Promise) {
      result.catch(() => undefined);
      // It is not gone on with: what it holds of its client's is let go.
      protocol.return(undefined as T);
      throw new ExomemError('UnsupportedCapability', 'this session is not synchronous', { where: bench.session.where });
    }
    state = protocol.next(result as StepResult);
  }
  return state.value;
}

/** Runs a protocol to its end; awaits only where a step answers with a promise. */
export async function runAsync<T>(given: Protocol<T>, bench: Bench): Promise<T> {
  const protocol = coordinated(given, bench);
  let state = protocol.next();
  while (!state.done) {
    let result: Awaitable<StepResult | void>;
    try {
      result = execute(state.value, bench, true);
      if (result instanceof Promise) result = await result;
    } catch (error) {
      state = protocol.throw(error);
      continue;
    }
    state = protocol.next(result as StepResult);
  }
  return state.value;
}

/**
 * {@link runSync} where the session is synchronous, else {@link runAsync}; so, too, where others may have to do something before
 * it goes on, who may live in this thread.
 */
export function run<T>(protocol: Protocol<T>, bench: Bench): Awaitable<T> {
  const atOnce = bench.session.capabilities.synchronous && bench.coordinator?.attend === undefined;
  return atOnce ? runSync(protocol, bench) : runAsync(protocol, bench);
}
