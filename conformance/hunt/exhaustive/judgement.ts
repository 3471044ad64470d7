import {
  glance,
  type Judge,
  type Local,
  type Moments,
  type World,
  type WorldChange,
} from '@exomem/conformance/simulator';
import {
  controlFields,
  decodeLock,
  decodeMember,
  decodePrincipal,
  decodeRedo,
  type Geometry,
  groupWordOffset,
  logSlotOffset,
  memberLineOffset,
  memberState,
  pageOffset,
  principalState,
  principalWordOffset,
  type RedoRecord,
  redoPlace,
  userGroups,
} from '@exomem/core';
import type { Actor } from './actor.js';
import { actorOf } from './actor.js';
import { always, atTheEnd, grows, touched } from './invariants.js';
import { mortem } from './mortem.js';
import type { Plot } from './plot.js';
import { Breach, type Heard, type Held, type Holdings } from './told.js';
import { type Seen, Witness } from './witness.js';

/** A client, at a moment. */
export interface Client extends Holdings {
  readonly name: string;
  readonly index: number;
  /** It may still touch what it was given: nobody has shut it out. */
  readonly stands: boolean;
  readonly dead: boolean;
}

/** A moment of a world, as the invariants look at it. */
export interface Moment {
  /** Nobody can be shut out: what the dead had sent may land at any time. */
  readonly waits: boolean;
  readonly geometry: Geometry;
  readonly clients: readonly Client[];
  readonly seen: Seen;
  groupWord(group: number): bigint;
  principalWord(principal: number): bigint;
  memberWord(slot: number): bigint;
  root(): bigint;
  /** The word of the lock, in a plot with one. */
  lock(): bigint;
  /** What the holder of the lock with that word has written. */
  redo(lock: bigint): RedoRecord | undefined;
  /** Whether all bytes of a page are 0. */
  isZero(page: number): boolean;
  /** The whole of it. */
  readonly world: World<Holdings, Heard>;
  readonly plot: Plot;
  /** There was an instant without room since that client began to look for some. */
  isFull(client: Client): boolean;
  /** Somebody has adopted that principal. */
  isAdopted(principal: number): boolean;
  /** What that client takes the time for, milliseconds. */
  now(client: Client): number;
  /** What a client was given and nobody has taken over from it. */
  handlesOf(client: Client): readonly Held[];
}

/** What the judgement of the future depends on beside what clients were told. */
interface Memo {
  readonly seen: number;
  /** A bit for each client: since it began to look for room there was an instant without any. */
  readonly full: number;
  /** For each principal who has adopted it last, +1; 0: nobody. */
  readonly holders: readonly number[];
}

