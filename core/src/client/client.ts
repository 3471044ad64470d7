// The one module of rxjs that is used here: all of it would take every program 40 ms more to load.
import { Observable } from 'rxjs/internal/Observable';
import { ExomemError } from '../errors.js';
import type { FileExtent, FileOwner } from '../namespace/operation.js';
import { type Draft, NamespaceReplica } from '../namespace/replica.js';
import type { NamespaceState } from '../namespace/state.js';
import type { AllocationPolicy, AllocationRequest, Allocator, Extent, Identity, Usage } from '../policy/policy.js';
import type { Exclusion } from '../protocol/exclusion.js';
import { settleNames } from '../protocol/grace.js';
import {
  type Member,
  type MemberLine,
  type PrincipalLine,
  readMembers,
  readPrincipals,
} from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Surroundings } from '../protocol/runner.js';
import type { Geometry } from '../region/geometry.js';
import { compatible, type Superblock } from '../region/superblock.js';
import type { CallOptions, Session } from '../transport/transport.js';
import { type AllocateOptions, Allocation } from './allocation.js';
import type { Application } from './application.js';
import type { PathChange, WatchOptions } from './changes.js';
import { Departed } from './departed.js';
import type { ClientEvent } from './events.js';
import type { Fate } from './fate.js';
import type { RegionFile } from './file.js';
import { kick } from './kick.js';
import type { HeldLock } from './locks.js';
import type { Log } from './log.js';
import type { MainLane } from './main-lane.js';
import { allocateAll, freeAll, type ManyOptions } from './many.js';
import type { Membership } from './membership.js';
import { Namespace, type Owner } from './namespace.js';
import { type Opened, Opening } from './opening.js';
import type { ClientOptions, Role } from './options.js';
import { Parts } from './parts.js';
import { Pins } from './pins.js';
import { Quotas } from './quotas.js';
import { Reservation } from './reservation.js';
import type { StewardEvent } from './steward.js';
import { type MemoryWindow, windowsOf } from './windows.js';

export type { ClientOptions, Role } from './options.js';

/**
 * A program's place in a region: a member with one principal, its allocator and its copy of the namespace.
 *
 * Everything throws {@link ExomemError}: `Fenced` for good once another client declared this one dead, `Closed` after
 * `close()`, and what the single calls say.
 */
export class Client implements AsyncDisposable, Owner {
  readonly superblock: Superblock;
  readonly geometry: Geometry;
  readonly role: Role;
  readonly where: string;
  readonly surroundings: Surroundings;
  readonly session: Session;
  readonly namespace: Namespace;
  readonly replica: NamespaceReplica;
  readonly pins = new Pins();
  readonly departed = new Departed();
  /** What keeps late steps of the dead from doing harm here. */
  readonly exclusion: Exclusion;
  /** How much each principal may have; each client keeps to it by itself. */
  readonly quotas = new Quotas(this);
  readonly #options: ClientOptions;
  readonly #policy: AllocationPolicy;
  readonly #membership: Membership;
  readonly #parts: Parts;
  readonly #lane: MainLane;
  readonly #log: Log;
  #closing: Promise<void> | undefined;

  private constructor(options: ClientOptions, opened: Opened) {
    const { superblock, policy, membership, session } = opened;
    this.superblock = superblock;
    this.geometry = superblock.geometry;
    this.role = options.role ?? 'member';
    this.where = options.url;
    this.surroundings = options.surroundings;
    this.session = session;
    this.exclusion = membership.exclusion(session, policy);
    this.replica = new NamespaceReplica(this.geometry);
    this.namespace = new Namespace(this);
    this.#options = options;
    this.#policy = policy;
    this.#membership = membership;
    this.#parts = new Parts(this, options, opened);
    this.#lane = this.#parts.presence.lane;
    this.#log = this.#parts.log;
  }

  /**
   * Opens a region and joins it.
   * @throws `NotFormatted`, `Damaged`, `Incompatible`, `Disconnected`, `NotFound`, `Busy`, `PermissionDenied` (it can
   * only be looked at), `Aborted`, `DeadlineExceeded`.
   */
  static async open(options: ClientOptions): Promise<Client> {
    const opening = new Opening(options);
    try {
      const opened = await opening.reach();
      const client = new Client(options, opened);
      await client.#join(opening);
      if (opened.leased !== undefined) opened.leased.lease = () => client.lease();
      await client.#begin(opening);
      return client;
    } catch (error) {
      await opening.abandon();
      throw error;
    }
  }

