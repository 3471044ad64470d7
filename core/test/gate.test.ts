import { readFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import {
  type BatchAnswer,
  type Capabilities,
  decodeMember,
  ExomemError,
  encodeMember,
  isExomemError,
  type MemberBinding,
  memberState,
  PairSession,
  type Session,
} from '../src/index.js';

// A member is bound at two appliances and shut out at both. Every order is gone through in which the steps of some clients can
// reach them, with the code that ships: the sessions of the two halves are replaced by lanes whose steps the search lets happen
// when it likes, whose answers it loses, and whose data appliance it starts again, which forgets whom it shut out.

const test = suite('gates of a data region');

const capabilities: Capabilities = {
  synchronous: false,
  mapped: false,
  atomics: 'host',
  maxTransfer: 1024,
  maxBatch: 16,
  stopOnFail: true,
  sessionFence: true,
  revoke: 'immediate',
  watch: false,
};
/** Where the word of the only member is, in the metadata; its gate; and the page, in the data. */
const [word, gate, page] = [0, 64, 8];
const layout = { head: 64, from: 0, bytes: 64, gates: gate };
const slot = 0;
const member = (incarnation: number): MemberBinding => ({ slot, incarnation, offset: word });
const wordOf = (state: number, incarnation: number): bigint => encodeMember({ state, incarnation, beat: 0 });

type Mutation = 'the gate stays open' | 'the data appliance shuts nobody out';

/** An appliance: words, who was shut out, and the lanes that are connected. */
class Half {
  readonly words = new Map<number, bigint>();
  /** One more than the highest incarnation that was revoked. */
  revoked = 0;
  readonly lanes = new Set<Lane>();

  load(offset: number): bigint {
    return this.words.get(offset) ?? 0n;
  }
  /** As after a crash: what is in memory stays. */
  restart(): void {
    this.revoked = 0;
    for (const lane of [...this.lanes]) lane.lose();
  }
}

interface Pending {
  readonly lane: Lane;
  apply(): unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

class World {
  readonly metadata = new Half();
  readonly data = new Half();
  readonly pending: Pending[] = [];
  /** What each actor was told, by its number: with the words it is all that there is to know of a moment. */
  readonly told: string[] = [];
  revokeReturned = false;
  problem: string | undefined;
  losses = 0;
  restarts = 0;

  constructor(readonly mutation: Mutation | undefined) {
    this.metadata.words.set(word, wordOf(memberState.active, 1));
  }
}

/** One lane of a client to one half. A call is a step that the search lets happen. */
class Lane {
  readonly capabilities = capabilities;
  readonly size = 128;
  readonly where = 'half';
  epoch = 1;
  connected = true;
  fence = false;
  bound: number | undefined;
  #binding: MemberBinding | undefined;

  constructor(
    readonly world: World,
    readonly half: Half,
    readonly actor: number,
    readonly incarnation: number,
  ) {
    half.lanes.add(this);
  }

  #step<T>(apply: () => T, unfenced = false): Promise<T> {
    const lost = new ExomemError('Disconnected', 'lost');
    if (!this.connected) return Promise.reject(lost);
    return new Promise<T>((resolve, reject) => {
      const checked = (): T => {
        if (this.fence && !unfenced) throw new ExomemError('Fenced', 'shut out');
        return apply();
      };
      this.world.pending.push({ lane: this, apply: checked, resolve: resolve as (value: unknown) => void, reject });
    });
  }

  load(offset: number): Promise<bigint> {
    return this.#step(() => this.half.load(offset));
  }
  compareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#step(() => {
      const { world, half } = this;
      const found = half.load(offset);
      const closes = half === world.data && decodeMember(desired).state === memberState.fenced;
      if (found === expected && !(closes && world.mutation === 'the gate stays open')) half.words.set(offset, desired);
      return found;
    });
  }
  write(): Promise<void> {
    return this.#step(() => {
      const { world, incarnation } = this;
      if (incarnation === 1 && world.revokeReturned) world.problem = 'a write of the dead lands behind its revoke';
    });
  }
  bind({ incarnation, offset }: MemberBinding): Promise<void> {
    return this.#step(() => {
      const found = decodeMember(this.half.load(offset));
      const alive = found.state === memberState.joining || found.state === memberState.active;
      if (!alive || found.incarnation !== incarnation || this.half.revoked > incarnation || this.bound !== undefined) {
        if (this.bound === incarnation) return;
        this.fence = true;
        throw new ExomemError('Fenced', 'not bound');
      }
      this.bound = incarnation;
      this.#binding = { slot, incarnation, offset };
    });
  }
  revoke({ incarnation }: MemberBinding): Promise<void> {
    return this.#step(() => {
      if (this.half === this.world.data && this.world.mutation === 'the data appliance shuts nobody out') return;
      this.half.revoked = Math.max(this.half.revoked, incarnation + 1);
      for (const lane of this.half.lanes) if (lane.bound !== undefined && lane.bound <= incarnation) lane.fence = true;
    });
  }
  /** As over TCP: a new connection, which is bound to the same member before anything else. */
  async renew(): Promise<void> {
    if (this.connected) return;
    this.connected = true;
    this.bound = undefined;
    this.epoch++;
    await this.#step(() => void this.half.lanes.add(this));
    const binding = this.#binding;
    if (binding !== undefined) await this.bind(binding);
  }
  lose(): void {
    this.connected = false;
    this.half.lanes.delete(this);
    const { pending } = this.world;
    for (const step of pending.filter(({ lane }) => lane === this)) {
      pending.splice(pending.indexOf(step), 1);
      step.reject(new ExomemError('OutcomeUnknown', 'the appliance is gone'));
    }
  }
  close(): void {}
  batch(): Promise<BatchAnswer> {
    throw new Error('no batch');
  }
}

