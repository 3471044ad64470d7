// deadline: 240s
import { createHash } from 'node:crypto';
import {
  does,
  exhaust,
  hunt,
  type Meeting,
  Mishap,
  replay,
  SimulatedMemory,
  Simulation,
  type Trial,
} from '@exomem/conformance';
import { compareExchange, load, locked, message, type Protocol } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Annals } from '../hunt/exhaustive/annals.js';
import { forgetful, largeMeetings, policies } from '../hunt/policies.js';

const test = suite('trials of the simulator');

/** Adds by a look and a change that nothing is made of if it is refused. */
function* addCarelessly(): Protocol<void> {
  const word = (yield load(64)) as bigint;
  yield compareExchange(64, word, word + 1n);
}
const careless = (chronicle: boolean): Trial => {
  const memory = new SimulatedMemory(4096);
  const simulation = new Simulation(memory, { chronicle });
  for (const name of ['A', 'B']) simulation.addClient(name, [{ name: 'adds', start: addCarelessly }]);
  const finish = (): void => {
    if (memory.load(64) !== 2n) throw new Error(`it shows ${memory.load(64)}`);
  };
  return { simulation, finish };
};

function mishapOf(act: () => unknown): Mishap {
  try {
    act();
  } catch (error) {
    if (error instanceof Mishap) return error;
    throw error;
  }
  throw new Error('it went well');
}

for (const way of ['random', 'adversarial'] as const) {
  test(`${way} runs find that two steps are not one, and tell it the same way again`, () => {
    for (const seed of [1, 2, 3]) {
      const mishap = mishapOf(() => hunt(careless, { way, seed, runs: 200 }));
      assert.match(mishap.message, 'it shows 1');
      assert.ok(mishap.schedule.length <= 6, `the schedule is ${mishap.schedule}`);
      const { told, wrong } = replay(careless, mishap.schedule);
      assert.is(told, mishap.told);
      assert.is((wrong as Error).message, 'it shows 1');
    }
  });
}

/** Goes wrong if another client is exactly in the middle of a long stretch, and then at its end. */
const narrow = (chronicle: boolean): Trial => {
  const memory = new SimulatedMemory(4096);
  const simulation = new Simulation(memory, { chronicle });
  let wrong = false;
  simulation.addClient('A', [
    {
      name: 'walks',
      *start() {
        for (let at = 0; at < 30; at++) yield compareExchange(64, BigInt(at), BigInt(at + 1));
      },
    },
  ]);
  simulation.addClient('B', [
    {
      name: 'looks twice',
      *start() {
        const first = (yield load(64)) as bigint;
        for (let at = 0; at < 5; at++) yield load(72);
        const second = (yield load(64)) as bigint;
        wrong = first < 10n && second === 30n;
      },
    },
  ]);
  const finish = (): void => {
    if (wrong) throw new Error('B saw the beginning and the end');
  };
  return { simulation, finish };
};

test('malice finds in few runs what needs few switches', () => {
  const { runs } = mishapOf(() => hunt(narrow, { way: 'adversarial', runs: 500 }));
  assert.ok(runs <= 500);
});

test('what nothing is wrong with comes through', () => {
  const alone = (): Trial => {
    const simulation = new Simulation(new SimulatedMemory(4096));
    simulation.addClient('A', [{ name: 'adds', start: addCarelessly }]);
    return { simulation };
  };
  assert.is(hunt(alone, { runs: 20, faults: { losses: 1, aborts: 1, crashes: 1 } }), 20);
});

test('shipped policies, some of the ways that larger meetings can go', () => {
  const lines: string[] = [];
  assert.ok(policies([], { limit: 400, tell: (line) => lines.push(line) }), lines.join('\n'));
  assert.ok(lines.length >= 2 * largeMeetings.length, lines.join('\n'));
});

const meetings: readonly Meeting[] = [
  {
    what: 'two take a page, and a reply is lost',
    groups: 2,
    groupPages: 1,
    deeds: [[does.allocates(1)], [does.allocates(1)]],
    faults: { losses: 1, aborts: 0, crashes: 0 },
  },
  {
    what: 'one takes two pages, and dies',
    groups: 2,
    groupPages: 1,
    deeds: [[does.allocates(2)], [does.allocates(1)]],
    faults: { losses: 0, aborts: 0, crashes: 1 },
  },
];
type Scene = ReturnType<ReturnType<typeof forgetful>>;
type SceneJudge = NonNullable<Scene['judge']>;

/** That judge, which writes down all that there is at each end. */
function noting(judge: SceneJudge, ends: Set<string>): SceneJudge {
  return {
    begin: (world) => judge.begin!(world),
    after: (world, change) => judge.after!(world, change),
    epitaph: (world, local) => judge.epitaph!(world, local),
    finish(world) {
      judge.finish!(world);
      const bytes = new Uint8Array(world.moments.size);
      world.moments.restore(world.region, bytes);
      const clients = world.locals.map(({ dead, fenced, node }) => [dead, fenced, node.held]);
      ends.add(`${createHash('sha1').update(bytes).digest('hex')} ${JSON.stringify(clients)}`);
    },
  };
}
for (const policy of [locked, message]) {
  for (const meeting of meetings) {
    test(`${policy.name}: ${meeting.what}: the same ends, whatever is forgotten of waiting`, () => {
      const [whole, less] = [undefined, new Annals()].map((annals) => {
        const ends = new Set<string>();
        const all = forgetful(policy, meeting, annals);
        const make = (): Scene => {
          const scene = all();
          return { ...scene, judge: noting(scene.judge!, ends) };
        };
        const options = { reduce: true, faults: meeting.faults, mayWait: policy === locked };
        const { histories, complete } = exhaust(make, options);
        assert.ok(complete);
        return { ends: [...ends].sort(), histories };
      });
      assert.equal(less!.ends, whole!.ends);
      assert.ok(less!.histories < whole!.histories, `${less!.histories} of ${whole!.histories}`);
    });
  }
}

test('and a name that there is not is told', () => {
  assert.throws(() => policies(['4x4'], { tell: () => undefined }), /there is no 4x4; there are atomic, .*2x3/);
});

test.run();
