import {
  Chronicle,
  Counterexample,
  Endless,
  exhaust,
  follow,
  Moments,
  type Operation,
  retrace,
  SimulatedMemory,
  Simulation,
  type SimulationOptions,
  scheduleLimit,
  type World,
} from '@exomem/conformance/simulator';
import {
  batch,
  compareExchange,
  drain,
  encodeMember,
  isExomemError,
  load,
  loadSurely,
  memberState,
  now,
  type Protocol,
  pause,
  random,
  read,
  reloadWords,
  renew,
  write,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';

const test = suite('simulation');

const word = 64;
const bytesOf = (value: bigint) => new Uint8Array(BigUint64Array.of(value).buffer);

const operation = (name: string, start: () => Protocol<unknown>): Operation => ({ name, start });

/** Adds one as it must not be done. */
function* addsBadly(): Protocol<void> {
  const value = (yield load(word)) as bigint;
  yield write(word, bytesOf(value + 1n));
}

/** Adds one, whatever becomes of the replies: a byte of the word says that this client has added. */
function* addsWell(client: number): Protocol<void> {
  const mark = 1n << BigInt(8 + 8 * client);
  let before = yield* loadSurely(load(word));
  while ((before & mark) === 0n) {
    try {
      const found = (yield compareExchange(word, before, before + 1n + mark)) as bigint;
      if (found === before) return;
      before = found;
    } catch (error) {
      if (!isExomemError(error, 'OutcomeUnknown')) throw error;
      before = (yield* reloadWords([word]))[0]!;
    }
  }
}

/** Two clients with one operation each. */
function two(make: (client: number) => Protocol<unknown>, options: SimulationOptions = {}): Simulation {
  const memory = new SimulatedMemory(4096);
  memory.observe(0, 4096, () => undefined);
  const simulation = new Simulation(memory, options);
  for (const client of [0, 1]) simulation.addClient('AB'[client]!, [operation('acts', () => make(client))]);
  return simulation;
}

test('a schedule of zeros runs one operation after the other', () => {
  const order: string[] = [];
  const simulation = new Simulation(new SimulatedMemory(4096));
  for (const name of ['A', 'B']) {
    const operations = [1, 2].map((at) =>
      operation(`${at}`, function* () {
        order.push(`${name}${at} begins`);
        yield load(word);
        yield load(word);
        order.push(`${name}${at} ends`);
      }),
    );
    simulation.addClient(name, operations);
  }
  follow(simulation, []);
  assert.equal(
    order,
    ['A1', 'A2', 'B1', 'B2'].flatMap((one) => [`${one} begins`, `${one} ends`]),
  );
});

test('the same schedule makes the same run', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(scheduleLimit - 1), { maxLength: 40 }), (schedule) => {
      const runs = [1, 2].map(() => {
        const simulation = two(addsWell, { chronicle: true });
        follow(simulation, schedule, { losses: 3, aborts: 1, crashes: 1 });
        return String(simulation.chronicle);
      });
      assert.is(runs[0], runs[1]);
    }),
  );
});

test('a lost update is found by some schedules, and the chronicle tells it', () => {
  const lost = (schedule: readonly number[]) => {
    const simulation = two(addsBadly, { chronicle: true, namer: (offset) => `word ${offset}` });
    follow(simulation, schedule);
    return simulation;
  };
  assert.is(lost([]).memory.load(word), 2n);
  const simulation = lost([0, 0, 1, 0, 1, 1]);
  assert.is(simulation.memory.load(word), 1n);
  assert.match(String(simulation.chronicle), /A acts: reads word 64 \(0x0\)\n {2}B acts: reads word 64 \(0x0\)/);
});

/** In the end both have added. */
const sums = {
  finish: ({ moments, region }: World<unknown, unknown>) => {
    const sum = moments.load(region, word) % 256n;
    if (sum !== 2n) throw new Error(`the sum is ${sum}`);
  },
};

test('every way is gone: an addition that holds, holds in all', () => {
  const make = () => ({ simulation: two(addsWell, { timeless: true }), judge: sums });
  const faults = { losses: 2, aborts: 0, crashes: 0 };
  const { states, ends, complete } = exhaust(make, { faults });
  assert.ok(complete);
  assert.ok(states > 100, `${states} states`);
  assert.ok(ends >= 1, `${ends} ends`);
  assert.is(exhaust(make, { faults, order: 'scattered' }).states, states);
  assert.not(exhaust(make, { faults, limit: 20 }).complete);
});

