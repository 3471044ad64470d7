import { checkHistory, type HistoryEvent } from '@exomem/conformance';
import { follow, SimulatedMemory, Simulation, scheduleLimit } from '@exomem/conformance/simulator';
import { exchange, fetchAdd, isExomemError, load, type Protocol, renew, write } from '@exomem/core';
import type { Mutant } from './mutant.js';

/** How clients treat a word at 64 and a free list of four pieces at 128; each the right way, unless it is seeded. */
interface Ways {
  readonly add: (delta: bigint) => Protocol<bigint>;
  readonly swap: (expected: bigint, desired: bigint) => Protocol<bigint>;
  readonly read: () => Protocol<bigint>;
  readonly take: () => Protocol<number>;
  readonly give: (piece: number) => Protocol<void>;
}

const word = 64;
const list = 128;

const right: Ways = {
  *add(delta) {
    return (yield fetchAdd(word, delta)) as bigint;
  },
  swap: (expected, desired) => exchange(word, expected, desired),
  *read() {
    return (yield load(word)) as bigint;
  },
  *take() {
    for (;;) {
      const taken = (yield load(list)) as bigint;
      const piece = [0, 1, 2, 3].find((one) => (taken & (1n << BigInt(one))) === 0n);
      if (piece === undefined) return -1;
      if ((yield* exchange(list, taken, taken | (1n << BigInt(piece)))) === taken) return piece;
    }
  },
  *give(piece) {
    for (;;) {
      const taken = (yield load(list)) as bigint;
      if ((yield* exchange(list, taken, taken & ~(1n << BigInt(piece)))) === taken) return;
    }
  },
};

const bytesOf = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);

const wrong: Readonly<Record<string, { readonly law: 'words' | 'memory'; readonly ways: () => Partial<Ways> }>> = {
  'a fetchAdd that reads, and then writes': {
    law: 'words',
    ways: () => ({
      *add(delta) {
        const before = (yield load(word)) as bigint;
        yield write(word, bytesOf(before + delta));
        return before;
      },
    }),
  },
  'a compareExchange that is sent again when its reply is lost': {
    law: 'words',
    ways: () => ({
      *swap(expected, desired) {
        for (;;) {
          try {
            return yield* exchange(word, expected, desired);
          } catch (error) {
            if (!isExomemError(error, 'OutcomeUnknown')) throw error;
            yield renew;
          }
        }
      },
    }),
  },
  'a read that is served from what was read before': {
    law: 'words',
    ways: () => {
      let known: bigint | undefined;
      let left = 0;
      return {
        *read() {
          if (known === undefined || left-- === 0) {
            known = (yield load(word)) as bigint;
            left = 2;
          }
          return known;
        },
      };
    },
  },
  'a free list that looks, and then takes': {
    law: 'memory',
    ways: () => ({
      *take() {
        const taken = (yield load(list)) as bigint;
        const piece = [0, 1, 2, 3].find((one) => (taken & (1n << BigInt(one))) === 0n);
        if (piece === undefined) return -1;
        yield write(list, bytesOf(taken | (1n << BigInt(piece))));
        return piece;
      },
    }),
  },
  'memory that is given back twice': {
    law: 'memory',
    ways: () => ({
      *give(piece) {
        for (let times = 0; times < 2; times++) {
          const taken = (yield load(list)) as bigint;
          yield* exchange(list, taken, taken & ~(1n << BigInt(piece)));
        }
      },
    }),
  },
};

/** What three clients did and were told, in an order that the seed decides; two replies are lost. */
export function recordHistory(seed: number, makeWays: () => Partial<Ways>): HistoryEvent[] {
  const simulation = new Simulation(new SimulatedMemory(4096));
  const events: HistoryEvent[] = [];
  let chance = seed >>> 0;
  const draw = (below: number): number => {
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((chance / 2 ** 32) * below);
  };
  for (const client of ['A', 'B', 'C']) {
    const ways: Ways = { ...right, ...makeWays() };
    const held: number[] = [];
    const simulated = simulation.addClient(client);
    /** An operation, and what it becomes in the history. */
    const does = (
      event: Pick<HistoryEvent, 'op'> & Partial<HistoryEvent>,
      start: () => Protocol<unknown>,
      ended: (value: unknown) => Partial<HistoryEvent> | undefined,
    ): void => {
      let began = 0;
      simulated.queue.push({
        name: event.op,
        start() {
          began = simulation.turn;
          return start();
        },
        ended({ error, value }: { error?: unknown; value?: unknown }) {
          const times = { start: String(2 * began), end: error === undefined ? String(2 * simulation.turn + 1) : null };
          const told = error === undefined ? ended(value) : { result: null, outcome: 'unknown' as const };
          if (told === undefined) return;
          events.push({ client, offset: word, result: null, outcome: 'ok', ...event, ...told, ...times });
        },
      });
    };
    for (let at = 0; at < 12; at++) {
      const kind = draw(5);
      const delta = BigInt(1 + draw(3));
      if (kind === 0) does({ op: 'read' }, ways.read, (value) => ({ result: String(value) }));
      if (kind === 1) {
        const add = { op: 'fetchAdd', delta: String(delta) } as const;
        does(
          add,
          () => ways.add(delta),
          (value) => ({ result: String(value) }),
        );
      }
      if (kind === 2) {
        const [expected, desired] = [BigInt(draw(4)), BigInt(draw(4))];
        const swap = { op: 'compareExchange', expected: String(expected), desired: String(desired) } as const;
        does(
          swap,
          () => ways.swap(expected, desired),
          (value) => ({ result: String(value) }),
        );
      }
      if (kind === 3) {
        does({ op: 'allocate', offset: undefined, length: 8 }, ways.take, (value) => {
          if (value === -1) return undefined;
          held.push(value as number);
          return { result: 1024 + 8 * (value as number) };
        });
      }
      if (kind === 4) {
        let piece: number | undefined;
        simulated.queue.push({
          name: 'free',
          start() {
            piece = held.shift();
            if (piece === undefined) return undefined;
            const given = piece;
            const began = simulation.turn;
            return (function* () {
              let end: string | null = null;
              try {
                yield* ways.give(given);
                end = String(2 * simulation.turn + 1);
              } finally {
                events.push({
                  client,
                  op: 'free',
                  offset: 1024 + 8 * given,
                  length: 8,
                  result: null,
                  start: String(2 * began),
                  end,
                  outcome: end === null ? 'unknown' : 'ok',
                });
              }
            })();
          },
        });
      }
    }
  }
  const schedule = Array.from({ length: 200 }, () => draw(scheduleLimit));
  follow(simulation, schedule, { losses: 2, aborts: 0, crashes: 0 });
  return events;
}

/** Histories that are recorded before a mutant counts as one that lives. */
const most = 400;

export const historyMutants: readonly Mutant[] = Object.entries(wrong).map(([name, { law, ways }]) => ({
  name,
  of: 'history',
  law: `linearizable-${law}`,
  async hunt(seed) {
    for (let at = 0; at < most; at++) {
      const { violations } = checkHistory(recordHistory(seed * 100_000 + at, ways));
      const [violation] = violations;
      if (violation === undefined) continue;
      const kind = violation.object.includes('word') ? 'words' : 'memory';
      return { law: `linearizable-${kind}`, runs: at + 1, unit: 'histories', what: violation.message };
    }
    return undefined;
  },
}));

/** Of clients that do nothing wrong. @returns what is found all the same */
export function soundHistory(seed: number): readonly string[] {
  return checkHistory(recordHistory(seed, () => ({}))).violations.map(({ message }) => message);
}
