import { handedTo, judgeSuspects, sweepDismissed, takeIn } from '../protocol/grace.js';
import { readMembers } from '../protocol/membership.js';
import { memberState, type Wanted, wantedKind } from '../region/words.js';
import type { Applications } from './applications.js';
import type { Client } from './client.js';
import type { ClientEvent } from './events.js';
import type { RegionFile } from './file.js';
import { Guardian } from './guardian.js';
import { Lock } from './lock.js';
import type { Orphans } from './orphans.js';
import type { StewardEvent } from './steward.js';
import { Vigil } from './vigil.js';

/** Milliseconds after which others are no longer expected to look for room. */
const pressedFor = 1000;

/** Bytes that one round zeroes at most where free pages are to be zero. */
export const cleanBytes = 4 * 1024 * 1024;

/** What a client's duties are about. */
export interface Charge {
  readonly applications: Applications;
  readonly orphans: Orphans;
  /** Files that are open. */
  files(): readonly RegionFile[];
  /** Tells whoever listens; undefined while nobody does. */
  tell(): ((event: ClientEvent) => void) | undefined;
  /** Publishes at once where the client stands. */
  beat(): Promise<void>;
  /** One of them failed. */
  missed(error: unknown): void;
}

/** What a member owes the others: it follows the log, frees what was let go, answers wishes, and looks after the dead. */
export class Duties {
  readonly #client: Client;
  readonly #charge: Charge;
  readonly #guardian: Guardian;
  readonly #stewards = new Vigil();
  readonly #receiving = new Lock();
  readonly #wishes: Wanted[] = [];
  #looked = 0;
  #pressedUntil = 0;
  #rejudge = false;

  constructor(client: Client, charge: Charge) {
    this.#client = client;
    this.#charge = charge;
    this.#guardian = new Guardian(client);
  }

  /** All that is due, after a beat. */
  async attend(behind: boolean): Promise<void> {
    const client = this.#client;
    try {
      if (behind) {
        await client.refresh();
        await client.quotas.refresh();
        // What was applied is published at once: somebody may wait for it to reuse pages.
        await this.#charge.beat();
      }
      await this.answerWishes();
      for (const file of this.#charge.files()) if (file.overdue) await file.flush();
      await this.#charge.orphans.keep();
      await this.tidy();
      const now = client.surroundings.now();
      const { lease, wait } = client.superblock;
      if (client.role === 'member' && now - this.#looked >= lease / 3) {
        this.#looked = now;
        const lines = await client.run(readMembers(client.geometry));
        const seen = { before: now, after: client.surroundings.now() };
        const stewards = lines.filter(({ state, steward }) => state === memberState.active && steward);
        const silent = this.#stewards.observe(stewards, client.member.slot, seen, wait, client.replica.index);
        // Where there is a steward that beats, it does that for all.
        if (silent.length === stewards.length) {
          await this.lookAfter();
          if (client.wipes) await this.clean(cleanBytes);
        }
        // Who handed something over may have died before it could say so.
        await this.receive();
        await this.#announce();
      }
    } catch (error) {
      this.#charge.missed(error);
    }
  }

  /** Somebody wants something: it is answered when the duties come to it. */
  wish(wanted: Wanted): void {
    this.#wishes.push(wanted);
    // One group is given at a time, and who has none of its own left needs the next one soon.
    if (wanted.kind !== wantedKind.migrate && wanted.pages > 0) this.press();
  }

  /** The region is full, as far as one knows: for a while others may look for room here at any moment. */
  press(): void {
    this.#pressedUntil = this.#client.surroundings.now() + pressedFor;
  }

  /** Whether others wait for room that they were just looking for here, or are about to look. */
  get pressed(): boolean {
    return this.#client.surroundings.now() < this.#pressedUntil;
  }

  async answerWishes(): Promise<void> {
    for (let wish = this.#wishes.shift(); wish !== undefined; wish = this.#wishes.shift()) await this.#answer(wish);
  }

  async #answer(wanted: Wanted): Promise<void> {
    const client = this.#client;
    if (wanted.kind === wantedKind.migrate) {
      await this.#charge.applications.asked(wanted.principal, wanted.pages);
    } else if (wanted.pages === 0) {
      await this.receive();
      await this.#announce();
    } else if (wanted.pages <= client.geometry.groupPages) {
      await client.run(client.allocator.giveRoom(wanted, wanted.pages));
    }
  }

  /** Tells, once each, of applications that were handed to this client and that nobody acts for yet. */
  async #announce(): Promise<void> {
    const tell = this.#charge.tell();
    if (tell === undefined) return;
    for (const principal of await this.#charge.applications.handed()) tell({ type: 'handed', principal });
  }

  /** Declares dead who has stood still, recovers the dead, takes over what belongs to nobody. See {@link Guardian}. */
  async lookAfter(tell?: (event: StewardEvent) => void): Promise<void> {
    await this.#guardian.round(tell);
    await this.judge();
  }

  /** Zeroes about so many bytes of pages that nobody uses, unless others look for room just now. How many pages. */
  async clean(bytes: number): Promise<number> {
    const { allocator, geometry } = this.#client;
    if (this.pressed || !(bytes > 0) || allocator.clean === undefined) return 0;
    return this.#client.run(allocator.clean(Math.max(1, Math.floor(bytes / geometry.pageSize))));
  }

  /** Takes in principals that were handed to this member: merges them into the own one. How many. */
  receive(): Promise<number> {
    // One at a time: a principal that is dropped is no longer ours to merge.
    return this.#receiving.run(async () => {
      const client = this.#client;
      const handed = await client.run(handedTo(client.geometry, client.member, client.identity));
      if (handed.length === 0) return 0;
      for (const from of handed) await client.runOnLog(takeIn(client, from));
      await this.judge();
      await client.runOnLog(client.replica.judgeReserve());
      return handed.length;
    });
  }

  /** Pages that came from others and that no name refers to are let go. */
  async judge(): Promise<void> {
    const { geometry, replica, allocators } = this.#client;
    if (allocators.every((allocator) => allocator.suspects().length === 0)) return;
    await this.#client.runOnLog(judgeSuspects({ geometry, replica, allocators }));
  }

  /** Records were missed: which pages have a name is to be judged anew. */
  doubtNames(): void {
    this.#rejudge = true;
  }

  /** Frees what was dismissed once no member can look at it any more, and snapshots of one's own that are past. */
  async tidy(): Promise<void> {
    const client = this.#client;
    const { geometry, replica, member, allocators } = client;
    if (this.#rejudge) {
      this.#rejudge = false;
      for (const allocator of allocators) allocator.doubtNames();
    }
    await this.judge();
    if (allocators.some(({ dismissed }) => dismissed > 0)) {
      const lowest = () => client.pins.lowest(replica.index);
      const custodian = { geometry, replica, allocators, member, lowest };
      await client.runOnLog(sweepDismissed(custodian));
    }
    await client.runOnLog(replica.tidyReserve());
  }
}