test('every way is gone: an addition that can be lost, is lost in one, and that way can be gone again', () => {
  const make = () => ({ simulation: two(addsBadly), judge: sums });
  let found: unknown;
  try {
    exhaust(make);
  } catch (error) {
    found = error;
  }
  assert.instance(found, Counterexample);
  const chronicle = new Chronicle((offset) => `word ${offset}`);
  assert.throws(() => retrace(make, (found as Counterexample).path, chronicle), /the sum is 1/);
  assert.match(String(chronicle), /A acts: reads word 64 \(0x0\)\n {2}B acts: reads word 64 \(0x0\)/);
});

test('what was read in pieces is read again by a client that is made to go another way', () => {
  // B changes both halves of what A reads in two pieces: A sees each mix of old and new, and then goes on by what it saw.
  const seen = new Set<string>();
  const make = () => {
    const simulation = new Simulation(new SimulatedMemory(4096), { grain: 64 });
    const bytes = new Uint8Array(128);
    simulation.addClient('A', [
      operation('reads', function* () {
        yield read(128, bytes);
        seen.add(`${bytes[0]}${bytes[64]}`);
        yield write(512, bytes);
      }),
    ]);
    simulation.addClient('B', [
      operation('writes', function* () {
        yield write(128, new Uint8Array(128).fill(1));
      }),
    ]);
    return {
      simulation,
      judge: {
        finish: ({ moments, region }: World<unknown, unknown>) => {
          const copy = `${moments.load(region, 512) & 1n}${moments.load(region, 512 + 64) & 1n}`;
          assert.ok(seen.has(copy), copy);
          mixes.add(copy);
        },
      },
    };
  };
  const mixes = new Set<string>();
  assert.ok(exhaust(make).complete);
  assert.equal([...mixes].sort(), ['00', '01', '10', '11']);
});

test('who dies leaves what it had sent on its way, and it happens or not', () => {
  const words = new Set<bigint>();
  const make = () => {
    const simulation = new Simulation(new SimulatedMemory(4096));
    simulation.addClient('A', [
      operation('writes', function* () {
        yield write(word, bytesOf(7n));
      }),
    ]);
    const judge = {
      finish: ({ moments, region }: World<unknown, unknown>) => void words.add(moments.load(region, word)),
    };
    return { simulation, judge };
  };
  exhaust(make, { faults: { losses: 0, aborts: 0, crashes: 1 } });
  assert.equal([...words].sort(), [0n, 7n]);
});

const moments = suite('contents of a small region');
moments('are what was stored and written, whatever was before, and equal if the bytes are', () => {
  const size = 3 * 4096;
  const change = fc.oneof(
    fc.record({ at: fc.nat(size / 8 - 1), value: fc.bigInt(0n, 2n) }),
    fc.record({ at: fc.nat(size - 300), bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const all = new Moments(size, [64, 640, 4096, 8192], 8192);
      const bytes = new Uint8Array(size);
      const copy = new Uint8Array(size);
      let now = all.take(bytes);
      const begin = now;
      for (const one of changes) {
        if ('bytes' in one) {
          now = all.write(now, one.at, one.bytes);
          bytes.set(one.bytes, one.at);
        } else {
          now = all.store(now, one.at * 8, one.value);
          new DataView(bytes.buffer).setBigUint64(one.at * 8, one.value, true);
          assert.is(all.load(now, one.at * 8), one.value);
        }
        all.restore(now, copy);
        assert.equal(copy, bytes);
        all.read(now, 37, copy.subarray(37, 5000));
        assert.equal(copy.subarray(37, 5000), bytes.subarray(37, 5000));
      }
      assert.is(all.take(bytes), now);
      assert.is(all.write(now, 0, new Uint8Array(size)), begin);
    }),
    { numRuns: 200 },
  );
  assert.throws(() => new Moments(size).load(0, size), /beyond/);
});
moments.run();

