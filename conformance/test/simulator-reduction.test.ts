import { does, type Meeting, meet } from '@exomem/conformance';
import {
  Chronicle,
  Counterexample,
  type ExhaustiveOptions,
  exhaust,
  type Faults,
  noFaults,
  retrace,
  type Scene,
  SimulatedMemory,
  Simulation,
  type World,
} from '@exomem/conformance/simulator';
import {
  batch,
  compareExchange,
  fetchAdd,
  isExomemError,
  load,
  type Protocol,
  read,
  renew,
  type Step,
  shippedPolicies,
  write,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';

/** A word of its own line each. The judge looks at the first. */
const wordAt = (index: number): number => 64 * (index + 1);
const words = 4;
const bytesOf = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);

/** What a client does next. It has a number, and adds what it finds to that. */
type Deed =
  | { readonly do: 'load' | 'add' | 'read'; readonly word: number }
  | { readonly do: 'write'; readonly word: number; readonly own: boolean }
  | { readonly do: 'exchange'; readonly word: number; readonly expected: number; readonly desired: number }
  | { readonly do: 'both'; readonly word: number; readonly other: number }
  /** It tells the judge its number with its next step, or holds it from then on. */
  | { readonly do: 'tell' }
  | { readonly do: 'hold' };

const word = fc.nat(words - 1);
const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ do: fc.constantFrom('load' as const, 'add' as const, 'read' as const), word }),
  fc.record({ do: fc.constant('write' as const), word, own: fc.boolean() }),
  fc.record({ do: fc.constant('exchange' as const), word, expected: fc.nat(2), desired: fc.nat(3) }),
  fc.record({ do: fc.constant('both' as const), word, other: word }),
  fc.constantFrom<Deed>({ do: 'tell' }, { do: 'hold' }),
);
const deeds = fc.oneof(
  fc.array(fc.array(deed, { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 2 }),
  fc.array(fc.array(deed, { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 3 }),
);
const faults: fc.Arbitrary<Faults> = fc.record({ losses: fc.nat(1), aborts: fc.nat(1), crashes: fc.nat(1) });

type Told = readonly string[];

/** Clients that do so, and a judge that writes down all that it sees; `ends` are what it saw on each way to an end. */
function scene(all: readonly (readonly Deed[])[], ends: Set<string>): Scene<bigint, string> {
  const simulation = new Simulation(new SimulatedMemory(4096), { grain: 64, timeless: true });
  const numbers = all.map(() => 0n);
  const told: string[][] = all.map(() => []);
  for (const [client, own] of all.entries()) {
    simulation.addClient('ABC'[client]!, [
      {
        name: 'acts',
        *start(): Protocol<void> {
          let number = BigInt(client);
          for (const one of own) {
            if (one.do === 'hold') numbers[client] = number;
            if (one.do === 'tell') told[client]!.push(`${number}`);
            if (one.do === 'hold' || one.do === 'tell') continue;
            const sight = new Uint8Array(128);
            for (;;) {
              try {
                number = BigInt.asUintN(8, number * 3n + found(yield stepOf(one, number, sight), sight));
                break;
              } catch (error) {
                if (!isExomemError(error, 'OutcomeUnknown') && !isExomemError(error, 'Aborted')) throw error;
                number += 1n;
                // Some go on although what they had sent is on its way still.
                if (number % 2n === 0n) yield renew;
              }
            }
          }
          told[client]!.push('ends');
        },
      },
    ]);
  }
  const traces: string[] = [''];
  const known = new Map<string, number>([['', 0]]);
  return {
    simulation,
    judged: (offset, length) => offset < wordAt(0) + 8 && wordAt(0) < offset + length,
    hold: ({ index }) => numbers[index]!,
    hear: ({ index }): Told => told[index]!.splice(0),
    judge: {
      begin: () => 0,
      after({ moments, region, memo, locals }, { before, heard, actor }) {
        let trace = traces[memo]!;
        const [was, is] = [before, region].map((at) => moments.load(at, wordAt(0)));
        if (was !== is) trace += ` ${is} (${locals.map(({ node }) => node.held)})`;
        if (heard.length > 0) trace += ` ${actor}: ${heard}`;
        let number = known.get(trace);
        if (number === undefined) {
          number = traces.length;
          traces.push(trace);
          known.set(trace, number);
        }
        return number;
      },
      finish({ moments, region, locals, memo }: World<bigint, string>) {
        const left = Array.from({ length: words }, (_, index) => moments.load(region, wordAt(index)));
        const how = locals.map(({ dead, node }) => `${dead ? 'dead' : 'done'} with ${node.held}`);
        ends.add(`${traces[memo]} | ${left} | ${how}`);
      },
      epitaph: (_, { node, dead }) => (dead ? `${node.held}` : String(node.id)),
    },
  };
}

function stepOf(one: Exclude<Deed, { do: 'tell' | 'hold' }>, number: bigint, sight: Uint8Array): Step {
  const offset = wordAt(one.word);
  switch (one.do) {
    case 'load':
      return load(offset);
    case 'add':
      return fetchAdd(offset, 1n);
    case 'read':
      return read(offset, sight);
    case 'write':
      return write(offset, bytesOf(one.own ? number : 7n));
    case 'exchange':
      return compareExchange(offset, BigInt(one.expected), BigInt(one.desired));
    case 'both':
      return batch([write(offset, bytesOf(number)), load(wordAt(one.other))]);
  }
}

function found(answer: unknown, sight: Uint8Array): bigint {
  if (typeof answer === 'bigint') return answer;
  const last = Array.isArray(answer) ? (answer.at(-1) as bigint | undefined) : undefined;
  return last ?? BigInt(sight[0]! + 5 * sight[64]!);
}

function endsOf(all: readonly (readonly Deed[])[], options: ExhaustiveOptions): { ends: string[]; states: number } {
  const ends = new Set<string>();
  const { complete, states } = exhaust(() => scene(all, ends), options);
  assert.ok(complete);
  return { ends: [...ends].sort(), states };
}

const test = suite('steps that are nobody else’s business');

test('taken first, they lead to the same ends, and the judge sees the same on the way', () => {
  fc.assert(
    fc.property(deeds, faults, (all, faults) => {
      assert.equal(endsOf(all, { faults, reduce: true }).ends, endsOf(all, { faults }).ends);
    }),
    { numRuns: 80 },
  );
});

test('there are fewer states, where each works on what nobody else touches', () => {
  const own = (word: number): Deed[] => [
    { do: 'write', word, own: true },
    { do: 'load', word },
    { do: 'add', word },
    { do: 'tell' },
  ];
  const all = [own(1), own(2), own(3)];
  const [whole, reduced] = [false, true].map((reduce) => endsOf(all, { reduce }));
  assert.equal(reduced!.ends, whole!.ends);
  assert.ok(reduced!.states * 5 < whole!.states, `${reduced!.states} of ${whole!.states}`);
});

test('what another has a part in after all is not taken first', () => {
  // A announces by a word that the judge does not look at what it has written beside it; B believes that without a look.
  const write: Deed[] = [
    { do: 'write', word: 1, own: false },
    { do: 'write', word: 2, own: false },
  ];
  const looks: Deed[] = [{ do: 'load', word: 2 }, { do: 'load', word: 1 }, { do: 'tell' }];
  const seen = endsOf([write, looks], { reduce: true }).ends;
  assert.equal(seen, endsOf([write, looks], {}).ends);
  // Both, none, or what was written first alone.
  assert.is(new Set(seen.map((end) => /1: (\d+)/.exec(end)?.[1])).size, 3);
});

test('a way that ends badly is told by the choices that there are in all orders', () => {
  const make = (): Scene<bigint, string> => {
    const ends = new Set<string>();
    const it = scene(
      [
        [
          { do: 'load', word: 1 },
          { do: 'load', word: 2 },
          { do: 'write', word: 3, own: false },
        ],
        [
          { do: 'write', word: 1, own: false },
          { do: 'load', word: 2 },
          { do: 'load', word: 3 },
        ],
      ],
      ends,
    );
    const finish = ({ locals }: World<bigint, string>): void => {
      if (locals.some(({ dead }) => dead)) throw new Error('somebody died');
    };
    return { ...it, judge: { ...it.judge, finish } };
  };
  const faults = { ...noFaults, crashes: 1 };
  let found: unknown;
  try {
    exhaust(make, { faults, reduce: true });
  } catch (error) {
    found = error;
  }
  assert.instance(found, Counterexample);
  const chronicle = new Chronicle(String);
  assert.throws(() => retrace(make, (found as Counterexample).path, chronicle, faults), /somebody died/);
  assert.match(String(chronicle), /crashes/);
});

const small: readonly Meeting[] = [
  {
    what: 'two want the last page, and one dies',
    groups: 1,
    groupPages: 1,
    deeds: [[does.allocates(1)], [does.allocates(1)]],
    faults: { ...noFaults, crashes: 1 },
  },
  {
    what: 'the last page is taken over',
    groups: 1,
    groupPages: 1,
    clean: false,
    deeds: [[does.allocates(1)], [does.recovers(), does.allocates(1)]],
    faults: noFaults,
    takeover: 0,
  },
];
for (const policy of shippedPolicies) {
  for (const meeting of small) {
    // Of that there are some hundred thousand states under the lock.
    if (policy.name === 'locked' && meeting.takeover !== undefined) continue;
    test(`${policy.name}: ${meeting.what}: everybody is told what it is told in all orders`, () => {
      const [whole, reduced] = [false, true].map((reduce) => meet(policy, meeting, { reduce, mayWait: true }));
      assert.ok(whole!.complete && reduced!.complete);
      assert.is(reduced!.histories, whole!.histories);
      assert.ok(reduced!.states <= whole!.states, `${reduced!.states} of ${whole!.states}`);
    });
  }
}

test.run();