function lanesOf(world: World, actor: number, incarnation: number): PairSession {
  const [own, other] = [world.metadata, world.data].map((half) => new Lane(world, half, actor, incarnation));
  return new PairSession(own as unknown as Session, other as unknown as Session, layout, 'pair');
}

const interrupted = (error: unknown): boolean =>
  isExomemError(error, 'OutcomeUnknown') || isExomemError(error, 'Disconnected');

/** Joins as that incarnation, or goes on as it, and writes: again over another epoch when something was lost. */
async function live(world: World, actor: number, incarnation: number): Promise<void> {
  const session = lanesOf(world, actor, incarnation);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      if (attempt > 0) await session.renew();
      await session.bind(member(incarnation));
      await session.write(64 + page, new Uint8Array(8));
      return;
    } catch (error) {
      if (isExomemError(error, 'Fenced')) {
        if (incarnation === 2) world.problem = `a member that lives is refused: ${error.message}`;
        return;
      }
      if (!interrupted(error)) throw error;
    }
  }
}

/** Declares the first incarnation dead, and frees its slot when nothing of it can land any more. */
async function observe(world: World, actor: number): Promise<void> {
  const session = lanesOf(world, actor, 9);
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      if (attempt > 0) await session.renew();
      await session.compareExchange(word, wordOf(memberState.active, 1), wordOf(memberState.fenced, 1));
      await session.revoke(member(1));
      world.revokeReturned = true;
      await session.compareExchange(word, wordOf(memberState.fenced, 1), wordOf(memberState.free, 1));
      return;
    } catch (error) {
      if (!interrupted(error)) throw error;
    }
  }
}

/** Takes the slot when it is free. */
async function succeed(world: World, actor: number): Promise<void> {
  const session = lanesOf(world, actor, 2);
  const free = wordOf(memberState.free, 1);
  try {
    if ((await session.compareExchange(word, free, wordOf(memberState.joining, 2))) !== free) return;
  } catch (error) {
    if (interrupted(error)) return;
    throw error;
  }
  await live(world, actor, 2);
}

type Actor = (world: World, actor: number) => Promise<void>;
const victim: Actor = (world, actor) => live(world, actor, 1);
const kinds: readonly Actor[] = [victim, observe, succeed];

interface Plot {
  readonly actors: readonly Actor[];
  /** Answers that are lost, and starts of the data appliance, at most. */
  readonly losses: number;
  readonly restarts: number;
  readonly mutation?: Mutation;
}