test('a step whose reply was lost may land until a new epoch begins, and not after it', () => {
  const late = (schedule: readonly number[]) => {
    const simulation = new Simulation(new SimulatedMemory(4096));
    let seen: bigint | undefined;
    const client = simulation.addClient('A', [
      operation('writes', function* () {
        try {
          yield write(word, bytesOf(7n));
        } catch {
          yield load(0);
          yield renew;
          seen = (yield load(word)) as bigint;
        }
      }),
    ]);
    simulation.perform({ kind: 'begin', client });
    simulation.perform({ kind: 'lose', task: client.tasks[0]!, pieces: 0 });
    assert.is(client.limbo.length, 1);
    follow(simulation, schedule);
    return { seen, after: simulation.memory.load(word) };
  };
  assert.equal(late([]), { seen: 0n, after: 0n });
  // The last of the actions is the landing.
  assert.equal(late([1]), { seen: 7n, after: 7n });
});

test('half of a batch may happen', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  const client = simulation.addClient('A', [
    operation('changes three words', function* () {
      yield batch([8, 16, 24].map((offset) => compareExchange(offset, 0n, 1n)));
    }),
  ]);
  simulation.perform({ kind: 'begin', client });
  simulation.perform({ kind: 'lose', task: client.tasks[0]!, pieces: 2 });
  assert.equal(
    [8, 16, 24].map((offset) => simulation.memory.load(offset)),
    [1n, 1n, 0n],
  );
  simulation.perform({ kind: 'land', client });
  assert.is(simulation.memory.load(24), 1n);
  assert.is(client.limbo.length, 0);
});

test('others act between the pieces of a batch and of a read', () => {
  const memory = new SimulatedMemory(4096);
  const simulation = new Simulation(memory, { grain: 8 });
  const bytes = new Uint8Array(16);
  const reader = simulation.addClient('A', [
    operation('reads two words', function* () {
      yield read(word, bytes);
    }),
  ]);
  const writer = simulation.addClient('B', [
    operation('writes both', function* () {
      yield batch([write(word, bytesOf(1n)), write(word + 8, bytesOf(1n))]);
    }),
  ]);
  simulation.perform({ kind: 'begin', client: reader });
  simulation.perform({ kind: 'begin', client: writer });
  const [read0, write0] = [reader.tasks[0]!, writer.tasks[0]!];
  simulation.perform({ kind: 'step', task: read0 });
  simulation.perform({ kind: 'step', task: write0 });
  simulation.perform({ kind: 'step', task: write0 });
  simulation.perform({ kind: 'step', task: read0 });
  assert.equal([...new BigUint64Array(bytes.buffer)], [0n, 1n]);
});

test('a batch that stops at a failure does not go on', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  let answers: unknown;
  simulation.addClient('A', [
    operation('stops', function* () {
      answers = yield batch([compareExchange(8, 1n, 2n), compareExchange(16, 0n, 1n), load(8)], true);
    }),
  ]);
  follow(simulation, []);
  assert.equal((answers as unknown[]).map(String), ['0', 'Symbol(exomem.notRun)', 'Symbol(exomem.notRun)']);
  assert.is(simulation.memory.load(16), 0n);
});

test('a crash drops the generator between two steps: nothing of it runs any more', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  let cleaned = false;
  const client = simulation.addClient('A', [
    operation('dies', function* () {
      try {
        yield write(8, bytesOf(1n));
        yield write(16, bytesOf(1n));
      } finally {
        cleaned = true;
      }
    }),
  ]);
  simulation.perform({ kind: 'begin', client });
  simulation.perform({ kind: 'step', task: client.tasks[0]! });
  simulation.perform({ kind: 'crash', client });
  follow(simulation, []);
  assert.equal(
    [8, 16].map((offset) => simulation.memory.load(offset)),
    [1n, 0n],
  );
  assert.not(cleaned);
});

test('drain waits for what is on its way', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  const order: string[] = [];
  const client = simulation.addClient(
    'A',
    [
      operation('writes two words', function* () {
        yield batch([write(8, bytesOf(1n)), write(16, bytesOf(1n))]);
        order.push('written');
      }),
      operation('drains', function* () {
        yield drain;
        order.push('drained');
      }),
    ],
    2,
  );
  simulation.perform({ kind: 'begin', client });
  simulation.perform({ kind: 'step', task: client.tasks[0]! });
  simulation.perform({ kind: 'begin', client });
  assert.is(simulation.actions().length, 1);
  follow(simulation, [5, 3, 1]);
  assert.equal(order, ['written', 'drained']);
});

