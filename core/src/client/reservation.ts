import { ExomemError, isExomemError } from '../errors.js';
import { freeMany } from '../policy/many.js';
import type { Allocator, Extent } from '../policy/policy.js';
import { type ReservedUnit, Stock } from '../policy/reserved.js';
import { pageOffset } from '../region/geometry.js';
import { Allocation } from './allocation.js';
import type { Client } from './client.js';
import { claimMany, type ManyOptions } from './many.js';

/** Bytes of zeros that one write carries. */
const zeroBytes = 256 * 1024;

/**
 * Many pieces of memory of one size, _units_, that are claimed at once and handed out and taken back by this program alone:
 * that takes no step on the region, over any transport. They are anonymous memory of whoever reserved them: they end with
 * it, move with it if it is an application (`holdings()` of the next client shows each unit, handed out or not), and
 * nobody else gets them meanwhile. A unit cannot get a name.
 */
export class Reservation implements AsyncDisposable {
  readonly client: Client;
  /** Whose memory it is. */
  readonly allocator: Allocator;
  /** Bytes of a unit, as asked for; it begins at a page. */
  readonly unitBytes: number;
  readonly #options: ManyOptions;
  readonly #stock: Stock;
  readonly #extents: Extent[] = [];
  /** Units that nobody used yet are zero. */
  readonly #zeroed: boolean;
  #closing: Promise<void> | undefined;

  private constructor(client: Client, allocator: Allocator, bytes: number, options: ManyOptions) {
    const { alignment, initialise } = options;
    this.client = client;
    this.allocator = allocator;
    this.unitBytes = bytes;
    this.#options = { alignment, initialise };
    this.#zeroed = initialise !== 'none';
    this.#stock = new Stock(Math.ceil(bytes / client.geometry.pageSize));
  }

  /** See {@link Client.reserve}. */
  static async make(
    client: Client,
    allocator: Allocator,
    count: number,
    bytes: number,
    options: ManyOptions,
  ): Promise<Reservation> {
    const reservation = new Reservation(client, allocator, bytes, options);
    await reservation.grow(count, options);
    return reservation;
  }

  /** Units, handed out or not. */
  get units(): number {
    return this.#stock.units;
  }
  /** Units that can be taken. */
  get available(): number {
    return this.#stock.available;
  }

  /**
   * A unit, without a step and without a promise. Its bytes are 0, or what this program wrote to a unit of this reservation
   * before; with `initialise: 'none'`, to any memory of its own. Free it (`free`, `freeSync`, `await using`) and it comes back here.
   * @throws `RegionFull` if all are out, `Closed`, `Fenced`.
   */
  take(): Allocation {
    this.#check();
    const unit = this.#stock.take();
    if (unit === undefined) throw this.#empty();
    return Allocation.reserved(this, unit);
  }

  /**
   * A unit whose bytes are all 0. Without a step as long as there are units that nobody has used; else one is zeroed, which
   * costs a write of its length.
   * @throws as {@link take}, and what a write throws.
   */
  async takeZeroed(): Promise<Allocation> {
    this.#check();
    const taken = this.#stock.takeFresh();
    if (taken === undefined) throw this.#empty();
    const { unit, fresh } = taken;
    if (!fresh || !this.#zeroed) {
      try {
        await this.#clear(unit);
      } catch (error) {
        this.restore(unit);
        throw error;
      }
    }
    return Allocation.reserved(this, unit);
  }

  async #clear({ page, pages }: ReservedUnit): Promise<void> {
    const { client } = this;
    const { pageSize } = client.geometry;
    const start = pageOffset(client.geometry, page);
    const zeros = new Uint8Array(Math.min(zeroBytes, pages * pageSize));
    for (let at = 0; at < pages * pageSize; at += zeros.length) {
      await client.lease();
      await client.writeBytes(start + at, zeros.subarray(0, Math.min(zeros.length, pages * pageSize - at)));
    }
  }

  /** For its units: one comes back. @throws `StaleHandle` */
  restore(unit: ReservedUnit): void {
    if (!this.#stock.restore(unit)) throw new ExomemError('StaleHandle', 'this unit was given back before');
  }

  /** Reserves more units of the same kind: all of them, or none. @throws as {@link Client.allocateMany}; `Closed`. */
  async grow(count: number, { signal, timeout }: Pick<ManyOptions, 'signal' | 'timeout'> = {}): Promise<void> {
    this.#check();
    const options = { ...this.#options, signal, timeout };
    const extents = await claimMany(this.client, this.allocator, count, this.unitBytes, options);
    if (this.#closing !== undefined) {
      await this.client.run(freeMany(this.allocator, extents));
      this.#check();
    }
    for (const extent of extents) this.#extents.push(extent);
    this.#stock.add(extents);
  }

  /** Gives all of it back, also what is handed out: those handles say `StaleHandle` from here on. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }
  async #end(): Promise<void> {
    this.#stock.ended = true;
    // Who moved away, has left or was declared dead has nothing to give back any more.
    if (this.allocator.retired) return;
    try {
      await this.client.run(freeMany(this.allocator, this.#extents.splice(0)));
    } catch (error) {
      if (!isExomemError(error, 'Fenced') && !isExomemError(error, 'Closed')) throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #check(): void {
    this.client.check();
    if (this.#stock.ended) throw new ExomemError('Closed', 'this reservation was closed', { where: this.client.where });
    if (this.allocator.retired) throw new ExomemError('Fenced', 'this memory belongs to another client now');
  }

  #empty(): ExomemError {
    const { units } = this.#stock;
    return new ExomemError('RegionFull', `all ${units} units of this reservation are in use`, {
      where: this.client.where,
      advice: 'free some, `grow` it, or allocate beside it',
    });
  }
}
