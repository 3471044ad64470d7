import {
  type AllocationPolicy,
  type AllocationRequest,
  type Allocator,
  countUsage,
  decodePrincipal,
  type ErrorCode,
  type Extent,
  encodePrincipal,
  exchange,
  type Geometry,
  groupWordOffset,
  isExomemError,
  loadWord,
  type Protocol,
  pageOffset,
  planGeometry,
  principalState,
  principalWordOffset,
  renew,
  type Usage,
  userGroups,
  write,
} from '@exomem/core';
import {
  Endless,
  type Faults,
  follow,
  noFaults,
  type Operation,
  type Outcome,
  type SimulatedClient,
  SimulatedMemory,
  Simulation,
} from '../simulator/index.js';
import { Breach } from './law.js';
import { type Asking, type Holder, type Holding, Ledger } from './ledger.js';
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
  readonly grain?: number;
  readonly remember?: boolean;
}

/** Steps that a run may take. */
const limit = 6_000;
/** Later than any record of the log. */
const everApplied = Number.MAX_SAFE_INTEGER;

class WorldClient implements Holder {
  takenAt: number | undefined;
  readonly asking = new Set<Asking>();
  readonly freed: Extent[] = [];
  simulated!: SimulatedClient;
  constructor(
    readonly name: string,
    readonly tag: number,
    readonly identity: Holder['identity'],
    readonly allocator: Allocator,
  ) {}

  /** Whether what it does still counts: it lives, and its principal is its own. */
  get stands(): boolean {
    return this.takenAt === undefined && !this.simulated.dead;
  }
}

/** Some clients of a policy on one small region in the simulator, watched by a ledger. */
export class World {
  readonly geometry: Geometry;
  readonly simulation: Simulation;
  readonly ledger: Ledger;
  readonly clients: WorldClient[] = [];
  readonly #memory: SimulatedMemory;
  readonly #faults: Faults;
  /** The index of the last record of the log that there is not. */
  #index = 0;

  constructor(policy: AllocationPolicy, clients: number, options: WorldOptions = {}) {
    const { groups = 6, groupPages = 4, clean = false, concurrency = 1, faults = noFaults } = options;
    this.#faults = faults;
    this.geometry = smallRegion(groups, groupPages);
    this.#memory = new SimulatedMemory(this.geometry.regionBytes);
    if (clean) {
      for (let group = 0; group < groups; group++) {
        const low = (0x5555_5555 & ~(2 ** (32 - 2 * groupPages) - 1)) >>> 0;
        this.#memory.store(groupWordOffset(this.geometry, group), BigInt(low));
      }
    } else {
      this.#memory.bytes.fill(0xee, this.geometry.dataOffset, this.geometry.copyOffset);
    }
    this.simulation = new Simulation(this.#memory, { ...options, limit, namer: (offset) => this.#name(offset) });
    this.ledger = new Ledger(this.geometry, this.#memory, this.simulation);
    for (let at = 0; at < clients; at++) {
      const word = encodePrincipal({
        state: principalState.active,
        incarnation: 1,
        member: at + 1,
        memberIncarnation: 1,
        policy: 0,
      });
      const identity = { principal: at + 1, incarnation: 1, word };
      this.#memory.store(principalWordOffset(this.geometry, at + 1), word);
      const allocator = policy.create({ geometry: this.geometry, identity });
      const client = new WorldClient('ABCDEFGH'[at]!, 0x10 + at, identity, allocator);
      client.simulated = this.simulation.addClient(client.name, [], concurrency);
      client.simulated.binding = { slot: at, incarnation: 1, offset: 0 };
      this.clients.push(client);
      this.ledger.enter(client);
    }
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
    this.#ending(() => follow(this.simulation, schedule, this.#faults));
    this.settle();
  }

  /** Gives a client something to do. */
  plan(client: number, deeds: readonly Deed[]): void {
    const one = this.clients[client]!;
    for (const deed of deeds) if (deed.kind !== 'rest') one.simulated.queue.push(this.operation(one, deed));
  }

  /** What the judgement of the future depends on, beside what clients were told. */
  memo(): string {
    return this.ledger.memo(this.clients);
  }

  /** When all is quiet: repairs, judges and sweeps, holds all against the ledger; then everybody leaves. */
  settle(): void {
    const standing = this.clients.filter((client) => client.stands);
    const recoverer = standing[0];
    if (recoverer === undefined) return;
    this.#ending(() => {
      this.ledger.allLeft();
      for (const client of this.clients) {
        if (client.stands) continue;
        this.#bury(client);
        this.#alone(recoverer, `recovers what ${client.name} held`, () => this.#recovering(recoverer, client));
      }
      for (const client of standing) this.#alone(client, 'looks around', () => this.#lookAround(client));
      for (const client of standing) this.#settleHoldings(client);
      this.ledger.checkAll();
      for (const client of standing) this.#checkCounts(client);
      this.#checkTotal();
      for (const client of standing) this.#validate(client);
      for (const client of standing) this.#alone(client, 'leaves', () => this.#leave(client));
      this.#checkReturned(standing);
    });
  }

