import { type SimulatedClient, SimulatedMemory, Simulation } from '@exomem/conformance/simulator';
import {
  controlFields,
  type Extent,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  encodeState,
  type Geometry,
  groupWordOffset,
  type Identity,
  isExomemError,
  type LogRecord,
  logSlotOffset,
  memberFields,
  memberLineOffset,
  memberState,
  NamespaceReplica,
  pageBits,
  planGeometry,
  principalState,
  principalWordOffset,
  repeatBits,
  userGroups,
} from '@exomem/core';
import { Actor } from './actor.js';
import { always, atTheEnd, grows } from './invariants.js';
import type { Mutation } from './mutation.js';
import type { World } from './search.js';

export interface PlotOptions {
  /** Groups for users. */
  readonly groups?: number;
  readonly groupPages?: number;
  readonly reserve?: number;
  readonly members?: number;
  readonly principals?: number;
  readonly logSlots?: number;
  /** Bytes of a line of the member table that are read at once. Default: all. */
  readonly memberGrain?: number;
  /** Bytes of a record that are read or written at once. Default: all. */
  readonly recordGrain?: number;
  /** Bytes of a half of a record arena that are used. Default: all. */
  readonly arena?: number;
  /** Group and principal words are read one by one; else a table at a time. */
  readonly wordByWord?: boolean;
  readonly mutation?: Mutation;
  readonly chronicle?: boolean;
}

/** Something is not as it must be. */
export class Breach extends Error {
  override readonly name = 'Breach';
  constructor(law: string, what: string) {
    super(`${law}: ${what}`);
  }
}

/** A very small region with some clients, and what is known of both. */
export class Plot implements World {
  readonly geometry: Geometry;
  readonly memory: SimulatedMemory;
  readonly simulation: Simulation;
  readonly actors: Actor[] = [];
  readonly mortal = new Set<SimulatedClient>();
  readonly lossy = new Set<SimulatedClient>();
  readonly mutation: Mutation | undefined;
  readonly arenaBytes: number;
  /** Follows the log from its first record on; no client. */
  readonly witness: NamespaceReplica;
  /** Set by a search: what must be true of its end beside the rest. */
  atEnd: () => void = () => undefined;
  /** Set by a search: what else the future depends on. */
  more: () => string = () => '';
  /** The records that count, by index. */
  readonly records = new Map<number, LogRecord>();
  /** `principal.incarnation` -> the index of the record that fences it. */
  readonly fences = new Map<string, number>();
  readonly #sequences = new Map<string, number>();
  #hash = [0, 0];
  #changed: { offset: number; before: bigint; after: bigint }[] = [];