  async #join({ introduction }: Opening): Promise<void> {
    const { signal, timeout } = this.#options;
    if (this.role === 'observer') await this.#lane.proceed(this.replica.load());
    else await this.#parts.presence.join(introduction, this.#log, { signal, timeout });
  }

  async #begin({ clientId }: Opening): Promise<void> {
    await this.refresh();
    if (this.role === 'observer') return;
    await this.quotas.refresh();
    const { url, silence, heartbeat } = this.#options;
    await this.#parts.presence.beatElsewhere(heartbeat, { url, clientId, silence });
  }

  // ---- what one asks of it

  /** What happens in the region, while somebody listens. */
  get events(): Observable<ClientEvent> {
    return new Observable((subscriber) => {
      const subscription = this.#parts.events.subscribe(subscriber);
      this.#parts.watch.enter();
      return () => {
        this.#parts.watch.leave();
        subscription.unsubscribe();
      };
    });
  }

  get member(): Member {
    return this.#parts.presence.member ?? this.#onlyLooks();
  }
  get identity(): Identity {
    return this.#parts.presence.identity ?? this.#onlyLooks();
  }
  get allocator(): Allocator {
    return this.#parts.presence.allocator ?? this.#onlyLooks();
  }
  /** Whether pages are zeroed here before they become free. */
  get wipes(): boolean {
    return (this.superblock.compat & compatible.wipe) !== 0n;
  }
  get state(): NamespaceState {
    return this.replica.state;
  }
  /** @throws `PermissionDenied` for a client that only looks. */
  mustBeMember(): void {
    if (this.#parts.presence.allocator === undefined) this.#onlyLooks();
  }
  #onlyLooks(): never {
    throw new ExomemError('PermissionDenied', 'this client only looks at the region', { where: this.where });
  }

  /**
   * Allocates memory; with a name it is a file too.
   * @param bytes 1 up to the longest run of the region
   * @throws `OutOfRange`, `RegionFull`, `Fragmented`, `Exists` (the name), `NotFound` (its directory), ...
   */
  async allocate(bytes: number, options: AllocateOptions = {}): Promise<Allocation> {
    if (options.name !== undefined) this.#membership.exchanges('a name');
    return Allocation.create(this, this.allocator, bytes, options);
  }

  /**
   * Allocates `count` pieces of anonymous memory of `bytes` bytes each, in one round trip for each 1,024 groups that they
   * take: all of them, or none. {@link freeMany} gives them back in the same way.
   * @throws `OutOfRange`, `RegionFull`, `Fragmented`, `Fenced`, `Aborted`, ...; nothing is held after a throw.
   */
  async allocateMany(count: number, bytes: number, options: ManyOptions = {}): Promise<Allocation[]> {
    return allocateAll(this, this.allocator, count, bytes, options);
  }

  /**
   * Frees many pieces of memory of this client and of its applications, in one round trip for each 1,024 groups.
   * @throws `StaleHandle` (one of them was freed before), `InvalidArgument` (one is a file), `PermissionDenied` (one is of another
   * client): nothing is freed then.
   */
  async freeMany(allocations: readonly Allocation[]): Promise<void> {
    return freeAll(this, allocations);
  }

  /**
   * Claims `count` units of `bytes` bytes at once, to be handed out and taken back without a step on the region. See
   * {@link Reservation}.
   * @throws as {@link allocateMany}.
   */
  async reserve(count: number, bytes: number, options: ManyOptions = {}): Promise<Reservation> {
    return Reservation.make(this, this.allocator, count, bytes, options);
  }

  /** Registers an application, whose memory can move to another client. See {@link Applications.register}. */
  register(options: { keep?: number } = {}): Promise<Application> {
    this.check();
    this.#membership.exchanges('an application');
    return this.#parts.applications.register(options.keep ?? 0);
  }

  /** Takes over an application that was kept, or handed to this client. See {@link Applications.adopt}. */
  adopt(principal: number): Promise<Application> {
    this.check();
    this.#membership.exchanges('an adoption');
    return this.#parts.applications.adopt(principal);
  }

  /**
   * Takes a lock by its name, a path in the region; waits while another has it. It ends with this client: whoever died and is
   * shut out holds nothing. See {@link HeldLock}.
   * @throws `Aborted`, `DeadlineExceeded`, `NotFound` (its directory), `InvalidArgument` (that path is a file of other things),
   * `UnsupportedCapability` (a transport without compareExchange)
   */
  lock(path: string, options: CallOptions = {}): Promise<HeldLock> {
    this.check();
    return this.#parts.locks.take(path, options);
  }

  /** What becomes of a path, and of the names in it if it is a directory, from now on. Ends with the client. */
  watch(path: string, options: WatchOptions = {}): AsyncIterable<PathChange> {
    return this.#parts.changes.watch(path, options);
  }

  /** Applications that this client acts for. */
  get applications(): readonly Application[] {
    return this.#parts.applications.all;
  }

  /** Asks the member that acts for an application to move it to another. Whether the request was left with it. */
  askToMigrate(principal: number, slot: number): Promise<boolean> {
    this.#membership.exchanges('an application');
    return this.#parts.applications.askToMigrate(principal, slot);
  }

  /** All allocators of this client: its own, and those of its applications. */
  get allocators(): readonly Allocator[] {
    const { allocator } = this.#parts.presence;
    return [...(allocator === undefined ? [] : [allocator]), ...this.applications.map(({ allocator }) => allocator)];
  }

  /** Allocates anonymous memory without a promise. @throws `UnsupportedCapability` unless the transport is synchronous. */
  allocateSync(bytes: number, options: Omit<AllocateOptions, 'name' | 'signal' | 'timeout'> = {}): Allocation {
    this.check();
    return Allocation.createSync(this, bytes, options);
  }

  /** See {@link Owner}. */
  owning(): FileOwner {
    if (this.#closing !== undefined) throw new ExomemError('Closed', 'this client leaves', { where: this.where });
    const { principal, incarnation } = this.identity;
    return { principal, incarnation };
  }

  /** Opens a file by its inode. Close it. @throws `StaleHandle`, `IsDirectory`. */
  openFile(inode: number): RegionFile {
    this.check();
    return this.#parts.files.open(inode);
  }

  /** Nobody here has that file open any more. */
  letGo(file: RegionFile): Promise<void> {
    return this.#parts.files.orphans.letGo(file);
  }

  /** The file of that inode, if it is open here. */
  openedFile(inode: number): RegionFile | undefined {
    return this.#parts.files.find(inode);
  }

  /**
   * The memory of the whole region, in as many pieces as it lies in: to be mapped before anything is asked for. An allocation is
   * found in it at its `offset`. What is not one's own, or free, is not to be touched.
   * @throws `UnsupportedCapability` where memory is not shared
   */
  windows(): MemoryWindow[] {
    this.check();
    return windowsOf(this.session, 0, this.session.size, 0);
  }

  /** How full the region is. Reads the whole table of group words. */
  async usage(): Promise<Usage> {
    this.check();
    const allocator =
      this.#parts.presence.allocator ??
      this.#policy.create({
        geometry: this.geometry,
        identity: { principal: 0, incarnation: 0, word: 0n },
      });
    return this.run(allocator.inspect());
  }

  /** What is lost and what is kept, once another has declared this client dead; undefined as long as it lives. */
  get fate(): Fate | undefined {
    return this.#parts.presence.life.fate;
  }

  /**
   * Joins the region again, as another client, in place of this one, which is closed; for who was declared dead above all.
   * Nothing goes over: handles of this client say `Fenced` (or `Closed`), applications that were kept are there to `adopt`.
   * @throws as {@link Client.open}.
   */
  async rejoin(options: CallOptions = {}): Promise<Client> {
    await this.close().catch((error) => {
      if (!this.#parts.presence.life.over) throw error;
    });
    const { signal, timeout } = options;
    return Client.open({ ...this.#options, signal, timeout });
  }

  /** The member table and the principal table, as they are now. */
  async members(): Promise<{ members: MemberLine[]; principals: PrincipalLine[] }> {
    this.check();
    const members = await this.run(readMembers(this.geometry));
    const principals = await this.run(readPrincipals(this.geometry));
    this.departed.saw(members, principals);
    return { members, principals };
  }

  /**
   * Leaves the region: publishes what files have waiting, frees anonymous memory, hands the rest to a living member.
   * Idempotent. It has left in any case.
   * @throws what kept it from publishing what was written to a file, as `Fenced`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#parts.leave();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- for what is built on it

  /** Runs a protocol on the main lane, to its end. */
  run<T>(protocol: Protocol<T>): Promise<T> {
    return this.#lane.run(protocol);
  }
  runSync<T>(protocol: Protocol<T>): T {
    return this.#lane.runSync(protocol);
  }

  /** @throws `Fenced`, `Closed`. */
  check(): void {
    this.#lane.check();
  }

  /** Waits for a lease, without which no byte of data may be touched. Undefined: there is one. */
  lease(): Promise<void> | undefined {
    this.check();
    return this.role === 'observer' ? undefined : this.#parts.presence.life.lease();
  }

  /** Reads data bytes. Reading twice does no harm, so a broken connection costs time only. */
  readBytes(offset: number, target: Uint8Array): Promise<void> | undefined {
    return this.#lane.readBytes(offset, target);
  }
  /** Writes data bytes; `source` must not change until it is done. */
  writeBytes(offset: number, source: Uint8Array): Promise<void> | undefined {
    return this.#lane.writeBytes(offset, source);
  }

  /** Catches up with the log: what was acknowledged anywhere before this call is seen after it. */
  refresh(): Promise<void> {
    return this.#log.refresh();
  }

  /** Appends to the log. See {@link NamespaceReplica.append}. */
  async append(draft: Draft): Promise<number> {
    this.#membership.exchanges('a name');
    this.mustBeMember();
    return this.#log.append(draft);
  }

  /** See {@link settleNames}. */
  settle(inode: number, extents: readonly FileExtent[]): void {
    settleNames(this.allocator, this.state, inode, extents);
  }

  /** Cuts a snapshot of the namespace, which truncates the log. */
  async snapshot(): Promise<void> {
    this.#membership.exchanges('a snapshot');
    await this.#log.snapshot();
  }
  /** A snapshot if `records` have come since the last one. */
  snapshotIfDue(records: number): Promise<void> {
    return this.#log.snapshotIfDue(records);
  }

  /** An allocation that asks others for room, and waits a little, before it takes no for an answer. */
  allocateExtent(request: AllocationRequest, allocator = this.allocator): Promise<Extent> {
    return this.findRoom(request.pages, allocator, () => allocator.allocate(request));
  }

  /** The same for whatever takes runs of so many pages; made anew for each attempt. */
  findRoom<T>(pages: number, allocator: Allocator, claim: () => Protocol<T>): Promise<T> {
    return this.#parts.room.find(pages, allocator, claim);
  }

  // ---- its duties, for whoever cannot wait for their time

  /**
   * Declares the member that is in that slot now (in that incarnation, if one is given) dead at once, and shuts it out.
   * Whether it was there.
   * @throws `UnsupportedCapability` where nobody is ever declared dead; `Unproven` where that takes a proof of its end, or a
   * wait.
   */
  async kick(slot: number, incarnation?: number): Promise<boolean> {
    this.#membership.exchanges('to declare a member dead');
    return kick(this, slot, incarnation);
  }

  /** See {@link Duties.lookAfter}. */
  lookAfter(tell?: (event: StewardEvent) => void): Promise<void> {
    return this.#parts.duties.lookAfter(tell);
  }

  /** See {@link Duties.clean}. */
  clean(bytes: number): Promise<number> {
    this.mustBeMember();
    return this.#parts.duties.clean(bytes);
  }

  /** Runs a protocol that follows or writes the log: one at a time. */
  runOnLog<T>(protocol: Protocol<T>): Promise<T> {
    return this.#log.run(protocol);
  }

  /** See {@link Duties.receive}. */
  receive(): Promise<number> {
    return this.#parts.duties.receive();
  }

  /** See {@link Duties.tidy}. */
  async tidy(): Promise<void> {
    this.mustBeMember();
    await this.#parts.duties.tidy();
  }
}
