import {
  type Recollection,
  type Scene,
  type SimulatedClient,
  SimulatedMemory,
  Simulation,
} from '@exomem/conformance/simulator';
import {
  type AllocationPolicy,
  answerBodyOffset,
  answerWordOffset,
  atomic,
  controlFields,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  encodeSeat,
  type Geometry,
  groupWordOffset,
  incompatible,
  isExomemError,
  joinWord,
  memberFields,
  memberLineOffset,
  memberState,
  ownerHalf,
  pageBits,
  planGeometry,
  principalState,
  principalWordOffset,
  repeatBits,
  requestBodyOffset,
  requestWordOffset,
  seatOffset,
  userGroups,
} from '@exomem/core';
import { Actor } from './actor.js';
import { type Auditor, introduce } from './auditor.js';
import type { Invariant } from './invariants.js';
import { Judgement, type Moment } from './judgement.js';
import type { Mutation } from './mutation.js';
import type { Heard, Holdings } from './told.js';

export interface PlotOptions {
  /** Groups for users. */
  readonly groups?: number;
  readonly groupPages?: number;
  readonly reserve?: number;
  readonly members?: number;
  readonly principals?: number;
  readonly logSlots?: number;
  /** Bytes of a record arena. Default 8,192. */
  readonly arenaBytes?: number;
  /** Bytes of a line of the member table that are read at once. Default: all. */
  readonly memberGrain?: number;
  /** Bytes of a record that are read or written at once. Default: all. */
  readonly recordGrain?: number;
  /** Bytes of a half of a record arena that are used. Default: all. */
  readonly arena?: number;
  /** Group and principal words are read one by one; else a table at a time. */
  readonly wordByWord?: boolean;
  /** Pages are zeroed before they are free. */
  readonly wipe?: boolean;
  /** `wait`: nobody can be shut out, and whoever is declared dead goes on. Default `revoke`. */
  readonly exclusion?: 'revoke' | 'wait';
  /** The table is changed under the lock. */
  readonly locked?: boolean;
  /** Bytes of the redo slots of a member. Default 512. */
  readonly redoBytes?: number;
  /** Milliseconds. A plot with a lease has a clock; who watches waits for so long, by its own clock. */
  readonly lease?: number;
  readonly wait?: number;
  /** What a client takes the time for when the clock shows so many ticks. */
  readonly time?: (client: number, clock: number) => number;
  /** Whose words change how. Default `atomic`. */
  readonly policy?: AllocationPolicy;
  /** Member numbers are configured: nothing but own words changes. */
  readonly configured?: boolean;
  /** Looks at the answer to a request before it is given up, where words change by messages. */
  readonly patience?: number;
  readonly mutation?: Mutation;
  /** Holds what clients are told against the oracles of the audit, too. */
  readonly auditor?: Auditor;
  /** Makes the same plot once more. */
  readonly again?: () => Plot;
}

/** A very small region with some clients, from its beginning. */
export class Plot implements Scene<Holdings, Heard> {
  readonly geometry: Geometry;
  readonly memory: SimulatedMemory;
  readonly simulation: Simulation;
  readonly actors: Actor[] = [];
  readonly mortal = new Set<SimulatedClient>();
  readonly lossy = new Set<SimulatedClient>();
  readonly exclusion: 'revoke' | 'wait';
  readonly policy: AllocationPolicy;
  readonly patience: number;
  readonly configured: boolean;
  readonly wipe: boolean;
  readonly mutation: Mutation | undefined;
  readonly auditor: Auditor | undefined;
  readonly arenaBytes: number;
  readonly timed: boolean;
  readonly lease: number;
  readonly wait: number;
  readonly time: (client: number, clock: number) => number;
  readonly locked: boolean;
  readonly #again: (() => Plot) | undefined;
  #judge: Judgement | undefined;
  /** Set by a search: what must be true of its end beside the rest. */
  atEnd: Invariant<(moment: Moment) => string | undefined> | undefined;

  constructor(options: PlotOptions = {}) {
    const geometry = smallest(options);
    this.geometry = geometry;
    this.exclusion = options.exclusion ?? 'revoke';
    this.policy = options.policy ?? atomic;
    this.patience = options.patience ?? 2;
    this.configured = options.configured ?? false;
    this.wipe = options.wipe ?? false;
    this.mutation = options.mutation;
    this.auditor = options.auditor;
    this.arenaBytes = options.arena ?? geometry.arenaBytes / 2;
    const { lease = 0, wait = 0, time = (_client, clock) => clock } = options;
    this.locked = options.locked ?? false;
    this.timed = options.lease !== undefined;
    [this.lease, this.wait, this.time] = [lease, wait, time];
    this.memory = blank(geometry);
    if (this.auditor !== undefined) introduce(geometry, this.memory.bytes);
    const clean = BigInt(repeatBits(geometry.groupPages, pageBits.clean));
    for (let group = 0; group < geometry.groupCount; group++) {
      this.memory.store(groupWordOffset(geometry, group), clean);
    }
    const { memberGrain = 256, recordGrain = 4096, wordByWord = false } = options;
    this.simulation = new Simulation(this.memory, {
      timeless: true,
      timed: this.timed,
      grain: (offset) => {
        if (offset >= geometry.dataOffset) return 4096;
        if (offset >= geometry.arenaOffset) return recordGrain;
        if (offset >= geometry.principalOffset) return wordByWord ? 8 : 4096;
        return memberGrain;
      },
    });
    this.#again = options.again;
  }