/** Holds a plot against the invariants, at each of its moments. */
export class Judgement implements Judge<Holdings, Heard>, Moment {
  readonly geometry: Geometry;
  readonly #plot: Plot;
  readonly #again: (() => Plot) | undefined;
  readonly #witness: Witness;
  readonly #memos: Memo[] = [];
  readonly #memoNumbers = new Map<string, number>();
  readonly #ends = new Map<number, string | undefined>();
  readonly #known = new Map<string, string | undefined>();
  #world!: World<Holdings, Heard>;
  #memo!: Memo;
  #sections!: {
    readonly names: readonly number[];
    readonly groups: number;
    readonly data: number;
    readonly tables: readonly number[];
  };
  clients: Client[] = [];
  readonly waits: boolean;

  constructor(plot: Plot, again?: () => Plot) {
    this.#plot = plot;
    this.#again = again;
    this.geometry = plot.geometry;
    this.waits = plot.exclusion === 'wait';
    this.#witness = new Witness(plot.geometry);
  }

  // ---- the moment

  get #moments(): Moments {
    return this.#world.moments;
  }
  get seen(): Seen {
    return this.#witness.at(this.#memo.seen);
  }
  groupWord(group: number): bigint {
    return this.#moments.load(this.#world.region, groupWordOffset(this.geometry, group));
  }
  principalWord(principal: number): bigint {
    return this.#moments.load(this.#world.region, principalWordOffset(this.geometry, principal));
  }
  memberWord(slot: number): bigint {
    return this.#moments.load(this.#world.region, memberLineOffset(this.geometry, slot));
  }
  slotWord(index: number): bigint {
    return this.#moments.load(this.#world.region, logSlotOffset(this.geometry, index));
  }
  root(): bigint {
    return this.#moments.load(this.#world.region, this.geometry.controlOffset);
  }
  lock(): bigint {
    return this.#moments.load(this.#world.region, this.geometry.controlOffset + controlFields.lock);
  }
  redo(word: bigint): RedoRecord | undefined {
    const { holder, token } = decodeLock(word);
    const { offset, length } = redoPlace(this.geometry, holder, token);
    const bytes = new Uint8Array(length);
    this.#moments.read(this.#world.region, offset, bytes);
    return decodeRedo(bytes, token, this.geometry.groupCount);
  }
  isZero(page: number): boolean {
    const bytes = new Uint8Array(this.geometry.pageSize);
    this.#moments.read(this.#world.region, pageOffset(this.geometry, page), bytes);
    return bytes.every((byte) => byte === 0);
  }
  get world(): World<Holdings, Heard> {
    return this.#world;
  }
  get plot(): Plot {
    return this.#plot;
  }
  isFull({ index }: Client): boolean {
    return (this.#memo.full & (1 << index)) !== 0;
  }
  isAdopted(principal: number): boolean {
    return this.#memo.holders[principal] !== 0;
  }
  now({ index }: Client): number {
    return this.#plot.time(index, this.#world.clock);
  }
  handlesOf({ index, handles }: Client): readonly Held[] {
    const { holders } = this.#memo;
    for (const { principal } of handles) {
      const holder = holders[principal]!;
      if (holder !== 0 && holder !== index + 1)
        return handles.filter((one) => holders[one.principal] === 0 || holders[one.principal] === index + 1);
    }
    return handles;
  }

  #look(world: World<Holdings, Heard>): void {
    this.#world = world;
    const { locals } = world;
    for (let at = 0; at < locals.length; at++) this.clients[at] = this.#standing(this.#client(locals[at]!));
  }

  /** Where nobody is shut out, who was declared dead may touch nothing any more all the same: an observer has waited for that. */
  #standing(client: Client): Client {
    if (!this.waits || !client.stands) return client;
    const { state, incarnation } = decodeMember(this.memberWord(client.member!.slot));
    const alive = state === memberState.joining || state === memberState.active;
    return alive && incarnation === client.member!.incarnation ? client : { ...client, stands: false };
  }

  #client(local: Local<Holdings, Heard>): Client {
    if (local.view !== undefined) return local.view as Client;
    const { held } = local.node;
    const { name } = this.#plot.actors[local.index]!;
    const client: Client = {
      ...held,
      name,
      index: local.index,
      stands: held.member !== undefined && !local.fenced,
      dead: local.dead,
    };
    local.view = client;
    return client;
  }

  // ---- the judge

  begin(world: World<Holdings, Heard>): number {
    const { controlOffset, memberOffset, groupOffset, logOffset, arenaOffset, principalOffset } = this.geometry;
    const section = (offset: number): number => world.moments.sectionAt(offset);
    const reserve = section(this.#plot.reserveOffset);
    const [groups, control, log, arena] = [groupOffset, controlOffset, logOffset, arenaOffset].map(section) as [
      number,
      number,
      number,
      number,
    ];
    this.#sections = {
      groups,
      data: section(this.geometry.dataOffset),
      names: [control, log, arena, reserve],
      tables: [
        control,
        section(controlOffset + controlFields.lock),
        section(memberOffset),
        section(principalOffset),
        groups,
        log,
      ],
    };
    const holders = new Array(this.geometry.principalSlots + 1).fill(0);
    this.#memo = { seen: this.#witness.first, full: 0, holders };
    this.#look(world);
    const seen = this.#follow(this.#memo.seen);
    return this.#number({ seen, full: 0, holders });
  }

  after(world: World<Holdings, Heard>, change: WorldChange<Heard>): number {
    const before = this.#memos[world.memo]!;
    this.#memo = before;
    this.#look(world);
    const changed = change.length > 0;
    if (!changed && !change.told) return world.memo;
    const at = changed ? world.moments.sectionAt(change.offset) : -1;
    let { seen, holders } = before;
    const { names, groups, tables, data } = this.#sections;
    if (names.includes(at)) {
      seen = this.#follow(seen);
      this.#memo = { ...before, seen };
    }
    const { auditor } = this.#plot;
    for (const heard of change.heard) {
      auditor?.heard(this, change, heard);
      holders = this.#hear(change, heard, holders);
    }
    if (changed) auditor?.changed(this, change);
    const full = this.#full(before.full, change, at === groups);
    let number = world.memo;
    if (seen !== before.seen || full !== before.full || holders !== before.holders) {
      this.#memo = { seen, full, holders };
      number = this.#number(this.#memo);
    }
    if (tables.includes(at)) this.#grown(change);
    if (at === data && this.#plot.exclusion === 'revoke')
      hold('I9', touched(this, this.clients[change.actor]!, change.offset));
    if (at === groups || seen !== before.seen || change.told) {
      for (const { id, check } of always) hold(id, check(this));
    }
    return number;
  }

  finish(world: World<Holdings, Heard>): void {
    this.#memo = this.#memos[world.memo]!;
    this.#look(world);
    const { atEnd } = this.#plot;
    for (const { id, check } of atEnd === undefined ? atTheEnd : [...atTheEnd, atEnd]) hold(id, check(this));
    this.#plot.auditor?.ended(this);
    const { region, moments, locals } = world;
    for (const local of locals) {
      const client = this.clients[local.index]!;
      if (client.member === undefined || !client.stands || client.gone || client.left || client.dead) continue;
      // What it knows of its words is true: it is looked at once for what is to be known and what is there.
      const key = `${local.id}.${local.index}|${moments.section(region, this.#sections.groups)}`;
      let what = this.#known.get(key);
      if (what === undefined && !this.#known.has(key)) {
        what = this.#violation(world, local);
        this.#known.set(key, what);
      }
      hold('I3', what && `${client.name}: ${what}`);
    }
    if (this.#again === undefined) return;
    let left = this.#ends.get(region);
    if (left === undefined && !this.#ends.has(region)) {
      left = mortem(this.#again(), (bytes) => moments.restore(region, bytes));
      this.#ends.set(region, left);
    }
    hold('I10', left);
  }

  epitaph(world: World<Holdings, Heard>, local: Local<Holdings, Heard>): string {
    const { held } = local.node;
    const { own, identities, handles, begun, appended, sizes, most, member, gone, left, leaseEnd, turn } = held;
    const common = JSON.stringify([
      member,
      own,
      identities,
      handles,
      begun,
      appended,
      [...sizes].sort(),
      most,
      gone,
      left,
      leaseEnd,
      turn,
    ]);
    if (local.dead || local.fenced || member === undefined || gone || left) return common;
    // What it would say of a table that fits nothing: all that it believes of it.
    return `${common}${this.#belief(world, local)}`;
  }

  #belief(world: World<Holdings, Heard>, local: Local<Holdings, Heard>): string {
    const { allocator, plot } = this.#actorAt(world, local);
    const { principal, incarnation } = allocator.identity;
    const high = (BigInt(principal) << 16n) | BigInt(incarnation);
    const protocol = allocator.validate();
    let state = protocol.next();
    while (!state.done) {
      const step = state.value;
      if (step.op !== 'read') throw new Error('who validates reads the table');
      const words = new BigUint64Array(step.bytes.buffer, step.bytes.byteOffset, step.bytes.byteLength / 8);
      words.fill((high << 32n) | 0x9249_2492n);
      state = protocol.next(undefined);
    }
    return `${state.value.map(({ what }) => what).join()}|${plot.geometry.groupCount}`;
  }

  #actorAt(world: World<Holdings, Heard>, local: Local<Holdings, Heard>): Actor {
    return actorOf(world.standing(local));
  }

  #violation(world: World<Holdings, Heard>, local: Local<Holdings, Heard>): string | undefined {
    const { allocator } = this.#actorAt(world, local);
    const [first] = glance(world.moments, world.region, allocator.validate());
    return first?.what;
  }

  /** Somebody was told something. */
  #hear(change: WorldChange<Heard>, heard: Heard, holders: readonly number[]): readonly number[] {
    const who = this.clients[change.actor]!;
    switch (heard.kind) {
      case 'asks':
      case 'locked':
      case 'saw':
        return holders;
      case 'given':
        if (this.principalWord(heard.principal) !== heard.word) {
          throw new Breach('I4', `${who.name} is given page ${heard.page} although somebody took over its principal`);
        }
        return holders;
      case 'refused':
        if ((this.#memo.full & (1 << change.actor)) === 0)
          throw new Breach('I13', `${who.name} finds no room, and there always was some`);
        return holders;
      case 'appended': {
        const { index, principal, incarnation } = heard;
        const fence = this.seen.fences.get(`${principal}.${incarnation}`);
        if (fence !== undefined && fence < index)
          throw new Breach('I8', `${who.name} was told that record ${index} counts, and is fenced since ${fence}`);
        const record = this.seen.records.get(index);
        if (record?.author !== principal || record.incarnation !== incarnation)
          throw new Breach('I8', `${who.name} was told that record ${index} is its own, and it is not`);
        return holders;
      }
      case 'fenced': {
        // Whoever says that it was declared dead must be right.
        const { state, incarnation } = decodeMember(this.memberWord(heard.slot));
        const alive = state === memberState.joining || state === memberState.active;
        const { own } = who;
        const line = decodePrincipal(this.principalWord(own?.principal ?? 0));
        const ended =
          own !== undefined && (line.state !== principalState.active || line.incarnation !== own.incarnation);
        if (alive && incarnation === heard.incarnation && !ended && !this.#world.locals[change.actor]!.fenced)
          throw new Breach('I4', `${who.name} takes itself for dead: ${heard.why}`);
        return holders;
      }
      case 'adopted':
        this.#adopted(who, heard);
        return holders.map((holder, principal) => (principal === heard.principal ? who.index + 1 : holder));
    }
  }

  /** What was given out is seen by who adopts; what is seen was given out, or was just being taken or given back. */
  #adopted(who: Client, { principal, extents }: Extract<Heard, { kind: 'adopted' }>): void {
    let more = extents.length;
    for (const other of this.clients) {
      if (other === who) continue;
      for (const handle of this.handlesOf(other)) {
        if (handle.principal !== principal) continue;
        if (!extents.some(({ page, pages }) => page === handle.page && pages === handle.pages))
          throw new Breach(
            'I5',
            `${who.name} does not see the ${handle.pages} pages at ${handle.page} of ${other.name}`,
          );
        more--;
      }
    }
    const most = Math.max(...this.clients.map((client) => client.most));
    if (more > most) throw new Breach('I5', `${who.name} sees ${more} runs that nobody was given`);
    const sizes = new Set(this.clients.flatMap((client) => client.sizes));
    const part = extents.find(({ pages }) => !sizes.has(pages));
    if (part !== undefined) throw new Breach('I5', `${who.name} sees a run of ${part.pages} pages: a part of one`);
  }

  #full(before: number, change: WorldChange<Heard>, groups: boolean): number {
    let full = before;
    const asks = change.heard.some(({ kind }) => kind === 'asks');
    for (const client of this.clients) {
      const { index, asking, own } = client;
      const bit = 1 << index;
      if (asking === 0 || this.#world.locals[index]!.still) {
        full &= ~bit;
        continue;
      }
      const new_ = asks && index === change.actor;
      if (new_) full &= ~bit;
      if (!(groups || new_) || (full & bit) !== 0) continue;
      const room = client.times > 1 ? this.#roomForMany(client) : this.#room(asking, own!.principal);
      if (!room) full |= bit;
    }
    return full;
  }

  /** Whether there is anything just now that it could claim. */
  #room(pages: number, own: number): boolean {
    const { groupPages } = this.geometry;
    const groups = userGroups(this.geometry);
    let run = 0;
    for (let group = 0; group < groups; group++) {
      const word = this.groupWord(group);
      const principal = Number(word >> 48n);
      run = principal === 0 ? run + groupPages : 0;
      if (run >= pages) return true;
      if (principal !== own || pages > groupPages) continue;
      let free = 0;
      for (let index = 0; index < groupPages; index++) {
        free = ((Number(word & 0xffff_ffffn) >>> (30 - 2 * index)) & 3) === 0 ? free + 1 : 0;
        if (free >= pages) return true;
      }
    }
    return false;
  }

  /** The same for several runs at once. What it has claimed of them so far could be had, too: it shows no other run in its words. */
  #roomForMany({ asking: pages, times, own, handles }: Client): boolean {
    const { groupPages } = this.geometry;
    const groups = userGroups(this.geometry);
    let runs = 0;
    for (let group = 0; group < groups; group++) {
      const word = this.groupWord(group);
      const principal = Number(word >> 48n);
      if (principal !== 0 && principal !== own!.principal) continue;
      let free = 0;
      for (let index = 0; index < groupPages; index++) {
        const page = group * groupPages + index;
        const withheld = ((Number(word & 0xffff_ffffn) >>> (30 - 2 * index)) & 3) === 3;
        const held = handles.some((one) => one.page <= page && page < one.page + one.pages);
        const taken = principal !== 0 && (withheld || held);
        free = taken ? 0 : free + 1;
        if (free < pages) continue;
        runs++;
        free = 0;
      }
    }
    return runs >= times;
  }

  #follow(seen: number): number {
    const { region, moments } = this.#world;
    const parts = this.#sections.names.map((section) => moments.section(region, section)).join();
    return this.#witness.follow(seen, moments, region, parts);
  }

  #grown({ actor, before, offset, length }: WorldChange<Heard>): void {
    const { region, moments } = this.#world;
    const who = this.clients[actor]!;
    const first = offset - (offset % 8);
    for (let at = first; at < offset + length; at += 8) {
      const change = { offset: at, before: moments.load(before, at), after: moments.load(region, at) };
      if (change.before === change.after) continue;
      for (const { id, check } of grows) hold(id, check(this, who, change));
    }
  }

  #number(memo: Memo): number {
    const key = `${memo.seen}|${memo.full}|${memo.holders}`;
    let number = this.#memoNumbers.get(key);
    if (number === undefined) {
      number = this.#memos.length;
      this.#memos.push(memo);
      this.#memoNumbers.set(key, number);
    }
    return number;
  }
}

function hold(id: string, what: string | undefined): void {
  if (what !== undefined) throw new Breach(id, what);
}