/** What an actor that has come to its end was told. */
const done = '.';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A world at the end of a way of choices. */
async function go({ actors, losses, restarts, mutation }: Plot, way: readonly number[]) {
  const world = new World(mutation);
  for (const [number, actor] of actors.entries()) {
    world.told[number] = '';
    actor(world, number).then(
      () => {
        // Whatever it was told, it does nothing any more.
        world.told[number] = done;
      },
      (error) => {
        world.problem ??= String(error);
      },
    );
  }
  await settled();
  const choices = (): (() => void)[] => {
    const steps = world.pending.toSorted((a, b) => a.lane.actor - b.lane.actor);
    const happens = (step: Pending, lost: boolean) => () => {
      world.pending.splice(world.pending.indexOf(step), 1);
      const { actor, half } = step.lane;
      const where = half === world.data ? 'data' : 'metadata';
      try {
        const answer = step.apply();
        if (!lost) {
          world.told[actor] += `${where} ${String(answer)},`;
          step.resolve(answer);
          return;
        }
      } catch (error) {
        if (!lost) {
          world.told[actor] += `${where} ${(error as ExomemError).code},`;
          step.reject(error);
          return;
        }
      }
      world.losses++;
      world.told[actor] += `${where} ?,`;
      step.lane.lose();
      step.reject(new ExomemError('OutcomeUnknown', 'the answer was lost'));
    };
    const all = steps.map((step) => happens(step, false));
    if (world.losses < losses) all.push(...steps.map((step) => happens(step, true)));
    if (world.restarts < restarts) {
      all.push(() => {
        world.restarts++;
        for (const { actor } of world.data.lanes) if (world.told[actor] !== done) world.told[actor] += '!,';
        world.data.restart();
      });
    }
    return all;
  };
  const take = async (choice: number): Promise<void> => {
    choices()[choice]!();
    await settled();
  };
  for (const choice of way) await take(choice);
  /** All that what may come depends on. Actors that do the same are told apart by nothing. */
  const key = (): string => {
    const { metadata, data } = world;
    const each = actors.map((actor, number) => {
      const lanes = [metadata, data].map(({ lanes }) =>
        [...lanes].flatMap((lane) => (lane.actor === number ? `${lane.fence}${lane.bound}` : [])),
      );
      return `${kinds.indexOf(actor)} ${world.told[number]} ${lanes.join('/')}`;
    });
    const words = [...metadata.words, ...data.words].join();
    const { revokeReturned, losses, restarts } = world;
    return [...each.sort(), words, metadata.revoked, data.revoked, revokeReturned, losses, restarts].join('|');
  };
  return { world, key, take, choices: () => choices().length };
}

/** Goes all ways. What it finds first, and how many moments there are. */
async function search(plot: Plot): Promise<{ moments: number; problem: string | undefined }> {
  const seen = new Set<string>();
  const ways: number[][] = [[]];
  for (let way = ways.pop(); way !== undefined; way = ways.pop()) {
    // A world goes on as long as that leads to something new. Promises cannot be copied: what else there was begins anew.
    const { world, key, take, choices } = await go(plot, way);
    for (let here = key(); world.problem === undefined && !seen.has(here); here = key()) {
      seen.add(here);
      const count = choices();
      if (count === 0) break;
      for (let choice = 1; choice < count; choice++) ways.push([...way, choice]);
      await take(0);
      way.push(0);
    }
    const { problem } = world;
    if (problem !== undefined) return { moments: seen.size, problem };
  }
  return { moments: seen.size, problem: undefined };
}

const plots: Record<string, Plot & { readonly long?: true }> = {
  'one who joins and writes, one who shuts it out, one who takes its slot': {
    actors: [victim, observe, succeed],
    losses: 0,
    restarts: 0,
  },
  'one who writes, one who shuts it out; the data appliance is started again': {
    actors: [victim, observe],
    losses: 0,
    restarts: 1,
  },
  'one who writes, one who shuts it out; an answer is lost': { actors: [victim, observe], losses: 1, restarts: 0 },
  'two lanes of one, one who shuts it out': { actors: [victim, victim, observe], losses: 0, restarts: 0 },
  'one who writes, two who shut it out': { actors: [victim, observe, observe], losses: 0, restarts: 0 },
  'the first, and the data appliance is started again': {
    actors: [victim, observe, succeed],
    losses: 0,
    restarts: 1,
    long: true,
  },
  'one who writes, one who shuts it out; an answer is lost, and a start': {
    actors: [victim, observe],
    losses: 1,
    restarts: 1,
    long: true,
  },
  'one who writes, two who shut it out; the data appliance is started again': {
    actors: [victim, observe, observe],
    losses: 0,
    restarts: 1,
    long: true,
  },
  'two lanes of one, one who shuts it out; the data appliance is started again': {
    actors: [victim, victim, observe],
    losses: 0,
    restarts: 1,
    long: true,
  },
};
// Those take minutes: `EXOMEM_GATES=all npm test -- core/test/gate`.
const all = process.env['EXOMEM_GATES'] === 'all';
const proofs = readFileSync(new URL('../../../docs/proofs.md', import.meta.url), 'utf8').split('\n');
for (const [name, plot] of Object.entries(plots)) {
  if (plot.long && !all) continue;
  test(`all orders: ${name}`, async () => {
    const { moments, problem } = await search(plot);
    assert.is(problem, undefined);
    const row = proofs.map((line) => line.split('|').map((cell) => cell.trim())).find(([, what]) => what === name);
    assert.is(moments.toLocaleString('en-US'), row?.[2], 'what docs/proofs.md says of it');
  });
}

for (const mutation of ['the gate stays open', 'the data appliance shuts nobody out'] as const) {
  test(`it is found out if ${mutation}`, async () => {
    const { problem } = await search({ actors: [victim, observe], losses: 0, restarts: 1, mutation });
    assert.is(problem, 'a write of the dead lands behind its revoke');
  });
}

test.run();