test('a new epoch answers what was half done with OutcomeUnknown', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  let code: string | undefined;
  const client = simulation.addClient(
    'A',
    [
      operation('writes two words', function* () {
        try {
          yield batch([write(8, bytesOf(1n)), write(16, bytesOf(1n))]);
        } catch (error) {
          code = isExomemError(error) ? error.code : undefined;
        }
      }),
      operation('renews', function* () {
        yield renew;
      }),
    ],
    2,
  );
  simulation.perform({ kind: 'begin', client });
  simulation.perform({ kind: 'step', task: client.tasks[0]! });
  simulation.perform({ kind: 'begin', client });
  simulation.perform({ kind: 'step', task: client.tasks[1]! });
  assert.is(code, 'OutcomeUnknown');
  assert.equal(
    [8, 16].map((offset) => simulation.memory.load(offset)),
    [1n, 0n],
  );
});

test('who waits lets others go first', () => {
  const simulation = new Simulation(new SimulatedMemory(4096), { limit: 1000 });
  const waits = () =>
    operation('waits', function* () {
      while (((yield load(word)) as bigint) === 0n) yield pause(1);
    });
  simulation.addClient('A', [waits(), waits()], 2);
  simulation.addClient('B', [
    operation('ends the wait', function* () {
      yield load(0);
      yield write(word, bytesOf(1n));
    }),
  ]);
  follow(simulation, []);
  assert.ok(simulation.quiet);
});

test('what never ends is noticed', () => {
  const simulation = new Simulation(new SimulatedMemory(4096), { limit: 100 });
  simulation.addClient('A', [
    operation('waits', function* () {
      for (;;) yield pause(1);
    }),
  ]);
  assert.throws(
    () => follow(simulation, []),
    (error: unknown) => error instanceof Endless,
  );
});

test('time and chance are its own', () => {
  const run = () => {
    const simulation = new Simulation(new SimulatedMemory(4096));
    const seen: unknown[] = [];
    simulation.addClient('A', [
      operation('looks', function* () {
        seen.push(yield now);
        yield pause(250);
        seen.push(yield now, yield random, yield random);
      }),
    ]);
    follow(simulation, []);
    return seen;
  };
  assert.equal(run(), run());
  assert.equal(run().slice(0, 2), [0, 250]);
});

test('a lane is bound to a living member alone, and shut out with it', () => {
  const memory = new SimulatedMemory(4096);
  memory.store(word, encodeMember({ state: memberState.active, incarnation: 3, beat: 0 }));
  const simulation = new Simulation(memory);
  const codes: string[] = [];
  const attempt = (incarnation: number) =>
    operation('binds', function* () {
      try {
        yield { op: 'bind', member: { slot: 1, incarnation, offset: word } };
        yield write(8, bytesOf(1n));
        yield write(8, bytesOf(2n));
        codes.push('fine');
      } catch (error) {
        codes.push(isExomemError(error) ? error.code : String(error));
      }
    });
  const [bound] = [simulation.addClient('A', [attempt(3)]), simulation.addClient('B', [attempt(2)])];
  simulation.perform({ kind: 'begin', client: bound! });
  for (let at = 0; at < 2; at++) simulation.perform({ kind: 'step', task: bound!.tasks[0]! });
  simulation.revoke({ slot: 1, incarnation: 3, offset: word });
  follow(simulation, []);
  assert.equal(codes, ['Fenced', 'Fenced']);
  assert.is(memory.load(8), 1n);
});

test('a step outside the memory is refused as a session would', () => {
  const simulation = new Simulation(new SimulatedMemory(4096));
  const codes: unknown[] = [];
  for (const step of [load(4096), load(4), write(4090, new Uint8Array(8)), load(-8)]) {
    simulation.addClient('A', [
      {
        name: 'errs',
        *start(): Protocol<void> {
          yield step;
        },
        ended: ({ error }) => codes.push(isExomemError(error) && error.code),
      },
    ]);
  }
  follow(simulation, []);
  assert.equal(codes, ['OutOfRange', 'Unaligned', 'OutOfRange', 'OutOfRange']);
});

test.run();
