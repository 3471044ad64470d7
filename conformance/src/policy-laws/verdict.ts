import {
  decodeMember,
  type Geometry,
  groupWordOffset,
  memberState,
  pageOffset,
  principalWordOffset,
  userGroups,
} from '@exomem/core';
import { glance, type Judge, type Local, type World, type WorldChange } from '../simulator/index.js';
import type { Holder, Run } from './holding.js';
import { Breach } from './law.js';
import { type Heard, type Held, nameOffset, type Player } from './player.js';
import { memberOf } from './small-region.js';
import { checkFresh, checkGroup, checkRuns, claimable, describeRun, ownHalf, type Table } from './table-laws.js';

/** What of the past decides a judgement. A bit for each client. */
interface Memo {
  /** Its principal was taken over. */
  readonly taken: number;
  /** Somebody has taken over what it held. */
  readonly recovered: number;
  /** It asks for something that at some instant since did not fit. */
  readonly full: number;
  /** For each client the groups that were changed since its principal was taken over. */
  readonly changed: readonly number[];
}

type SmallWorld = World<Held, Heard>;

/** Holds each moment of a search against the laws of policies. */
export class Verdict implements Judge<Held, Heard>, Table {
  readonly groups: number;
  readonly #memos: Memo[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #agrees = new Map<string, string | undefined>();
  readonly #settled = new Set<string>();
  readonly #at: (Run | undefined)[];
  #world!: SmallWorld;
  #holders: Holder[] = [];
  #memo: Memo;

  /**
   * @param playerOf the player of the client that stands there
   * @param settle holds a world that came to its end against everything
   */
  constructor(
    readonly geometry: Geometry,
    readonly everybody: readonly Holder[],
    readonly playerOf: (world: SmallWorld, local: Local<Held, Heard>) => Player,
    readonly settle: (world: SmallWorld, recovered: number) => void,
  ) {
    this.groups = userGroups(geometry);
    this.#at = new Array(this.groups * geometry.groupPages).fill(undefined);
    this.#memo = { taken: 0, recovered: 0, full: 0, changed: everybody.map(() => 0) };
  }

  begin(): number {
    return this.#number(this.#memo);
  }

  after(world: SmallWorld, change: WorldChange<Heard>): number {
    const before = this.#memos[world.memo]!;
    let { taken, recovered, full, changed } = before;
    this.#world = world;
    const groups = this.#groupsOf(change);
    if (change.length > 0) {
      taken |= this.#takenBy(change);
      if (groups !== 0) changed = changed.map((of, at) => ((before.taken >>> at) & 1 ? of | groups : of));
    }
    const bit = 1 << change.actor;
    let ended = false;
    for (const heard of change.heard) {
      if (heard.kind === 'recovers') recovered |= 1 << heard.victim;
      if (heard.kind === 'asks') full &= ~bit;
      if (heard.kind === 'ended') ended = true;
    }
    this.#memo = { taken, recovered, full, changed };
    for (const heard of change.heard) this.#hear(change.actor, heard);
    full = this.#fullAfter(full, groups !== 0);
    if (full !== before.full || taken !== before.taken || recovered !== before.recovered || changed !== before.changed)
      this.#memo = { taken, recovered, full, changed };
    else this.#memo = before;
    if (change.length > 0 || change.told) {
      this.#look();
      for (let group = 0; group < this.groups; group++) {
        checkGroup(this, group);
        checkRuns(this, group);
      }
    }
    if (ended) this.#checkAgrees(change.actor);
    return this.#memo === before ? world.memo : this.#number(this.#memo);
  }

