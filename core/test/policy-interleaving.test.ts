import {
  type AllocationRequest,
  isExomemError,
  type Protocol,
  runSync,
  type Step,
  type StepResult,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { type SharedClient, SharedRegion } from './fixtures/shared-region.js';

// Moments that random schedules meet once in a hundred thousand runs, set up by hand.

const test = suite('policy atomic, step by step');

function* only(step: Step): Protocol<StepResult> {
  return yield step;
}

/** A protocol of a client that goes on when it is told to. */
class Stepper<T> {
  readonly #protocol: Protocol<T>;
  readonly #client: SharedClient;
  #state: IteratorResult<Step, T>;
  failure: unknown;

  constructor(client: SharedClient, protocol: Protocol<T>) {
    this.#client = client;
    this.#protocol = protocol;
    this.#state = protocol.next();
  }

  /** The step that it waits for; undefined when it has ended. */
  get waitsFor(): Step['op'] | undefined {
    return this.#state.done ? undefined : this.#state.value.op;
  }

  get value(): T {
    if (!this.#state.done) throw new Error('it has not ended');
    return this.#state.value;
  }

  /** Lets its step happen. */
  step(): void {
    const step = this.#state.value as Step;
    const answer = runSync(only(step), this.#client.region.bench);
    try {
      this.#state = this.#protocol.next(answer);
    } catch (error) {
      this.failure = error;
      this.#state = { done: true, value: undefined as T };
    }
  }

  until(op: Step['op'] | undefined): void {
    while (this.waitsFor !== op) this.step();
  }
}

const groupPages = 4;
const small = { memberSlots: 2, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1, groupPages };

/** So many free groups, and nothing else. */
function regionOf(groups: number): SharedRegion {
  for (let size = 40_960; ; size += 4096) {
    try {
      const region = new SharedRegion(size, { ...small, clean: true });
      if (region.groups === groups) return region;
    } catch (error) {
      if (!isExomemError(error, 'OutOfRange')) throw error;
    }
  }
}

const allocating = (client: SharedClient, pages: number, more: Partial<AllocationRequest> = {}) =>
  new Stepper(client, client.allocator.allocate({ pages, initialise: 'none', ...more }));

test('who lost a race looks again before it says that all is full', () => {
  const region = regionOf(4);
  const [client, rival, holder] = [region.client(), region.client(), region.client()];
  const held = [holder.allocate(groupPages), holder.allocate(groupPages)];
  // This group stays the holder's own, for its next allocation.
  holder.free(held[0]!);
  // A long run of ours claims the other two, too late for the first of them.
  const long = allocating(client, 2 * groupPages);
  long.until('batch');
  assert.is(rival.allocate(groupPages).page, 2 * groupPages);
  // A short one looks twice, and sees the same; the last group was spoken for, and is not any more.
  const short = allocating(client, 1);
  short.until('read');
  short.step();
  short.until('read');
  long.step();
  short.step();
  assert.is(short.waitsFor, 'batch');
  // It is too late there, too. But another has become free.
  assert.is(rival.allocate(groupPages).page, 3 * groupPages);
  holder.free(held[1]!);
  short.until(undefined);
  assert.is(short.failure, undefined);
  assert.is(short.value.page, groupPages);
});

test('who finds nothing waits for what is under way at its own client', () => {
  const region = regionOf(1);
  const client = region.client();
  const one = allocating(client, 1);
  one.until('batch');
  one.step();
  const other = allocating(client, groupPages - 1);
  assert.is(other.waitsFor, 'batch');
  const third = allocating(client, 1);
  third.until('pause');
  other.until(undefined);
  client.free(one.value);
  third.until(undefined);
  assert.is(third.value.pages, 1);
  client.valid();
});

test('a page that is just being built is judged by nobody', () => {
  const region = regionOf(1);
  const [giver, client] = [region.client(), region.client()];
  const named = giver.allocate(1, { named: true, initialise: 'zero' });
  giver.allocator.settle(named.page, 1);
  giver.run(giver.allocator.giveRoom(client.allocator.identity, 1));
  client.run(client.allocator.discover());
  const building = allocating(client, 1, { initialise: 'zero' });
  building.until('write');
  const isNamed = (page: number) => page === named.page;
  client.allocator.judge(client.allocator.suspects(), isNamed, 1);
  assert.is(client.allocator.dismissed, 0);
  building.until(undefined);
  assert.ok(building.value.live);
  // It is judged as soon as it has come to rest, and named pages stay.
  assert.is(client.allocator.judge(client.allocator.suspects(), isNamed, 1), 0);
  assert.is(
    client.allocator.judge(client.allocator.suspects(), () => false, 1),
    0,
  );
  client.valid();
});

test('pages that are free already are not dismissed, so nobody loses them later', () => {
  const region = regionOf(1);
  const client = region.client();
  const { allocator } = client;
  const kept = client.allocate(1);
  allocator.dismiss(kept.page, 2, 3);
  assert.is(allocator.dismissed, 0);
  const named = client.allocate(1, { named: true, initialise: 'zero' });
  allocator.settle(named.page, 1);
  assert.is(client.run(allocator.sweep(100)), 0);
  assert.is(client.usage().withheld, 1);
});

test.run();
