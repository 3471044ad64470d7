import {
  type AllocationPolicy,
  type AllocationRequest,
  type Allocator,
  type Coordinator,
  decodePrincipal,
  type ErrorCode,
  type Extent,
  encodeMember,
  encodePrincipal,
  exchange,
  type Geometry,
  loadWord,
  memberState,
  type Protocol,
  principalState,
  principalWordOffset,
  type Usage,
  userGroups,
} from '@exomem/core';
import {
  Endless,
  type Faults,
  follow,
  noFaults,
  type Operation,
  type Outcome,
  type SimulatedClient,
  type SimulatedMemory,
  Simulation,
} from '../simulator/index.js';
import { Clerk } from './clerk.js';
import { Deeds, type Surroundings } from './deeds.js';
import type { Actor, Asking, Holder, Holding } from './holding.js';
import { Breach } from './law.js';
import { type DatedAsking, Ledger, type LedgerHolder } from './ledger.js';
import { settle } from './settlement.js';
import { coordinatorOf, identityOf, memberOf, smallMemory, smallRegion } from './small-region.js';
import { type Deed, readDeed } from './workload.js';

/** A run: what each client is to do, and in which order the steps happen. */
export interface Run {
  /** For each client its deeds, as numbers. */
  readonly deeds: readonly (readonly number[])[];
  readonly schedule: readonly number[];
  /** Whose principal is taken over on the way; no client of that number: nobody's. */
  readonly takeover?: number;
}

/** A run, and the number of the world in which it happens. */
export interface WorldRun extends Run {
  readonly world: number;
}

export interface WorldOptions {
  readonly groups?: number;
  readonly groupPages?: number;
  /** The memory begins zero, and its words say so. */
  readonly clean?: boolean;
  /** Operations that a client has under way at the same time. */
  readonly concurrency?: number;
  readonly faults?: Faults;
  readonly chronicle?: boolean;
  /** False: who is dead may hold others up until somebody has recovered it. Default true. */
  readonly progress?: boolean;
}

/** Steps that a run may take. */
const limit = 6_000;
/** The same where somebody looks for requests all the time. */
const attendedLimit = 60_000;

export class WorldClient implements Actor, LedgerHolder {
  takenAt: number | undefined;
  readonly asking = new Set<DatedAsking>();
  readonly freed: Extent[] = [];
  simulated!: SimulatedClient;
  /** Its member was declared dead, although its principal may not show it yet. */
  declaredDead: () => boolean = () => false;
  constructor(
    readonly name: string,
    readonly tag: number,
    readonly identity: Holder['identity'],
    public allocator: Allocator,
    public coordinator: Coordinator | undefined,
  ) {}

  /** Whether what it does still counts: it lives, and its principal is its own. */
  get stands(): boolean {
    return this.takenAt === undefined && !this.simulated.dead && !this.simulated.fenced && !this.declaredDead();
  }
}

/** The name of a client. */
export const nameOf = (client: number): string => 'ABCDEFGH'[client]!;
/** The byte that it fills its pages with. */
export const tagOf = (client: number): number => 0x10 + client;

/** Some clients of a policy on one small region in the simulator, watched by a ledger. */
export class World implements Surroundings<WorldClient> {
  readonly geometry: Geometry;
  readonly memory: SimulatedMemory;
  readonly simulation: Simulation;
  readonly ledger: Ledger;
  readonly clients: WorldClient[] = [];
  readonly deeds = new Deeds<WorldClient>(this);
  /** Pages of constructions whose release was broken off: free or withheld, nobody can say. */
  readonly leftovers = new Set<number>();
  /** Who attends to the others, where that has to be. */
  readonly clerk: Clerk | undefined;
  readonly #faults: Faults;
  readonly #progress: boolean;
  /** The index of the last record of the log that there is not. */
  #index = 0;