  #ending(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error instanceof Endless) throw new Breach('ends', error.message);
      throw error;
    }
  }

  // ---- deeds

  operation(client: WorldClient, deed: Exclude<Deed, { kind: 'rest' }>): Operation {
    const operation = this.#operation(client, deed);
    return {
      name: operation.name,
      start: () => operation.start(),
      ended: (outcome) => {
        operation.ended?.(outcome);
        this.#validate(client);
      },
    };
  }

  #operation(client: WorldClient, deed: Exclude<Deed, { kind: 'rest' }>): Operation {
    switch (deed.kind) {
      case 'allocate':
        return this.#allocate(client, deed);
      case 'free':
        return this.#free(client, deed.pick);
      case 'freeAgain':
        return this.#freeAgain(client, deed.pick);
      case 'freeForeign':
        return this.#freeForeign(client, deed.pick);
      case 'withhold':
        return this.#withhold(client, deed.pick);
      case 'name':
      case 'release':
        return this.#decide(client, deed.kind, deed.pick);
      case 'unname':
        return this.#unname(client, deed.pick);
      case 'giveRoom':
        return this.#giveRoom(client, deed.pick);
      case 'recover':
        return this.#recover(client, deed.pick);
      case 'judge':
        return this.#plain(client, 'looks around', () => this.#lookAround(client));
    }
  }

  #allocate(client: WorldClient, deed: Extract<Deed, { kind: 'allocate' }>): Operation {
    const { pages, initialise, named, writes } = deed;
    const request: AllocationRequest = {
      pages,
      initialise,
      timeout: Number.MAX_SAFE_INTEGER,
      ...(named ? { named } : {}),
      ...(deed.alignment > 1 ? { alignment: deed.alignment * this.geometry.pageSize } : {}),
    };
    let asking: Asking;
    const what = `allocates ${pages} ${named ? 'named ' : ''}(${initialise})`;
    return {
      name: what,
      start: () => {
        asking = { request, since: this.ledger.moment };
        client.asking.add(asking);
        return this.#allocating(client, asking, writes || initialise === 'caller');
      },
      ended: ({ error }) => {
        // One that gave up has perhaps claimed something, which is shown until the client has repaired it.
        if (error === undefined) return;
        this.#checkRefused(client, what, error, ['RegionFull', 'Fragmented']);
        if (isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented')) {
          this.ledger.checkRefusal(client, asking, error.code);
          client.asking.delete(asking);
        }
      },
    };
  }

  *#allocating(client: WorldClient, asking: Asking, writes: boolean): Protocol<void> {
    const { request } = asking;
    const extent = yield* client.allocator.allocate(request);
    client.asking.delete(asking);
    const holding = this.ledger.handOut(client, extent, request);
    const why = client.allocator.explain(extent);
    if (!why.includes(String(extent.page))) throw new Breach('explained', `of page ${extent.page} it says: ${why}`);
    if (!writes) return;
    holding.busy = true;
    try {
      const { pageSize } = this.geometry;
      const bytes = new Uint8Array(extent.pages * pageSize).fill(client.tag);
      yield* this.#surely(write(pageOffset(this.geometry, extent.page), bytes));
    } finally {
      holding.busy = false;
    }
  }

  *#surely(step: ReturnType<typeof write>): Protocol<void> {
    for (;;) {
      try {
        yield step;
        return;
      } catch (error) {
        if (!isExomemError(error, 'OutcomeUnknown')) throw error;
        yield renew;
      }
    }
  }

  #free(client: WorldClient, pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: 'frees',
      start: () => {
        holding = this.#pick(client, pick, (one) => one.state === 'live' || one.state === 'unsure');
        if (holding === undefined) return undefined;
        this.ledger.letGo(holding);
        return client.allocator.free(holding.extent);
      },
      ended: ({ error }) => {
        if (error === undefined) {
          this.ledger.left(holding!);
          client.freed.push(holding!.extent);
          return;
        }
        // Broken off: it shows until the client has repaired it.
        this.#checkRefused(client, 'frees', error, []);
        if (!holding!.extent.live || client.takenAt !== undefined) return;
        holding!.state = 'unsure';
        this.ledger.hold(holding!);
      },
    };
  }

  #freeAgain(client: WorldClient, pick: number): Operation {
    return this.#refused('stale', 'StaleHandle', 'frees again', () => {
      const extent = client.freed[pick % client.freed.length];
      return extent && client.allocator.free(extent);
    });
  }

  #freeForeign(client: WorldClient, pick: number): Operation {
    return this.#refused('foreign', 'PermissionDenied', 'frees what is not its own', () => {
      const foreign = [...this.ledger.holdings].filter(({ holder }) => holder !== client);
      const holding = foreign[pick % foreign.length];
      return holding && client.allocator.free(holding.extent);
    });
  }

  /** Something that must be refused before its first step. */
  #refused(law: 'stale' | 'foreign', code: ErrorCode, name: string, make: () => Protocol<void> | undefined): Operation {
    let turn = 0;
    return {
      name,
      start: () => {
        turn = this.simulation.turn;
        return make();
      },
      ended: ({ error }) => {
        if (!isExomemError(error, code)) throw new Breach(law, `${name}: ${String(error ?? 'it was accepted')}`);
        if (this.simulation.turn !== turn) throw new Breach(law, `${name}: it was refused, but after some steps`);
      },
    };
  }

  #withhold(client: WorldClient, pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: 'withholds',
      start: () => {
        holding = this.#pick(client, pick, (one) => one.state === 'live');
        if (holding === undefined) return undefined;
        holding.state = 'unsure';
        holding.busy = true;
        return client.allocator.withhold(holding.extent);
      },
      ended: ({ error }) => {
        holding!.busy = false;
        if (error === undefined) holding!.state = 'constructing';
        else this.#checkRefused(client, 'withholds', error, []);
      },
    };
  }

  /** A construction is named, or given up. */
  #decide(client: WorldClient, kind: 'name' | 'release', pick: number): Operation {
    let holding: Holding | undefined;
    return {
      name: kind === 'name' ? 'names' : 'gives up a construction',
      start: () => {
        holding = this.#pick(client, pick, (one) => one.state === 'constructing');
        if (holding === undefined) return undefined;
        const { page, pages } = holding;
        if (kind === 'release') {
          this.ledger.letGo(holding);
          return client.allocator.release(page, pages);
        }
        this.#index++;
        this.ledger.name(holding);
        client.allocator.settle(page, pages);
        return undefined;
      },
      ended: ({ error }) => {
        if (error === undefined) return;
        // Given up in the middle: what is left of it is still a construction of its own.
        this.#checkRefused(client, 'gives up a construction', error, []);
        for (let at = holding!.page; at < holding!.page + holding!.pages; at++) this.#leftovers.add(at);
      },
    };
  }
  /** Pages of constructions whose release was broken off: free or withheld, nobody can say. */
  readonly #leftovers = new Set<number>();

  /** A name goes away, and all clients learn of it; whoever keeps the pages frees them. */
  #unname(client: WorldClient, pick: number): Operation {
    return this.#plain(client, 'removes a name', () => {
      const pages = [...this.ledger.named].sort((one, other) => one - other);
      if (pages.length > 0) {
        const page = pages[pick % pages.length]!;
        const index = ++this.#index;
        this.ledger.named.delete(page);
        for (const one of this.clients) if (!one.simulated.dead) one.allocator.dismiss(page, 1, index);
      }
      return client.allocator.sweep(everApplied);
    });
  }

  #giveRoom(client: WorldClient, pick: number): Operation {
    const to = this.clients[pick % this.clients.length]!;
    const pages = 1 + (Math.floor(pick / this.clients.length) % 2);
    return this.#plain(client, `gives room to ${to.name}`, () => client.allocator.giveRoom(to.identity, pages));
  }

  *#lookAround(client: WorldClient): Protocol<void> {
    const { allocator } = client;
    yield* allocator.discover();
    allocator.judge(allocator.suspects(), (page) => this.ledger.named.has(page), this.#index);
    yield* allocator.sweep(everApplied);
  }

  #plain(client: WorldClient, name: string, make: () => Protocol<unknown> | undefined): Operation {
    return {
      name,
      start: make,
      ended: ({ error }) => {
        if (error !== undefined) this.#checkRefused(client, name, error, []);
      },
    };
  }

  /** Another client declares that principal dead. */
  takeOver(victim: WorldClient): Operation {
    const offset = principalWordOffset(this.geometry, victim.identity.principal);
    const dying = encodePrincipal({ ...decodePrincipal(victim.identity.word), state: principalState.dying });
    return {
      name: `takes over from ${victim.name}`,
      *start(): Protocol<void> {
        const word = yield* loadWord(offset);
        if (word !== victim.identity.word) return;
        yield* exchange(offset, word, dying);
        yield { op: 'revoke', member: victim.simulated.binding! };
      },
    };
  }

  /** What a dead client held becomes free; what has a name, this client's to keep. */
  #recover(client: WorldClient, pick: number): Operation {
    return this.#plain(client, 'recovers what the dead held', () => {
      const dead = this.clients.filter((one) => one !== client && one.takenAt !== undefined && one.simulated.fenced);
      const victim = dead[pick % dead.length];
      return victim && this.#recovering(client, victim);
    });
  }

  *#recovering(client: WorldClient, victim: WorldClient): Protocol<void> {
    for (const holding of this.ledger.holdings) if (holding.holder === victim) this.ledger.letGo(holding);
    yield* client.allocator.recover(victim.identity);
    yield* this.#lookAround(client);
  }

  #pick(client: WorldClient, pick: number, suits: (holding: Holding) => boolean): Holding | undefined {
    const own = [...this.ledger.holdings].filter((one) => one.holder === client && !one.busy && suits(one));
    return own[pick % own.length];
  }

  #checkRefused(client: WorldClient, what: string, error: unknown, codes: readonly ErrorCode[]): void {
    const always: readonly ErrorCode[] = ['Aborted', 'OutcomeUnknown'];
    const code = isExomemError(error) ? error.code : undefined;
    if (code === 'Fenced' && client.takenAt !== undefined) return;
    if (code !== undefined && [...always, ...codes].includes(code)) return;
    throw new Breach('typed', `${client.name} ${what}: ${code}: ${String(error)}`);
  }

  /** A client does something while nobody else acts. */
  doAlone(at: number, deed: Exclude<Deed, { kind: 'rest' }>, told: (outcome: Outcome) => void): void {
    const client = this.clients[at]!;
    const operation = this.operation(client, deed);
    const ended = (outcome: Outcome) => {
      operation.ended?.(outcome);
      told(outcome);
    };
    this.#ending(() =>
      this.simulation.runAlone(client.simulated, { name: operation.name, start: operation.start, ended }),
    );
  }

  /** What a client's policy counts. */
  usage(at: number): Usage {
    return this.simulation.glance(this.clients[at]!.allocator.inspect());
  }

  // ---- when all is quiet

  #alone(client: WorldClient, name: string, make: () => Protocol<unknown>): void {
    let failure: unknown;
    const ended = ({ error }: Outcome) => {
      failure = error;
    };
    this.simulation.runAlone(client.simulated, { name, start: make, ended });
    if (failure !== undefined)
      throw new Breach('typed', `${client.name} ${name}, alone and without faults: ${String(failure)}`);
  }

  #settleHoldings(client: WorldClient): void {
    client.asking.clear();
    for (const holding of this.ledger.holdings) {
      if (holding.holder === client && holding.state === 'unsure') holding.state = 'live';
    }
  }

  #checkCounts(client: WorldClient): void {
    const { principals } = countUsage(this.#table(), this.geometry.groupPages);
    const { held = 0, withheld = 0 } = principals.get(client.identity.principal) ?? {};
    let [live, constructing] = [0, 0];
    for (const { holder, state, pages } of this.ledger.holdings) {
      if (holder !== client) continue;
      if (state === 'live') live += pages;
      else constructing += pages;
    }
    const kept = [...this.ledger.named].filter((page) => this.#ownerOf(page) === client.identity.principal).length;
    const left = [...this.#leftovers].filter((page) => this.#ownerOf(page) === client.identity.principal).length;
    if (held !== live) throw new Breach('conserved', `${client.name} holds ${live} pages, the bytes count ${held}`);
    if (withheld < constructing + kept || withheld > constructing + kept + left) {
      throw new Breach(
        'conserved',
        `${client.name} builds ${constructing} pages and keeps ${kept}, the bytes count ${withheld}`,
      );
    }
  }

  #checkTotal(): void {
    const usage = countUsage(this.#table(), this.geometry.groupPages);
    const { total, free, room, held, withheld } = usage;
    const sum = free + room + held + withheld;
    if (sum !== total || total !== userGroups(this.geometry) * this.geometry.groupPages) {
      throw new Breach(
        'conserved',
        `${free} free + ${room} room + ${held} held + ${withheld} withheld is not ${total}`,
      );
    }
  }

  /** An idle client agrees with the table. */
  #validate(client: WorldClient): void {
    if (!client.stands || client.simulated.tasks.length > 0) return;
    const found = this.simulation.glance(client.allocator.validate());
    if (found.length === 0) return;
    throw new Breach('valid', `${client.name} finds: ${found.map(({ law, what }) => `${law}: ${what}`).join('; ')}`);
  }

  /** Declares a client dead that crashed, and shuts it out. */
  #bury(client: WorldClient): void {
    const { principal, word } = client.identity;
    const dying = encodePrincipal({ ...decodePrincipal(word), state: principalState.dying });
    this.#memory.store(principalWordOffset(this.geometry, principal), dying);
    this.simulation.revoke(client.simulated.binding!);
  }

  *#leave(client: WorldClient): Protocol<void> {
    const { allocator } = client;
    const holdings = [...this.ledger.holdings].filter(({ holder }) => holder === client);
    for (const [at, holding] of holdings.entries()) {
      this.ledger.letGo(holding);
      // Half of it by hand; the rest is given back by leaving.
      if (at % 2 === 1) continue;
      if (holding.state === 'constructing') yield* allocator.release(holding.page, holding.pages);
      else yield* allocator.free(holding.extent);
    }
    yield* allocator.surrender();
    this.#index++;
    for (const page of this.ledger.named) allocator.dismiss(page, 1, this.#index);
    for (const page of [...this.ledger.named]) {
      if (this.#ownerOf(page) === client.identity.principal) this.ledger.named.delete(page);
    }
    yield* allocator.sweep(everApplied);
    yield* allocator.surrender();
  }

  #checkReturned(standing: readonly WorldClient[]): void {
    const { free, total, principals } = countUsage(this.#table(), this.geometry.groupPages);
    for (const client of standing) {
      const left = principals.get(client.identity.principal);
      if (left !== undefined)
        throw new Breach('returned', `${client.name} has left, and still owns ${left.groups} groups`);
      if (!client.allocator.empty)
        throw new Breach('returned', `${client.name} has left, and says that it is not empty`);
    }
    if (free !== total)
      throw new Breach('returned', `all have left or are dead, and ${free} of ${total} pages are free`);
  }

  #table(): Uint32Array {
    return new Uint32Array(this.#memory.bytes.buffer, this.geometry.groupOffset, 2 * userGroups(this.geometry));
  }

  #ownerOf(page: number): number {
    const group = Math.floor(page / this.geometry.groupPages);
    return Number(this.#memory.load(groupWordOffset(this.geometry, group)) >> 48n);
  }

  #name(offset: number): string {
    const { principalOffset, groupOffset, dataOffset, pageSize, groupCount, principalSlots } = this.geometry;
    if (offset >= dataOffset) return `page ${Math.floor((offset - dataOffset) / pageSize)}`;
    if (offset >= groupOffset && offset < groupOffset + groupCount * 8) return `group ${(offset - groupOffset) / 8}`;
    if (offset >= principalOffset && offset <= principalOffset + principalSlots * 8) {
      return `principal ${(offset - principalOffset) / 8}`;
    }
    return `offset ${offset}`;
  }
}

const regions = new Map<string, Geometry>();

/** A region with exactly so many groups for its users. */
export function smallRegion(groups: number, groupPages: number): Geometry {
  const key = `${groups}x${groupPages}`;
  let geometry = regions.get(key);
  if (geometry === undefined) regions.set(key, (geometry = planSmallRegion(groups, groupPages)));
  return geometry;
}

function planSmallRegion(groups: number, groupPages: number): Geometry {
  const options = { groupPages, memberSlots: 2, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 };
  const groupBytes = groupPages * 4096;
  for (let size = groupBytes * (groups + 1); ; size += 4096) {
    try {
      const geometry = planGeometry(size, options);
      if (userGroups(geometry) === groups) return geometry;
    } catch (error) {
      if (!isExomemError(error, 'OutOfRange')) throw error;
    }
  }
}
