import { ExomemError } from '../errors.js';
import type { FileOwner } from '../namespace/operation.js';
import type { Allocator, Identity } from '../policy/policy.js';
import { type Heir, migratePrincipal } from '../protocol/adopt.js';
import { takeIn } from '../protocol/grace.js';
import { dropPrincipal } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import { type AllocateOptions, Allocation } from './allocation.js';
import type { Client } from './client.js';
import { allocateAll, type ManyOptions } from './many.js';
import type { Owner } from './namespace.js';
import { Reservation } from './reservation.js';

/**
 * An application: a principal of its own beside that of the client it runs in, with anonymous memory that can move to
 * another client as it is. No byte is copied: the principal's word says who acts for it, and that word changes.
 */
export class Application implements Owner {
  readonly client: Client;
  readonly identity: Identity;
  readonly allocator: Allocator;
  /** Asked to move to a member (of that slot): quiesce, then `migrate`. Absent: such requests are passed over. */
  onMigrate: ((to: Heir) => void) | undefined;
  readonly #forget: () => void;
  #gone: string | undefined;

  constructor(client: Client, identity: Identity, allocator: Allocator, forget: () => void) {
    this.client = client;
    this.identity = identity;
    this.allocator = allocator;
    this.#forget = forget;
  }

  /** The number others know it by. */
  get principal(): number {
    return this.identity.principal;
  }

  /**
   * Allocates anonymous memory that belongs to the application; with a name, a file: with `lifetime: 'owner'` it ends with
   * the application, and moves with it.
   * @throws as {@link Client.allocate}; `Fenced` once the application is gone.
   */
  async allocate(bytes: number, options: AllocateOptions = {}): Promise<Allocation> {
    this.#check();
    return Allocation.create(this.client, this.allocator, bytes, options, this);
  }

  /** Many pieces of anonymous memory that belong to the application: all of them, or none. @throws as {@link Client.allocateMany}. */
  async allocateMany(count: number, bytes: number, options: ManyOptions = {}): Promise<Allocation[]> {
    this.#check();
    return allocateAll(this.client, this.allocator, count, bytes, options);
  }

  /** Units that belong to the application: each of them moves with it, handed out or not. @throws as {@link Client.reserve}. */
  async reserve(count: number, bytes: number, options: ManyOptions = {}): Promise<Reservation> {
    this.#check();
    return Reservation.make(this.client, this.allocator, count, bytes, options);
  }

  /** See {@link Owner}. */
  owning(): FileOwner {
    // Not Fenced: it is asked while a record is drafted, and the client that appends lives.
    if (this.#gone !== undefined || this.#ending) throw new ExomemError('Closed', this.#gone ?? 'the application ends');
    const { principal, incarnation } = this.identity;
    return { principal, incarnation };
  }
  #ending = false;

  /**
   * What the structure says that the application holds, by ascending offset. For whoever has just taken it over: there is
   * nobody to ask. Lengths are whole pages.
   */
  async holdings(): Promise<readonly Allocation[]> {
    this.#check();
    const extents = await this.client.run(this.allocator.holdings());
    return extents.map((extent) => Allocation.of(this.client, this.allocator, extent));
  }

  /**
   * Hands the application to another member, which lives. From here on this one may not touch its memory any more, and is
   * refused where it tries to claim. One round trip if the member's word is known and it has not beaten since; else two.
   * @param to a line of `members()`, say, or what `onMigrate` is told
   * @throws `Busy` if that member is not there; the application stays here then.
   */
  async migrate(to: Heir): Promise<void> {
    this.#check();
    // Files in its name are made before it moves, or not at all.
    await this.client.runOnLog(this.#move(to));
  }

  *#move(to: Heir): Protocol<void> {
    const { geometry, session } = this.client;
    yield* migratePrincipal(geometry, this.identity, to, session.capabilities.stopOnFail);
    this.allocator.retire();
    this.#end(`the application moved to member ${to.slot}`);
  }

  /** Ends the files that end with it, also those that another client made in its name. */
  *#disown(): Protocol<void> {
    this.#ending = true;
    const { replica } = this.client;
    yield* replica.catchUp();
    yield* replica.disown(this.identity);
  }

  /** Frees everything, and the principal. */
  async end(): Promise<void> {
    if (this.#gone !== undefined) return;
    const { client, allocator } = this;
    await client.runOnLog(this.#disown());
    // Of what another client had allocated we may not know yet.
    await client.run(allocator.discover());
    await client.run(allocator.surrender());
    const { empty } = allocator;
    if (empty) await client.run(dropPrincipal(client.geometry, this.identity));
    allocator.retire();
    this.#end('the application has ended');
    // What a dead predecessor was about to build is withheld until the log has been looked at.
    if (!empty) await client.runOnLog(takeIn(client, this.identity));
  }

  #end(why: string): void {
    this.#gone = why;
    this.#forget();
  }

  #check(): void {
    if (this.#gone !== undefined) throw new ExomemError('Fenced', this.#gone);
  }
}
