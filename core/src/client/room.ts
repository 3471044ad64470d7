import { isExomemError } from '../errors.js';
import type { Allocator, Identity } from '../policy/policy.js';
import { ask, readMembers } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import { userGroups } from '../region/geometry.js';
import { memberState } from '../region/words.js';
import type { Client } from './client.js';
import type { Duties } from './duties.js';
import type { RegionFile } from './file.js';

/** Milliseconds after which who looks for room asks everybody again. */
const askAgain = 150;
/** Milliseconds between two looks whether room was given: who is asked often answers at once, or after a while. */
const shortest = 5;
const longest = 50;
/** Milliseconds for which a region that was found full is taken for full. */
const fullFor = 1000;

/** Groups whose words are read at once. */
const cheapScan = 65_536;

/** What room needs of its client beside what everybody may ask of it. */
export interface Surrounds {
  readonly duties: Duties;
  files(): readonly RegionFile[];
  beat(): Promise<void>;
  missed(error: unknown): void;
}

/** Where an allocation that finds nothing looks for room. */
export interface Room {
  /** Something was let go of: whoever asks for space now may be served soon. */
  hope(): void;
  /** What a claim of runs of so many pages finds, as often made anew as there may be more to find. */
  find<T>(pages: number, allocator: Allocator, claim: () => Protocol<T>): Promise<T>;
  /** From time to time: whoever allocates looks whether others have taken what it takes for free. */
  lookAhead(allocator: Allocator): Promise<void>;
}

/** Where nobody can be asked: what there is not, there is not. */
export class OwnRoom implements Room {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  hope(): void {}

  find<T>(_pages: number, _allocator: Allocator, claim: () => Protocol<T>): Promise<T> {
    return this.#client.run(claim());
  }

  async lookAhead(): Promise<void> {}
}

/** With others, who may give some, and with what waits for them: it asks them, and waits a little, before it says no. */
export class NeighbourRoom implements Room {
  readonly #client: Client;
  readonly #around: Surrounds;
  /** Milliseconds that it waits. */
  readonly #patience: number;
  #fullUntil = 0;

  constructor(client: Client, around: Surrounds, patience: number) {
    this.#client = client;
    this.#around = around;
    this.#patience = patience;
  }

  hope(): void {
    this.#fullUntil = 0;
  }

  async find<T>(pages: number, allocator: Allocator, claim: () => Protocol<T>): Promise<T> {
    const client = this.#client;
    const { duties, files, beat, missed } = this.#around;
    const { now, sleep } = client.surroundings;
    let deadline = 0;
    let nextAsk = 0;
    let pause = shortest;
    for (;;) {
      try {
        const found = await client.run(claim());
        this.#wanted = pages;
        this.#askAhead(allocator);
        return found;
      } catch (error) {
        const full = isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented');
        if (!full || now() < this.#fullUntil) throw error;
        // What is full for one is so for others: what one frees from here on they hear of soon.
        duties.press();
        if (deadline === 0) {
          deadline = now() + this.#patience;
          // What our own files have taken ahead is the nearest.
          for (const file of files()) await file.shrink();
          await duties.lookAfter();
        } else if (now() >= deadline) {
          this.#fullUntil = now() + fullFor;
          throw error;
        }
        // Who is asked may have its hands full, or take in what it could give a moment later.
        if (now() >= nextAsk) {
          nextAsk = now() + askAgain;
          await this.#askAround(pages, allocator.identity);
        }
        await sleep(pause);
        pause = Math.min(longest, pause * 2);
        await beat().catch(missed);
        await duties.answerWishes();
        await duties.tidy();
        await client.run(allocator.discover());
        await duties.judge();
      }
    }
  }

  /** Pages of the run that was allocated last, since the last look ahead; 0: none was. */
  #wanted = 0;
  #nextLook = 0;
  #nextAhead = 0;

  async lookAhead(allocator: Allocator): Promise<void> {
    const { geometry, superblock, surroundings } = this.#client;
    const time = surroundings.now();
    if (this.#wanted === 0 || time < this.#nextLook || userGroups(geometry) > cheapScan) return;
    this.#nextLook = time + superblock.lease / 3;
    await this.#client.run(allocator.discover());
    this.#askAhead(allocator);
    this.#wanted = 0;
  }

  /** Asks for room before there is none: who is asked hears of it at its next beat, half a second later. */
  #askAhead(allocator: Allocator): void {
    const { geometry, surroundings } = this.#client;
    const time = surroundings.now();
    const scarce = (allocator.room ?? Number.POSITIVE_INFINITY) < geometry.groupPages;
    // What is longer than a group is given by nobody.
    if (!scarce || time < this.#nextAhead || this.#wanted > geometry.groupPages) return;
    this.#nextAhead = time + askAgain;
    this.#askAround(this.#wanted, allocator.identity).catch(this.#around.missed);
  }

  async #askAround(pages: number, { principal, incarnation }: Identity): Promise<void> {
    const { geometry, member } = this.#client;
    for (const line of await this.#client.run(readMembers(geometry))) {
      if (line.state !== memberState.active || line.slot === member.slot) continue;
      await this.#client.run(ask(geometry, line.slot, { principal, incarnation, pages }));
    }
  }
}