  constructor(options: PlotOptions = {}) {
    const geometry = smallest(options);
    this.geometry = geometry;
    this.mutation = options.mutation;
    this.arenaBytes = options.arena ?? geometry.arenaBytes / 2;
    this.memory = blank(geometry);
    const clean = BigInt(repeatBits(geometry.groupPages, pageBits.clean));
    for (let group = 0; group < geometry.groupCount; group++) {
      this.memory.store(groupWordOffset(geometry, group), clean);
    }
    this.memory.observe(0, geometry.regionBytes, (offset, before, after) => {
      this.#stir(offset, before);
      this.#stir(offset, after);
      this.#changed.push({ offset, before, after });
    });
    const { memberGrain = 256, recordGrain = 4096, wordByWord = false, chronicle } = options;
    this.simulation = new Simulation(this.memory, {
      timeless: true,
      remember: true,
      chronicle,
      namer: (offset) => this.name(offset),
      grain: (offset) => {
        if (offset >= geometry.dataOffset) return 4096;
        if (offset >= geometry.arenaOffset) return recordGrain;
        if (offset >= geometry.principalOffset) return wordByWord ? 8 : 4096;
        return memberGrain;
      },
    });
    this.witness = new NamespaceReplica(geometry);
    this.witness.onRecord = (record) => {
      const author = `${record.author}.${record.incarnation}`;
      if (this.fences.has(author) || (this.#sequences.get(author) ?? 0) >= record.sequence) return;
      this.#sequences.set(author, record.sequence);
      this.records.set(record.index, record);
      for (const operation of record.operations) {
        if (operation.op !== 'fence') continue;
        const fenced = `${operation.principal}.${operation.incarnation}`;
        if (!this.fences.has(fenced)) this.fences.set(fenced, record.index);
      }
    };
  }

  /** A client that is a member with a principal from the beginning; or, with `outside`, one that is neither yet. */
  actor(
    name: string,
    options: { readonly outside?: boolean; readonly policy?: number; readonly concurrency?: number } = {},
  ): Actor {
    const actor = new Actor(this, name, this.simulation.addClient(name, [], options.concurrency));
    this.actors.push(actor);
    if (options.outside) return actor;
    const slot = this.#slots++;
    const principal = slot + 1;
    const memberWord = encodeMember({ state: memberState.active, incarnation: 1, beat: 0 });
    const { policy = 0 } = options;
    const word = encodePrincipal({
      state: principalState.active,
      incarnation: 1,
      member: slot,
      memberIncarnation: 1,
      policy,
    });
    const line = memberLineOffset(this.geometry, slot);
    this.memory.store(line, memberWord);
    this.memory.store(line + memberFields.w1, encodeApplied(1, 1));
    this.memory.store(principalWordOffset(this.geometry, principal), word);
    actor.simulated.binding = { slot, incarnation: 1, offset: line };
    actor.enter({ slot, incarnation: 1, word: memberWord }, { principal, incarnation: 1, word });
    return actor;
  }
  #slots = 0;

  /** Ends the preparations: everything up to now was there from the beginning. */
  begin(): this {
    this.follow();
    this.#changed = [];
    return this;
  }

  /** Lets an actor do what it has to do so far, with nobody else in between: a preparation. */
  prepare({ simulated }: Actor): void {
    while (simulated.tasks.length > 0 || simulated.queue.length > 0) {
      const next = this.simulation.actions().find((action) => {
        return ('task' in action ? action.task.client : action.client) === simulated;
      });
      this.simulation.perform(next!);
    }
    simulated.told = '';
  }

  fingerprint(): string {
    const parts: unknown[] = [...this.#hash, this.more()];
    for (const { dead, fenced, told, limbo, tasks, queue } of this.simulation.clients) {
      parts.push(Number(dead), Number(fenced), queue.length, told);
      for (const one of limbo) parts.push(one.progress);
      for (const { pending } of tasks)
        parts.push(pending !== undefined && 'progress' in pending ? pending.progress : '');
    }
    for (const actor of this.actors) parts.push(actor.fingerprint);
    return parts.join('|');
  }

  after(client: SimulatedClient, judge: boolean): void {
    const changed = this.#changed;
    this.#changed = [];
    const { logOffset, dataOffset, controlOffset, memberOffset } = this.geometry;
    const reserve = this.reserveOffset;
    const inLog = (offset: number) => offset >= logOffset && offset < dataOffset;
    const inRoot = (offset: number) => offset >= controlOffset && offset < memberOffset;
    const names = changed.some(({ offset }) => inLog(offset) || inRoot(offset) || offset >= reserve);
    if (names) this.follow();
    for (const actor of this.actors) actor.look();
    if (!judge) return;
    const who = this.actors[client.index]!;
    for (const change of changed) {
      for (const { id, check } of grows) this.#hold(id, check(this, who, change));
    }
    if (names) this.#newcomer();
    if (changed.length > 0 || client.tasks.length === 0) {
      for (const { id, check } of always) this.#hold(id, check(this));
    }
  }

  finish(): void {
    this.atEnd();
    for (const { id, check } of atTheEnd) this.#hold(id, check(this));
  }

  #hold(id: string, what: string | undefined): void {
    if (what !== undefined) throw new Breach(id, what);
  }

  /**
   * Somebody acts for a principal that was another's, and has read what that one held.
   * @throws `Breach` of I5: what was given out is seen; what is seen was given out, or was just being taken or given back.
   */
  adopted(who: Actor, identity: Identity, extents: readonly Extent[]): void {
    let more = extents.length;
    for (const other of this.actors) {
      if (other === who) continue;
      const handles = other.handles.filter((handle) => handle.identity.principal === identity.principal);
      for (const { extent } of handles) {
        if (!extents.some(({ page, pages }) => page === extent.page && pages === extent.pages)) {
          throw new Breach(
            'I5',
            `${who.name} does not see the ${extent.pages} pages at ${extent.page} of ${other.name}`,
          );
        }
        more--;
      }
      other.handles = other.handles.filter((handle) => !handles.includes(handle));
    }
    if (more > 1) throw new Breach('I5', `${who.name} sees ${more} runs that nobody was given`);
    const sizes = new Set(this.actors.flatMap((actor) => [...actor.sizes]));
    const part = extents.find(({ pages }) => !sizes.has(pages));
    if (part !== undefined) throw new Breach('I5', `${who.name} sees a run of ${part.pages} pages: a part of one`);
    for (const extent of extents) who.handles.push({ extent, identity, named: false });
  }

  /** Where the pages of the reserve begin. */
  get reserveOffset(): number {
    const { dataOffset, groupPages, pageSize } = this.geometry;
    return dataOffset + userGroups(this.geometry) * groupPages * pageSize;
  }

  /** I7: whoever has followed all the way finds each record whole. */
  follow(): void {
    try {
      this.simulation.glance(this.witness.catchUp());
    } catch (error) {
      throw new Breach('I7', `the log cannot be followed: ${String(error)}`);
    }
  }

  /** I7 once more: who comes now sees the same as who has followed all the way. */
  #newcomer(): void {
    const replica = new NamespaceReplica(this.geometry);
    try {
      this.simulation.glance(replica.load());
      this.simulation.glance(replica.catchUp());
    } catch (error) {
      throw new Breach('I7', `a newcomer cannot load: ${String(error)}`);
    }
    const theirs = encodeState(replica.state);
    const ours = encodeState(this.witness.state);
    if (replica.index !== this.witness.index || Buffer.compare(theirs, ours) !== 0) {
      throw new Breach(
        'I7',
        `a newcomer at ${replica.index} sees another tree, fences or sequences than who followed to ${this.witness.index}`,
      );
    }
  }

  #stir(offset: number, word: bigint): void {
    const low = Number(word & 0xffff_ffffn);
    const high = Number(word >> 32n);
    this.#hash[0]! ^= mix(offset, low, high, 0x9e37_79b1);
    this.#hash[1]! ^= mix(offset, low, high, 0x85eb_ca6b);
  }