  constructor(policy: AllocationPolicy, clients: number, options: WorldOptions = {}) {
    const { groups = 6, groupPages = 4, clean = false, concurrency = 1, faults = noFaults, progress = true } = options;
    this.#faults = faults;
    this.#progress = progress;
    this.geometry = smallRegion(groups, groupPages, policy);
    const attended = coordinatorOf(policy, this.geometry, clients)?.attend !== undefined;
    const members = attended ? clients + 1 : clients;
    this.memory = smallMemory(this.geometry, { groups, groupPages, clean, clients: members });
    this.simulation = new Simulation(this.memory, {
      ...(options.chronicle === undefined ? {} : { chronicle: options.chronicle }),
      // A coordination takes several steps for each of those of the protocols above it.
      limit: attended ? attendedLimit : policy.coordinate === undefined ? limit : 4 * limit,
      namer: (offset) => placeName(this.geometry, offset),
    });
    this.ledger = new Ledger(this.geometry, this.memory, this.simulation);
    for (let at = 0; at < clients; at++) {
      const identity = identityOf(at);
      const allocator = policy.create({ geometry: this.geometry, identity });
      const coordinator = coordinatorOf(policy, this.geometry, at);
      const client = new WorldClient(nameOf(at), tagOf(at), identity, allocator, coordinator);
      client.simulated = this.simulation.addClient(client.name, [], concurrency);
      client.simulated.binding = memberOf(this.geometry, at);
      if (attended) {
        const { offset } = client.simulated.binding;
        client.declaredDead = () => this.memory.load(offset) === deadMember;
      }
      this.clients.push(client);
      this.ledger.enter(client);
    }
    this.clerk = Clerk.of(policy, this.geometry, clients, this.simulation);
  }

  get everybody(): readonly WorldClient[] {
    return this.clients;
  }

  /** Lets a run happen, and then holds everything against everything. @throws `Breach` */
  run({ deeds, schedule, takeover }: Run): void {
    for (let at = 0; at < this.clients.length; at++) {
      const total = userGroups(this.geometry) * this.geometry.groupPages;
      this.plan(
        at,
        (deeds[at] ?? []).map((number) => readDeed(number, this.geometry.groupPages, total)),
      );
    }
    const victim = takeover === undefined ? undefined : this.clients[takeover];
    if (victim !== undefined) this.simulation.addClient('U', [this.takeOver(victim)]);
    this.ending(() => this.#follow(schedule));
    settle(this);
  }

  #follow(schedule: readonly number[]): void {
    try {
      follow(this.simulation, schedule, this.#faults);
    } catch (error) {
      if (this.#progress || !(error instanceof Endless) || this.clients.every((client) => client.stands)) throw error;
      // Whoever waits for the dead goes on once they are declared dead, and cannot come back.
      for (const client of this.clients) if (!client.stands) this.bury(client);
      this.simulation.extend(limit);
      follow(this.simulation, []);
    }
  }

  /** Gives a client something to do. */
  plan(client: number, deeds: readonly Deed[]): void {
    const one = this.clients[client]!;
    for (const deed of deeds) {
      if (deed.kind !== 'rest') one.simulated.queue.push(this.deeds.operation(one, deed, one.coordinator));
    }
  }

  /** What comes to no end breaks the law that all does. */
  ending(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof Endless) throw new Breach('ends', error.message);
      throw error;
    }
  }

  /** A client does something while nobody else acts. */
  doAlone(at: number, deed: Exclude<Deed, { kind: 'rest' }>, told: (outcome: Outcome) => void): void {
    const client = this.clients[at]!;
    const operation = this.deeds.operation(client, deed, client.coordinator);
    const ended = (outcome: Outcome) => {
      operation.ended?.(outcome);
      told(outcome);
    };
    this.ending(() => this.#runAlone(client, { name: operation.name, start: operation.start, ended }));
  }

  /** Something that must go well with nobody else about. */
  alone(client: WorldClient, name: string, make: () => Protocol<unknown>): void {
    let failure: unknown;
    const start = (): Protocol<unknown> => client.coordinator?.coordinate(make()) ?? make();
    const ended = ({ error }: Outcome) => {
      failure = error;
    };
    this.#runAlone(client, { name, start, ended });
    if (failure !== undefined)
      throw new Breach('typed', `${client.name} ${name}, alone and without faults: ${String(failure)}`);
  }

  #runAlone(client: WorldClient, operation: Operation): void {
    const { clerk } = this;
    this.simulation.runAlone(client.simulated, operation, clerk && (() => clerk.attend()));
  }

  /** What a client's policy counts. */
  usage(at: number): Usage {
    return this.simulation.glance(this.clients[at]!.allocator.inspect());
  }

  settle(): void {
    settle(this);
  }

  /** Another client declares that principal dead. */
  takeOver(victim: WorldClient): Operation {
    const { memory } = this;
    const offset = principalWordOffset(this.geometry, victim.identity.principal);
    const dying = dyingWord(victim);
    const member = victim.simulated.binding!;
    return {
      name: `takes over from ${victim.name}`,
      *start(): Protocol<void> {
        // Who coordinates looks at members.
        if (victim.coordinator !== undefined) yield* exchange(member.offset, memory.load(member.offset), deadMember);
        const word = yield* loadWord(offset);
        if (word !== victim.identity.word) return;
        yield* exchange(offset, word, dying);
        yield { op: 'revoke', member };
      },
    };
  }

