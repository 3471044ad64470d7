import { type Client, type ClientEvent, memberState, type Occupancy, readOccupancy } from '@exomem/core';
import { type NamedQuota, quotasOf } from '../commands/quota-lines.js';
import { keepOf, Roster } from '../commands/roster.js';
import { type Change, changesBetween } from './change.js';

/** Something that happened, and when: milliseconds since 1970. */
export interface Happening {
  readonly at: number;
  readonly event: ClientEvent;
}

export interface MemberSample {
  readonly slot: number;
  readonly incarnation: number;
  readonly state: 'joining' | 'active' | 'silent' | 'gone';
  readonly steward: boolean;
  readonly label: string;
  readonly pid: number;
  /** Bytes in its name and in that of its applications: allocations, and what is withheld for files. */
  readonly held: number;
  readonly withheld: number;
  /** Bytes a second. */
  readonly taken: number;
  readonly given: number;
  /** Records of the log that it has not applied. */
  readonly behind: number;
}

export interface ApplicationSample {
  readonly principal: number;
  /** The slot of its member; undefined if that is dead. */
  readonly member: number | undefined;
  readonly keep: number | 'forever';
  readonly held: number;
}

/** A region at one moment, and what went on since the one before. Bytes; rates a second. */
export interface Sample {
  readonly at: number;
  /** Milliseconds since the look before. */
  readonly interval: number;
  readonly memory: {
    readonly total: number;
    readonly free: number;
    readonly room: number;
    readonly held: number;
    readonly withheld: number;
    readonly largestRun: number;
    readonly utilisation: number;
    readonly fragmentation: number;
    /** Less than a twentieth is free. */
    readonly pressure: boolean;
  };
  readonly rates: {
    readonly allocations: number;
    readonly frees: number;
    readonly taken: number;
    readonly given: number;
    readonly records: number;
  };
  /** The next index of the log, and the first one behind the snapshot. */
  readonly log: { readonly index: number; readonly snapshot: number };
  readonly members: readonly MemberSample[];
  readonly applications: readonly ApplicationSample[];
  /** Of those that have one. */
  readonly quotas: readonly NamedQuota[];
  readonly events: readonly Happening[];
}

interface Look {
  readonly now: number;
  readonly occupancy: Occupancy;
  readonly index: number;
}

/** Looks at a region again and again. Between two looks it gathers what the client tells. */
export class Sampler implements Disposable {
  readonly #client: Client;
  readonly #subscription: { unsubscribe(): void };
  readonly #happened: Happening[] = [];
  /** When each member's heart was last seen beating. */
  readonly #beats = new Map<number, { word: bigint; since: number }>();
  #before: Look | undefined;

  constructor(client: Client) {
    this.#client = client;
    this.#subscription = client.events.subscribe((event) => {
      // Nobody looks at more than a screen of them.
      if (this.#happened.length < 1000) this.#happened.push({ at: Date.now(), event });
    });
  }

  /** The first one has no rates. */
  async sample(): Promise<Sample> {
    const client = this.#client;
    await client.refresh();
    const occupancy = await client.run(readOccupancy(client.geometry));
    const roster = await Roster.read(client);
    const now = client.surroundings.now();
    const { index } = client.state;
    const before = this.#before ?? { now, occupancy, index };
    this.#before = { now, occupancy, index };
    const interval = now - before.now;
    const { pageSize } = client.geometry;
    const perSecond = (count: number): number => (interval > 0 ? (count * 1000) / interval : 0);
    const { all, principals } = changesBetween(before.occupancy, occupancy);
    const { usage } = occupancy;
    return {
      at: Date.now(),
      interval,
      memory: {
        total: usage.total * pageSize,
        free: usage.free * pageSize,
        room: usage.room * pageSize,
        held: usage.held * pageSize,
        withheld: usage.withheld * pageSize,
        largestRun: usage.largestRun * pageSize,
        utilisation: occupancy.utilisation,
        fragmentation: occupancy.fragmentation,
        pressure: usage.free < usage.total / 20,
      },
      rates: {
        allocations: perSecond(all.allocations),
        frees: perSecond(all.frees),
        taken: perSecond(all.taken) * pageSize,
        given: perSecond(all.given) * pageSize,
        records: perSecond(index - before.index),
      },
      log: { index, snapshot: client.replica.root.index },
      members: this.#members(roster, now, (principal) => {
        const change = principals.get(principal);
        const rate = (what: keyof Change): number => perSecond(change?.[what] ?? 0) * pageSize;
        return { taken: rate('taken'), given: rate('given') };
      }),
      applications: roster.applications.map((line) => ({
        principal: line.principal,
        member: roster.owner(line)?.slot,
        keep: keepOf(line.policy).value,
        held: roster.pages(line.principal) * pageSize,
      })),
      quotas: await quotasOf(client, roster),
      events: this.#happened.splice(0),
    };
  }

  #members(
    roster: Roster,
    now: number,
    ratesOf: (principal: number) => { taken: number; given: number },
  ): MemberSample[] {
    const { superblock, geometry, state } = this.#client;
    const samples: MemberSample[] = [];
    for (const member of roster.members) {
      const { slot, word, incarnation, label, pid, steward, applied } = member;
      if (member.state === memberState.free) {
        this.#beats.delete(slot);
        continue;
      }
      let seen = this.#beats.get(slot);
      if (seen?.word !== word) {
        seen = { word, since: now };
        this.#beats.set(slot, seen);
      }
      let [held, withheld, taken, given] = [0, 0, 0, 0];
      for (const line of roster.principals) {
        if (line.member !== slot || line.memberIncarnation !== incarnation) continue;
        const own = roster.usage.principals.get(line.principal);
        held += own?.held ?? 0;
        withheld += own?.withheld ?? 0;
        const rates = ratesOf(line.principal);
        taken += rates.taken;
        given += rates.given;
      }
      const there = member.state === memberState.active ? 'active' : 'joining';
      const silent = now - seen.since > superblock.lease;
      samples.push({
        slot,
        incarnation,
        state: member.state === memberState.fenced ? 'gone' : silent ? 'silent' : there,
        steward,
        label,
        pid,
        held: held * geometry.pageSize,
        withheld: withheld * geometry.pageSize,
        taken,
        given,
        behind: applied === 0 ? 0 : Math.max(0, state.index - applied),
      });
    }
    return samples;
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
  }
}