  get bounds(): readonly number[] {
    const { controlOffset, memberOffset, principalOffset, groupOffset, logOffset, arenaOffset, dataOffset } =
      this.geometry;
    const principals = principalOffset - (principalOffset % 64);
    // The lock, and what is done under it: what others read seldom changes with them.
    const [lock, redo] = this.locked ? [[controlOffset + controlFields.lock], [this.geometry.redoOffset]] : [[], []];
    const { mailboxOffset } = this.geometry;
    return [
      controlOffset,
      ...lock,
      memberOffset,
      principals,
      groupOffset,
      logOffset,
      arenaOffset,
      ...redo,
      ...(mailboxOffset === 0 ? [] : [mailboxOffset]),
      dataOffset,
      this.reserveOffset,
    ];
  }
  get pagesFrom(): number {
    return this.geometry.dataOffset;
  }

  get judge(): Judgement {
    this.#judge ??= new Judgement(this, this.#again);
    return this.#judge;
  }

  /** What the pages of a file of that name may be full of. */
  letters(name: string): Set<string> {
    let letters = this.#letters.get(name);
    if (letters === undefined) this.#letters.set(name, (letters = new Set([name[0]!])));
    return letters;
  }
  readonly #letters = new Map<string, Set<string>>();

  hold(client: SimulatedClient): Holdings {
    return this.actors[client.index]!.hold();
  }
  hear(client: SimulatedClient): readonly Heard[] {
    return this.actors[client.index]!.hear();
  }
  recollect(client: SimulatedClient): Recollection | undefined {
    return this.actors[client.index]!.recollect();
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

  /** Who has the seat from the beginning. */
  seat({ member: { slot, incarnation } }: Actor): void {
    this.memory.store(seatOffset(this.geometry), encodeSeat({ term: 1, slot, incarnation }));
  }

  /** A group is that actor's from the beginning, with pages as that low half says. */
  lend({ identity: { principal, incarnation } }: Actor, group: number, low: number): void {
    this.memory.store(groupWordOffset(this.geometry, group), joinWord(ownerHalf(principal, incarnation), low));
  }

  /** Lets an actor do what it has to do so far, with nobody else in between: a preparation. */
  prepare(actor: Actor): void {
    const { simulated } = actor;
    while (simulated.tasks.length > 0 || simulated.queue.length > 0) {
      const next = this.simulation.actions().find((action) => {
        return ('task' in action ? action.task.client : action.client) === simulated;
      });
      this.simulation.perform(next!);
    }
    actor.hear();
  }

  /** Where the pages of the reserve begin. */
  get reserveOffset(): number {
    const { dataOffset, groupPages, pageSize } = this.geometry;
    return dataOffset + userGroups(this.geometry) * groupPages * pageSize;
  }

  name(offset: number): string {
    const { geometry } = this;
    const { memberOffset, principalOffset, groupOffset, logOffset, arenaOffset, dataOffset, controlOffset } = geometry;
    if (offset >= dataOffset) return `page ${(offset - dataOffset) / geometry.pageSize}`;
    if (this.locked && offset >= geometry.redoOffset) {
      const at = offset - geometry.redoOffset;
      return `redo slot ${Math.floor(at / geometry.redoBytes)}+${at % geometry.redoBytes}`;
    }
    if (geometry.mailboxOffset > 0 && offset >= geometry.mailboxOffset) return mailboxName(geometry, offset);
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
    if (offset === controlOffset + controlFields.lock) return 'the lock';
    return `offset ${offset}`;
  }
}

function mailboxName(geometry: Geometry, offset: number): string {
  if (offset === seatOffset(geometry)) return 'the seat';
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    if (offset === requestWordOffset(geometry, slot)) return `request ${slot}`;
    if (offset === answerWordOffset(geometry, slot)) return `answer ${slot}`;
    if (offset === requestBodyOffset(geometry, slot)) return `body of request ${slot}`;
    if (offset === answerBodyOffset(geometry, slot)) return `body of answer ${slot}`;
  }
  return `mailboxes+${offset - geometry.mailboxOffset}`;
}

/** The smallest region with exactly these tables. */
function smallest(options: PlotOptions): Geometry {
  const {
    groups = 3,
    groupPages = 2,
    reserve = 1,
    members = 3,
    principals = 4,
    logSlots = 8,
    arenaBytes = 8192,
    locked = false,
    policy = atomic,
  } = options;
  const redoBytes = locked ? (options.redoBytes ?? 512) : 0;
  const mailboxes = policy.feature === incompatible.message;
  const key = [groups, groupPages, reserve, members, principals, logSlots, arenaBytes, redoBytes, mailboxes].join();
  const known = geometries.get(key);
  if (known !== undefined) return known;
  const plan = {
    groupPages,
    memberSlots: members,
    principalSlots: principals,
    logSlots,
    arenaBytes,
    redoBytes,
    reserveGroups: reserve,
    mailboxes,
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