  /** Declares a client dead that crashed, and shuts it out. */
  bury(client: WorldClient): void {
    const member = client.simulated.binding!;
    this.memory.store(member.offset, deadMember);
    this.memory.store(principalWordOffset(this.geometry, client.identity.principal), dyingWord(client));
    this.simulation.revoke(member);
  }

  // ---- what is around deeds

  asks(client: WorldClient, request: AllocationRequest): Asking {
    const asking = { request, since: this.ledger.moment };
    client.asking.add(asking);
    return asking;
  }
  given(client: WorldClient, extent: Extent, asking: Asking, request: AllocationRequest): Holding {
    client.asking.delete(asking as DatedAsking);
    return this.ledger.handOut(client, extent, request);
  }
  refused(client: WorldClient, asking: Asking, code: ErrorCode): void {
    this.ledger.checkRefusal(client, asking as DatedAsking, code);
    client.asking.delete(asking as DatedAsking);
  }
  *holdings(client: WorldClient): Iterable<Holding> {
    for (const one of this.ledger.holdings) if (one.holder === client) yield one;
  }
  hold(holding: Holding): void {
    this.ledger.hold(holding);
  }
  letGo(holding: Holding): void {
    this.ledger.letGo(holding);
  }
  left(holding: Holding): void {
    this.ledger.left(holding);
  }
  leftOver({ page, pages }: Holding): void {
    for (let at = page; at < page + pages; at++) this.leftovers.add(at);
  }

  addName(_client: WorldClient, holding: Holding): undefined {
    this.#index++;
    this.ledger.name(holding);
  }
  /** All clients learn of it at once. */
  *removeName(_client: WorldClient, pick: number): Protocol<void> {
    const pages = [...this.ledger.named].sort((one, other) => one - other);
    if (pages.length === 0) return;
    const page = pages[pick % pages.length]!;
    const index = ++this.#index;
    this.ledger.named.delete(page);
    for (const one of this.clients) if (!one.simulated.dead) one.allocator.dismiss(page, 1, index);
  }
  *names(): Protocol<(page: number) => boolean> {
    return (page) => this.ledger.named.has(page);
  }
  index(): number {
    return this.#index;
  }
  nextIndex(): number {
    return ++this.#index;
  }

  victim(client: WorldClient, pick: number): { readonly known: WorldClient | undefined } {
    const dead = this.clients.filter((one) => one !== client && one.takenAt !== undefined && one.simulated.fenced);
    return { known: dead[pick % dead.length] };
  }
  recovers(_client: WorldClient, victim: Holder): void {
    for (const holding of this.ledger.holdings) if (holding.holder === victim) this.ledger.letGo(holding);
  }
  foreign(client: WorldClient, pick: number): Extent | undefined {
    const foreign = [...this.ledger.holdings].filter(({ holder }) => holder !== client);
    return foreign[pick % foreign.length]?.extent;
  }
  /** Where members wait for each other, who stands still for too long may be shut out by one that waits. */
  fenced(client: WorldClient): boolean {
    return client.takenAt !== undefined || client.simulated.fenced || client.declaredDead();
  }
  overtaken(client: WorldClient): boolean {
    return client.takenAt !== undefined;
  }
  /** An idle client agrees with the table. */
  finished(client: WorldClient): void {
    if (!client.stands || client.simulated.tasks.length > 0) return;
    const found = this.simulation.glance(client.allocator.validate());
    if (found.length === 0) return;
    throw new Breach('valid', `${client.name} finds: ${found.map(({ law, what }) => `${law}: ${what}`).join('; ')}`);
  }
}

/** The word of a member that was declared dead. */
export const deadMember = encodeMember({ state: memberState.fenced, incarnation: 1, beat: 0 });

/** The word of a principal that was declared dead. */
export function dyingWord({ identity }: Pick<Holder, 'identity'>): bigint {
  return encodePrincipal({ ...decodePrincipal(identity.word), state: principalState.dying });
}

/** What lies there, for people. */
export function placeName(geometry: Geometry, offset: number): string {
  const { principalOffset, groupOffset, arenaOffset, dataOffset, pageSize, groupCount, principalSlots } = geometry;
  if (offset >= dataOffset) return `page ${Math.floor((offset - dataOffset) / pageSize)}`;
  const named = (offset - arenaOffset) / 8;
  if (named >= 0 && named < userGroups(geometry) * geometry.groupPages) return `the name of page ${named}`;
  if (offset >= groupOffset && offset < groupOffset + groupCount * 8) return `group ${(offset - groupOffset) / 8}`;
  if (offset >= principalOffset && offset <= principalOffset + principalSlots * 8) {
    return `principal ${(offset - principalOffset) / 8}`;
  }
  return `offset ${offset}`;
}