  name(offset: number): string {
    const { geometry } = this;
    const { memberOffset, principalOffset, groupOffset, logOffset, arenaOffset, dataOffset, controlOffset } = geometry;
    if (offset >= dataOffset) return `page ${(offset - dataOffset) / geometry.pageSize}`;
    if (offset >= arenaOffset) {
      const at = offset - arenaOffset;
      return `arena ${Math.floor(at / geometry.arenaBytes)}+${at % geometry.arenaBytes}`;
    }
    if (offset >= logOffset) return `log slot ${(offset - logOffset) / 8}`;
    if (offset >= groupOffset) return `group ${(offset - groupOffset) / 8}`;
    if (offset >= principalOffset) return `principal ${(offset - principalOffset) / 8}`;
    if (offset >= memberOffset) {
      const field = (offset - memberOffset) % 256;
      const what =
        field === 0 ? 'w0' : field === 64 ? 'w1' : field === 128 ? 'identity' : field === 192 ? 'wanted' : `+${field}`;
      return `member ${Math.floor((offset - memberOffset) / 256)} ${what}`;
    }
    if (offset === controlOffset + controlFields.root) return 'the root';
    return `offset ${offset}`;
  }

  groupWord(group: number): bigint {
    return this.memory.load(groupWordOffset(this.geometry, group));
  }
  principalWord(principal: number): bigint {
    return this.memory.load(principalWordOffset(this.geometry, principal));
  }
  memberWord(slot: number): bigint {
    return this.memory.load(memberLineOffset(this.geometry, slot));
  }
  slotWord(index: number): bigint {
    return this.memory.load(logSlotOffset(this.geometry, index));
  }
}

function mix(offset: number, low: number, high: number, seed: number): number {
  let hash = Math.imul(offset ^ seed, 0x9e37_79b1);
  hash = Math.imul(hash ^ low, 0x85eb_ca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash ^ high, 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** The smallest region with exactly these tables. */
function smallest(options: PlotOptions): Geometry {
  const { groups = 3, groupPages = 2, reserve = 1, members = 3, principals = 4, logSlots = 8 } = options;
  const key = [groups, groupPages, reserve, members, principals, logSlots].join();
  const known = geometries.get(key);
  if (known !== undefined) return known;
  const plan = {
    groupPages,
    memberSlots: members,
    principalSlots: principals,
    logSlots,
    arenaBytes: 8192,
    reserveGroups: reserve,
  };
  for (let size = 4096 * groupPages * (groups + reserve); ; size += 4096) {
    try {
      const geometry = planGeometry(size, plan);
      if (userGroups(geometry) !== groups) continue;
      geometries.set(key, geometry);
      return geometry;
    } catch (error) {
      if (!isExomemError(error, 'OutOfRange')) throw error;
    }
  }
}
const geometries = new Map<string, Geometry>();

/** One world at a time: its memory is used again. */
function blank(geometry: Geometry): SimulatedMemory {
  const memory = memories.get(geometry) ?? new SimulatedMemory(geometry.regionBytes);
  memories.set(geometry, memory);
  memory.watch = undefined;
  memory.bytes.fill(0);
  return memory;
}
const memories = new Map<Geometry, SimulatedMemory>();
