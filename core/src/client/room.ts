import { isExomemError } from '../errors.js';
import type { AllocationRequest, Allocator, Extent, Identity } from '../policy/policy.js';
import { ask, readMembers } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
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

/** What room needs of its client beside what everybody may ask of it. */
export interface Surrounds {
  readonly duties: Duties;
  files(): readonly RegionFile[];
  beat(): Promise<void>;
  missed(error: unknown): void;
}

/** Where an allocation that finds nothing looks for room: with others, who may give some, and with what waits for them. */
export class Room {
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

  /** Something was let go of: whoever asks for space now may be served soon. */
  hope(): void {
    this.#fullUntil = 0;
  }

  /** An allocation that asks others for room, and waits a little, before it takes no for an answer. */
  allocate(request: AllocationRequest, allocator: Allocator): Promise<Extent> {
    return this.find(request.pages, allocator, () => allocator.allocate(request));
  }

  /** The same for whatever takes runs of so many pages from an allocator; made anew for each attempt. */
  async find<T>(pages: number, allocator: Allocator, claim: () => Protocol<T>): Promise<T> {
    const client = this.#client;
    // Nobody can be asked there.
    if (client.superblock.configured) return client.run(claim());
    const { duties, files, beat, missed } = this.#around;
    const { now, sleep } = client.surroundings;
    let deadline = 0;
    let nextAsk = 0;
    let pause = shortest;
    for (;;) {
      try {
        return await client.run(claim());
      } catch (error) {
        const full = isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented');
        if (!full || now() < this.#fullUntil) throw error;
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

  async #askAround(pages: number, { principal, incarnation }: Identity): Promise<void> {
    const { geometry, member } = this.#client;
    for (const line of await this.#client.run(readMembers(geometry))) {
      if (line.state !== memberState.active || line.slot === member.slot) continue;
      await this.#client.run(ask(geometry, line.slot, { principal, incarnation, pages }));
    }
  }
}