  finish(world: SmallWorld): void {
    const { recovered } = this.#memos[world.memo]!;
    const key = `${world.region}|${world.locals.map(({ id }) => id)}|${recovered}`;
    if (this.#settled.has(key)) return;
    this.settle(world, recovered);
    this.#settled.add(key);
  }

  epitaph(_world: SmallWorld, { dead, fenced, node }: Local<Held, Heard>): string {
    // What it knows decides how it leaves; of the dead what they held is all that is left.
    return dead || fenced ? JSON.stringify(node.held) : String(node.id);
  }

  // ---- a table

  word(group: number): bigint {
    return this.#world.moments.load(this.#world.region, groupWordOffset(this.geometry, group));
  }
  at(page: number): Run | undefined {
    return this.#at[page];
  }
  isNamed(page: number): boolean {
    return this.#world.moments.load(this.#world.region, nameOffset(this.geometry, page)) !== 0n;
  }
  holder(high: number): Holder | undefined {
    return this.#holders.find(({ identity }) => ownHalf(identity) === high);
  }
  isLeaving(page: number, pages: number): boolean {
    const same = (run: { readonly page: number; readonly pages: number }): boolean =>
      run.page === page && run.pages === pages;
    return this.everybody.some((_, at) => {
      const { leaving, runs } = this.#heldBy(at);
      return leaving.some(same) || (((this.#memo.recovered >>> at) & 1) !== 0 && runs.some(same));
    });
  }

  #heldBy(client: number): Held {
    return this.#world.locals[client]!.node.held;
  }

  /** Who has which page. @throws `Breach` of `exclusive` */
  #look(): void {
    this.#at.fill(undefined);
    this.#holders = this.everybody.map((one, at) => ({
      ...one,
      asking: this.#heldBy(at).asking.map((request) => ({ request })),
    }));
    for (const [client, holder] of this.#holders.entries()) {
      if ((this.#memo.recovered >>> client) & 1) continue;
      for (const { page, pages, state } of this.#heldBy(client).runs) {
        const run = { holder, page, pages, state };
        for (let at = page; at < page + pages; at++) {
          const other = this.#at[at];
          if (other !== undefined)
            throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and ${describeRun(other)}`);
          this.#at[at] = run;
        }
      }
    }
  }

  // ---- what happened

  #groupsOf({ offset, length }: WorldChange<Heard>): number {
    const { groupOffset } = this.geometry;
    if (length === 0 || offset + length <= groupOffset || offset >= groupOffset + 8 * this.groups) return 0;
    let groups = 0;
    const first = Math.max(0, Math.floor((offset - groupOffset) / 8));
    const last = Math.min(this.groups, Math.ceil((offset + length - groupOffset) / 8));
    for (let group = first; group < last; group++) groups |= 1 << group;
    return groups;
  }

  #takenBy({ offset, length }: WorldChange<Heard>): number {
    let taken = 0;
    for (const [at, { identity }] of this.everybody.entries()) {
      const word = principalWordOffset(this.geometry, identity.principal);
      if (word < offset || word >= offset + length) continue;
      if (this.#world.moments.load(this.#world.region, word) !== identity.word) taken |= 1 << at;
    }
    return taken;
  }

  #hear(actor: number, heard: Heard): void {
    const holder = this.everybody[actor]!;
    const taken = ((this.#memo.taken >>> actor) & 1) !== 0;
    switch (heard.kind) {
      case 'given': {
        const { page, pages, initialise } = heard;
        const { groupPages, pageSize } = this.geometry;
        for (let at = page; at < page + pages; at++) {
          if (this.isNamed(at)) throw new Breach('exclusive', `page ${at} was given to ${holder.name}, and has a name`);
          const group = Math.floor(at / groupPages);
          if (taken && (this.#memo.changed[actor]! >>> group) & 1) {
            const what = `${holder.name} was given page ${page}`;
            throw new Breach('fenced', `${what}, claimed after its principal was taken over`);
          }
          if (initialise === 'caller') continue;
          const bytes = new Uint8Array(pageSize);
          this.#world.looks(pageOffset(this.geometry, at), pageSize);
          this.#world.moments.read(this.#world.region, pageOffset(this.geometry, at), bytes);
          checkFresh(bytes, holder, at, initialise);
        }
        return;
      }
      case 'refused': {
        if ((this.#memo.full >>> actor) & 1) return;
        const { pages, alignment, code } = heard;
        const place = claimable(this.#words(), this.geometry, holder.identity, pages, alignment);
        const what = `${holder.name} was told ${code} for ${pages} pages`;
        throw new Breach('full', `${what}, while all the time something fitted (now ${place})`);
      }
      case 'fenced':
        if (!taken && !this.#shutOut(actor))
          throw new Breach('typed', `${holder.name} says that it is fenced, and nobody took it over`);
        return;
      default:
    }
  }

  /** Somebody who waited for it has declared it dead. */
  #shutOut(client: number): boolean {
    const { moments, region, locals } = this.#world;
    const { offset } = memberOf(this.geometry, client);
    return locals[client]!.fenced || decodeMember(moments.load(region, offset)).state !== memberState.active;
  }

  #fullAfter(before: number, changed: boolean): number {
    let full = before;
    let words: bigint[] | undefined;
    for (const [at, { identity }] of this.everybody.entries()) {
      const bit = 1 << at;
      const { current } = this.#heldBy(at);
      if (current === undefined || this.#world.locals[at]!.still) {
        full &= ~bit;
        continue;
      }
      if ((full & bit) !== 0 || !(changed || this.#justAsked(at))) continue;
      words ??= this.#words();
      if (claimable(words, this.geometry, identity, current.pages, current.alignment) === undefined) full |= bit;
    }
    return full;
  }

  #justAsked(client: number): boolean {
    return this.#world.locals[client]!.node.heard.some(({ kind }) => kind === 'asks');
  }

  #words(): bigint[] {
    return Array.from({ length: this.groups }, (_, group) => this.word(group));
  }

  /** An idle client agrees with the table. */
  #checkAgrees(client: number): void {
    const local = this.#world.locals[client]!;
    if (local.dead || local.fenced || (this.#memo.taken >>> client) & 1 || local.node.orders.length > 0) return;
    const { moments, region } = this.#world;
    const section = moments.section(region, moments.sectionAt(this.geometry.groupOffset));
    const key = `${client}.${local.node.id}|${section}`;
    if (!this.#agrees.has(key)) {
      const found = glance(moments, region, this.playerOf(this.#world, local).allocator.validate());
      const what = found.map((one) => `${one.law}: ${one.what}`).join('; ');
      this.#agrees.set(key, found.length === 0 ? undefined : what);
    }
    const what = this.#agrees.get(key);
    if (what !== undefined) throw new Breach('valid', `${this.everybody[client]!.name} finds: ${what}`);
  }

  #number(memo: Memo): number {
    const key = `${memo.taken}|${memo.recovered}|${memo.full}|${memo.changed}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#memos.length;
      this.#memos.push(memo);
      this.#numbers.set(key, number);
    }
    return number;
  }
}
