// The two modules of rxjs that are used: all of it would take every program 40 ms more to load.
import { Observable } from 'rxjs/internal/Observable';
import { Subject } from 'rxjs/internal/Subject';
import { ExomemError, isExomemError } from '../errors.js';
import { joinConfigured, leaveConfigured, needsExchange, OwnLine, registerConfigured } from '../message/configured.js';
import { Correspondence } from '../message/correspondence.js';
import { RecordArena } from '../namespace/arena.js';
import type { Inode } from '../namespace/inode.js';
import type { FileExtent, FileOwner } from '../namespace/operation.js';
import { type Draft, NamespaceReplica } from '../namespace/replica.js';
import type { NamespaceState } from '../namespace/state.js';
import { atomic } from '../policy/atomic.js';
import type { Placement } from '../policy/placement.js';
import type { AllocationPolicy, AllocationRequest, Allocator, Extent, Identity, Usage } from '../policy/policy.js';
import { interrupted, surely } from '../policy/resolve.js';
import { findPolicy } from '../policy/shipped.js';
import { type Exclusion, exclusionOf } from '../protocol/exclusion.js';
import { readSuperblock } from '../protocol/format.js';
import { bequeath, settleNames } from '../protocol/grace.js';
import {
  collectLeavers,
  fenceMember,
  fenceSelf,
  type Introduction,
  joinMember,
  type Member,
  type MemberLine,
  type PrincipalLine,
  readMembers,
  readPrincipals,
  registerPrincipal,
} from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import { type Bench, run, runAsync, runSync, type Surroundings } from '../protocol/runner.js';
import { arenaHalf, type Geometry } from '../region/geometry.js';
import { compatible, type Superblock } from '../region/superblock.js';
import { memberState } from '../region/words.js';
import { read, write } from '../transport/step.js';
import type { CallOptions, Session, Transport } from '../transport/transport.js';
import { type AllocateOptions, Allocation } from './allocation.js';
import type { Application } from './application.js';
import { Applications } from './applications.js';
import { Attendance } from './attendance.js';
import { Changes, type PathChange, type WatchOptions } from './changes.js';
import { Duties } from './duties.js';
import type { ClientEvent } from './events.js';
import { type Fate, FencedError, fateOf } from './fate.js';
import { RegionFile } from './file.js';
import { type Heart, type HeartbeatMaker, InlineHeartbeat } from './heartbeat.js';
import { LeasedSession } from './leased-session.js';
import { Life } from './life.js';
import { Lock } from './lock.js';
import { type HeldLock, Locks } from './locks.js';
import { allocateAll, freeAll, type ManyOptions } from './many.js';
import { Namespace, type Owner } from './namespace.js';
import { Orphans } from './orphans.js';
import { Pins } from './pins.js';
import { Quotas } from './quotas.js';
import { Reservation } from './reservation.js';
import { Room } from './room.js';
import type { StewardEvent } from './steward.js';
import { Watch } from './watch.js';
import { type MemoryWindow, windowsOf } from './windows.js';

export interface ClientOptions extends CallOptions {
  readonly transport: Transport;
  readonly url: string;
  readonly surroundings: Surroundings;
  /** How space is coordinated. Default: what the region says; if that is none of this package, `registered` has to have it. */
  readonly policy?: AllocationPolicy;
  /** Finds the policy of that name, for a region that such a one rules. */
  readonly registered?: (name: string) => Promise<AllocationPolicy | undefined>;
  /** Where allocations go. Default `low-fragmentation`. */
  readonly placement?: Placement;
  /** `member` (default) reads, writes and allocates; `observer` joins nothing and only looks at tables and names. */
  readonly role?: 'member' | 'steward' | 'observer';
  /** What `exomem members` shows; at most 32 bytes of UTF-8. */
  readonly label?: string;
  readonly pid?: number;
  /**
   * The member number that this program is configured to be, where they are configured: another for each; 0 coordinates. Not to
   * be given where they are won.
   */
  readonly member?: number;
  /** Milliseconds of silence after which a connection counts as lost. */
  readonly silence?: number;
  /** Milliseconds that an allocation waits for space that others may give back, before it says RegionFull. Default 1,500. */
  readonly patience?: number;
  /** Who beats once the client has joined. Default: the thread that it lives in, which must not be blocked for long. */
  readonly heartbeat?: HeartbeatMaker;
}

/** Milliseconds between two looks at the region. */
const clientTick = 500;
const stewardTick = 100;
/** The lane of heartbeats, whoever beats. */
const heartbeatLane = 1;

/**
 * A program's place in a region: a member with one principal, its allocator and its copy of the namespace.
 *
 * Everything throws {@link ExomemError}: `Fenced` for good once another client declared this one dead, `Closed` after
 * `close()`, and what the single calls say.
 */
export class Client implements AsyncDisposable, Owner {
  readonly superblock: Superblock;
  readonly geometry: Geometry;
  readonly role: 'member' | 'steward' | 'observer';
  readonly where: string;
  readonly surroundings: Surroundings;
  readonly session: Session;
  readonly namespace: Namespace;
  readonly replica: NamespaceReplica;
  readonly pins = new Pins();
  #bench: Bench;
  readonly #options: ClientOptions;
  readonly #connect: (lane: number, call?: CallOptions) => Promise<Session>;
  readonly #replicaLock = new Lock();
  readonly #events = new Subject<ClientEvent>();
  readonly #policy: AllocationPolicy;
  readonly #applications: Applications;
  readonly #orphans = new Orphans(this);
  readonly #files = new Map<number, RegionFile>();
  readonly #life: Life;
  readonly #duties: Duties;
  readonly #room: Room;
  readonly #watch: Watch;
  readonly #locks = new Locks(this);
  readonly #changes = new Changes(this);
  /** How much each principal may have; each client keeps to it by itself. */
  readonly quotas = new Quotas(this);
  #attendance: Attendance | undefined;
  #member: Member | undefined;
  #identity: Identity | undefined;
  #allocator: Allocator | undefined;
  #closing: Promise<void> | undefined;
  #refreshing: Promise<void> | undefined;
  #refreshNext: Promise<void> | undefined;

  private constructor(
    options: ClientOptions,
    superblock: Superblock,
    policy: AllocationPolicy,
    session: Session,
    connect: (lane: number, call?: CallOptions) => Promise<Session>,
  ) {
    this.superblock = superblock;
    this.geometry = superblock.geometry;
    this.role = options.role ?? 'member';
    this.where = options.url;
    this.surroundings = options.surroundings;
    this.session = session;
    this.#bench = { session, surroundings: options.surroundings };
    this.#options = options;
    this.#connect = connect;
    this.#policy = policy;
    this.#applications = new Applications(this, policy, options.placement);
    this.replica = new NamespaceReplica(this.geometry);
    this.namespace = new Namespace(this);
    const tell = (event: ClientEvent) => this.#events.next(event);
    const files = () => [...this.#files.values()];
    const beat = () => this.#life.beat();
    const missed = (error: unknown) => this.#life.missed(error);
    this.#duties = new Duties(this, {
      applications: this.#applications,
      orphans: this.#orphans,
      tell: () => (this.#events.observed ? tell : undefined),
      files,
      beat,
      missed,
    });
    this.#life = new Life({
      surroundings: this.surroundings,
      tell,
      attend: async (behind) => {
        if (this.#allocator === undefined || this.superblock.configured) return;
        await this.#duties.attend(behind);
        await this.#room.lookAhead(this.#allocator).catch(missed);
      },
      wish: (wanted) => this.#duties.wish(wanted),
      mourn: (error) => this.#mourn(error),
      pressed: () => this.#duties.pressed,
      revive: async () => this.#inline(await this.#connect(heartbeatLane)).resume(),
    });
    this.#room = new Room(this, { duties: this.#duties, files, beat, missed }, options.patience ?? 1500);
    this.#watch = new Watch(this, tell);
    this.replica.listener = {
      released: (page, pages, index) => {
        this.#room.hope();
        for (const allocator of this.allocators) allocator.dismiss(page, pages, index);
      },
      kept: (page, pages) => {
        for (const allocator of this.allocators) allocator.retain(page, pages);
      },
      removed: (inode, index) => this.#orphaned(inode, index),
    };
    this.replica.onReload = (before) => {
      this.#changes.reload(this.state);
      this.quotas.changed(this.state);
      this.#duties.doubtNames();
      for (const inode of this.#files.keys()) {
        const was = before.inodes.get(inode);
        if (was !== undefined && !this.state.inodes.has(inode)) this.#orphaned(was, before.index);
      }
    };
    this.replica.onRecord = (record) => {
      this.#changes.record(record, this.state);
      this.quotas.changed(this.state);
      if (this.#events.observed) {
        this.#events.next({
          type: 'record',
          index: record.index,
          author: record.author,
          operations: record.operations,
        });
      }
    };
  }

  /**
   * Opens a region and joins it.
   * @throws `NotFormatted`, `Damaged`, `Incompatible`, `Disconnected`, `NotFound`, `Busy`, `PermissionDenied` (it can
   * only be looked at), `Aborted`, `DeadlineExceeded`.
   */
  static async open(options: ClientOptions): Promise<Client> {
    const { transport, url, surroundings, signal, timeout, silence } = options;
    const role = options.role ?? 'member';
    const clientId = new Uint8Array(16);
    for (let at = 0; at < 16; at += 4) new DataView(clientId.buffer).setUint32(at, surroundings.random(), true);
    const opened: Session[] = [];
    const connect = async (lane: number, call: CallOptions = {}): Promise<Session> => {
      const session = await transport.connect(url, { clientId, lane, silence, ...call });
      opened.push(session);
      return session;
    };
    try {
      const call = { signal, timeout };
      const session = await connect(0, call);
      const bench = { session, surroundings };
      const { block, readOnly } = await run(readSuperblock(session.size), bench);
      if (readOnly && role !== 'observer') {
        throw new ExomemError('PermissionDenied', 'this region uses features this version can only look at', {
          where: url,
        });
      }
      if (role !== 'observer') checkMembers(block, session, options);
      const leased = exclusionOf(session.capabilities, block) === 'wait' ? new LeasedSession(session) : undefined;
      // Whoever only looks reads words, which are the format's, whatever policy changes them.
      const policy = role === 'observer' ? atomic : await findPolicy(block, options.policy, options.registered);
      const client = new Client(options, block, policy, leased ?? session, connect);
      if (role === 'observer') await run(client.replica.load(), bench);
      else
        await client.#join(
          {
            clientId,
            steward: role === 'steward',
            pid: options.pid ?? 0,
            label: options.label ?? '',
          },
          call,
        );
      if (leased !== undefined) leased.lease = () => client.lease();
      await client.refresh();
      if (role !== 'observer') await client.quotas.refresh();
      const { heartbeat } = options;
      if (heartbeat !== undefined && role !== 'observer' && !block.configured) {
        const lane = { url, clientId, lane: heartbeatLane, silence };
        await client.#life.pass((leaseEnd) => heartbeat(client.#heart, lane, leaseEnd));
      }
      return client;
    } catch (error) {
      for (const session of opened) await session.close();
      throw error;
    }
  }

  async #join(introduction: Introduction, call: CallOptions): Promise<void> {
    const { geometry } = this;
    const session = await this.#connect(heartbeatLane, call);
    const issued = this.surroundings.now();
    const { superblock, exclusion } = this;
    const { configured } = superblock;
    const join = configured
      ? joinConfigured(geometry, this.#options.member, introduction, exclusionOf(this.session.capabilities, superblock))
      : joinMember(geometry, introduction);
    const member = await run(join, this.#bench);
    this.#member = member;
    const coordinator = this.#policy.coordinate?.({ superblock, geometry, member, exclusion });
    const bare = this.#bench;
    this.#bench = { ...bare, coordinator };
    try {
      const heartbeat = await this.#inline(session).begin(issued);
      this.#life.begin(heartbeat);
      const half = arenaHalf(geometry, member.slot, member.incarnation);
      const arena = new RecordArena(half.offset, half.length);
      // The identity follows; what counts for reading is that live records in our half are noticed.
      this.replica.writeAs({ identity: { principal: 0, incarnation: 0, word: 0n }, arena });
      await this.#replicaLock.run(async () => {
        await run(this.replica.load(), this.#bench);
        await run(this.replica.catchUp(), this.#bench);
      });
      await heartbeat.activate();
      this.#identity =
        coordinator instanceof Correspondence && configured
          ? await runAsync(registerConfigured(geometry, member, coordinator), bare)
          : await run(registerPrincipal(geometry, member), this.#bench);
      this.replica.writeAs({ identity: this.#identity, arena });
      const { placement } = this.#options;
      const { stopOnFail } = this.session.capabilities;
      const identity = this.#identity;
      const limit = this.limitOf(identity);
      this.#allocator = this.#policy.create({ geometry, identity, placement, wipe: this.wipes, stopOnFail, limit });
      if (coordinator?.attend !== undefined) {
        this.#attendance = new Attendance(coordinator, bare, (error) => this.#life.missed(error));
      }
    } catch (error) {
      await this.#end().catch(() => undefined);
      if (!configured) await Promise.resolve(run(fenceSelf(geometry, member), this.#bench)).catch(() => undefined);
      throw error;
    }
  }

  #mourn(error: ExomemError): ExomemError {
    if (this.#identity === undefined) return error;
    const { identity, allocator, applications, state } = this;
    const fate = fateOf({ identity, allocator, applications, state, files: [...this.#files.values()] });
    const fenced = new FencedError(error.message, fate, { where: this.where, cause: error });
    this.#locks.lose(fenced);
    this.#changes.end(fenced);
    return fenced;
  }

  get #heart(): Heart {
    const { geometry, superblock, role, replica } = this;
    return {
      member: this.#member!,
      geometry,
      lease: superblock.lease,
      interval: Math.min(superblock.lease / 3, role === 'steward' ? stewardTick : clientTick),
      coordinator: superblock.configured ? new OwnLine(geometry, this.#member!.slot) : undefined,
      standing: () => ({ applied: this.pins.lowest(replica.index), index: replica.index }),
    };
  }

  #inline(session: Session): InlineHeartbeat {
    return new InlineHeartbeat(this.#heart, session, this.surroundings);
  }

  // ---- what one asks of it

  /** What happens in the region, while somebody listens. */
  get events(): Observable<ClientEvent> {
    return new Observable((subscriber) => {
      const subscription = this.#events.subscribe(subscriber);
      this.#watch.enter();
      return () => {
        this.#watch.leave();
        subscription.unsubscribe();
      };
    });
  }

  get member(): Member {
    return this.#member ?? this.#onlyLooks();
  }
  get identity(): Identity {
    return this.#identity ?? this.#onlyLooks();
  }
  get allocator(): Allocator {
    return this.#allocator ?? this.#onlyLooks();
  }
  /** What keeps late steps of the dead from doing harm here. */
  get exclusion(): Exclusion {
    const found = exclusionOf(this.session.capabilities, this.superblock);
    return this.superblock.configured || (found === 'wait' && this.#policy.writes) ? 'none' : found;
  }
  /** Whether pages are zeroed here before they become free. */
  get wipes(): boolean {
    return (this.superblock.compat & compatible.wipe) !== 0n;
  }
  /** What an allocator in that name is given for its limit. */
  limitOf(identity: Identity): () => number | undefined {
    return () => this.quotas.limitOf(identity);
  }
  get state(): NamespaceState {
    return this.replica.state;
  }
  /** @throws `PermissionDenied` for a client that only looks. */
  mustBeMember(): void {
    if (this.#allocator === undefined) this.#onlyLooks();
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
    if (options.name !== undefined && this.superblock.configured) needsExchange('a name');
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
    if (this.superblock.configured) needsExchange('an application');
    return this.#applications.register(options.keep ?? 0);
  }

  /** Takes over an application that was kept, or handed to this client. See {@link Applications.adopt}. */
  adopt(principal: number): Promise<Application> {
    this.check();
    if (this.superblock.configured) needsExchange('an adoption');
    return this.#applications.adopt(principal);
  }

  /**
   * Takes a lock by its name, a path in the region; waits while another has it. It ends with this client: whoever died and is
   * shut out holds nothing. See {@link HeldLock}.
   * @throws `Aborted`, `DeadlineExceeded`, `NotFound` (its directory), `InvalidArgument` (that path is a file of other things),
   * `UnsupportedCapability` (a transport without compareExchange)
   */
  lock(path: string, options: CallOptions = {}): Promise<HeldLock> {
    this.check();
    return this.#locks.take(path, options);
  }

  /** What becomes of a path, and of the names in it if it is a directory, from now on. Ends with the client. */
  watch(path: string, options: WatchOptions = {}): AsyncIterable<PathChange> {
    return this.#changes.watch(path, options);
  }

  /** Applications that this client acts for. */
  get applications(): readonly Application[] {
    return this.#applications.all;
  }

  /** Asks the member that acts for an application to move it to another. Whether the request was left with it. */
  askToMigrate(principal: number, slot: number): Promise<boolean> {
    if (this.superblock.configured) needsExchange('an application');
    return this.#applications.askToMigrate(principal, slot);
  }

  /** All allocators of this client: its own, and those of its applications. */
  get allocators(): readonly Allocator[] {
    const own = this.#allocator === undefined ? [] : [this.#allocator];
    return [...own, ...this.applications.map(({ allocator }) => allocator)];
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
    let file = this.#files.get(inode);
    if (file === undefined) {
      this.state.file(inode);
      file = new RegionFile(this, inode, () => this.#files.delete(inode));
      this.#files.set(inode, file);
    }
    file.enter();
    return file;
  }

  #orphaned(inode: Inode, index: number): void {
    const file = this.#files.get(inode.inode);
    if (file === undefined || this.#allocator === undefined) return;
    file.orphaned(inode);
    this.#locks.removed(inode.inode);
    this.#orphans.add(file, index);
    queueMicrotask(() => this.#orphans.keep().catch((error) => this.#life.missed(error)));
  }

  /** Nobody here has that file open any more. */
  letGo(file: RegionFile): Promise<void> {
    return this.#orphans.letGo(file);
  }

  /** The file of that inode, if it is open here. */
  openedFile(inode: number): RegionFile | undefined {
    return this.#files.get(inode);
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
      this.#allocator ??
      this.#policy.create({
        geometry: this.geometry,
        identity: { principal: 0, incarnation: 0, word: 0n },
      });
    return this.run(allocator.inspect());
  }

  /** What is lost and what is kept, once another has declared this client dead; undefined as long as it lives. */
  get fate(): Fate | undefined {
    return this.#life.fate;
  }

  /**
   * Joins the region again, as another client, in place of this one, which is closed; for who was declared dead above all.
   * Nothing goes over: handles of this client say `Fenced` (or `Closed`), applications that were kept are there to `adopt`.
   * @throws as {@link Client.open}.
   */
  async rejoin(options: CallOptions = {}): Promise<Client> {
    await this.close().catch((error) => {
      if (!this.#life.over) throw error;
    });
    const { signal, timeout } = options;
    return Client.open({ ...this.#options, signal, timeout });
  }

  /** The member table and the principal table, as they are now. */
  async members(): Promise<{ members: MemberLine[]; principals: PrincipalLine[] }> {
    this.check();
    const members = await this.run(readMembers(this.geometry));
    return { members, principals: await this.run(readPrincipals(this.geometry)) };
  }

  /**
   * Leaves the region: publishes what files have waiting, frees anonymous memory, hands the rest to a living member.
   * Idempotent. It has left in any case.
   * @throws what kept it from publishing what was written to a file, as `Fenced`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#leave();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- for what is built on it

  /** Runs a protocol on the main lane, to its end. */
  async run<T>(protocol: Protocol<T>): Promise<T> {
    this.check();
    try {
      return await run(protocol, this.#bench);
    } catch (error) {
      throw this.#life.learn(error);
    }
  }
  runSync<T>(protocol: Protocol<T>): T {
    this.check();
    try {
      return runSync(protocol, this.#bench);
    } catch (error) {
      throw this.#life.learn(error);
    }
  }

  /** @throws `Fenced`, `Closed`. */
  check(): void {
    this.#life.check();
    if (this.#closed) throw new ExomemError('Closed', 'this client has left the region', { where: this.where });
  }
  #closed = false;

  /** Waits for a lease, without which no byte of data may be touched. Undefined: there is one. */
  lease(): Promise<void> | undefined {
    this.check();
    return this.role === 'observer' ? undefined : this.#life.lease();
  }

  /** Reads data bytes. Reading twice does no harm, so a broken connection costs time only. */
  readBytes(offset: number, target: Uint8Array): Promise<void> | undefined {
    return this.#transfer(
      () => this.session.read(offset, target),
      () => read(offset, target),
    );
  }
  /** Writes data bytes; `source` must not change until it is done. */
  writeBytes(offset: number, source: Uint8Array): Promise<void> | undefined {
    return this.#transfer(
      () => this.session.write(offset, source),
      () => write(offset, source),
    );
  }
  #transfer(first: () => Promise<void> | void, step: () => ReturnType<typeof read>): Promise<void> | undefined {
    const again = (error: unknown): Promise<void> => {
      if (!interrupted(error)) throw this.#life.learn(error);
      return this.run(surely(step())).then(() => undefined);
    };
    try {
      const answer = first();
      return answer instanceof Promise ? answer.catch(again) : undefined;
    } catch (error) {
      return again(error);
    }
  }

  /** Catches up with the log: what was acknowledged anywhere before this call is seen after it. */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) {
      this.#refreshing = this.#refreshNow().finally(() => {
        this.#refreshing = undefined;
      });
      return this.#refreshing;
    }
    // One is under way and may have looked already: the next one serves everybody who came since.
    this.#refreshNext ??= this.#refreshing
      .catch(() => undefined)
      .then(() => {
        this.#refreshNext = undefined;
        return this.refresh();
      });
    return this.#refreshNext;
  }
  async #refreshNow(): Promise<void> {
    await this.runOnLog(this.replica.catchUp());
  }

  /** Appends to the log. See {@link NamespaceReplica.append}. */
  async append(draft: Draft): Promise<number> {
    if (this.superblock.configured) needsExchange('a name');
    this.mustBeMember();
    return this.#replicaLock.run(async () => {
      const index = await this.run(this.replica.append(draft));
      if (this.replica.snapshotDue() && this.surroundings.now() >= this.#snapshotAgain) {
        // The append has happened: that there is no room for a snapshot now is not its failure.
        await this.run(this.replica.makeRoom()).catch((error) => {
          this.#snapshotAgain = this.surroundings.now() + 1000;
          this.#life.missed(error);
        });
      }
      return index;
    });
  }
  #snapshotAgain = 0;

  /** See {@link settleNames}. */
  settle(inode: number, extents: readonly FileExtent[]): void {
    settleNames(this.allocator, this.state, inode, extents);
  }

  /** Cuts a snapshot of the namespace, which truncates the log. */
  async snapshot(): Promise<void> {
    if (this.superblock.configured) needsExchange('a snapshot');
    await this.runOnLog(this.replica.snapshot());
    if (this.#events.observed) this.#events.next({ type: 'snapshot', index: this.replica.root.index });
  }
  /** A snapshot if `records` have come since the last one. */
  async snapshotIfDue(records: number): Promise<void> {
    if (!this.replica.snapshotDue(records)) return;
    await this.runOnLog(this.replica.load());
    if (this.replica.snapshotDue(records)) await this.snapshot();
  }

  /** An allocation that asks others for room, and waits a little, before it takes no for an answer. */
  allocateExtent(request: AllocationRequest, allocator = this.allocator): Promise<Extent> {
    return this.#room.allocate(request, allocator);
  }

  /** The same for whatever takes runs of so many pages; made anew for each attempt. */
  findRoom<T>(pages: number, allocator: Allocator, claim: () => Protocol<T>): Promise<T> {
    return this.#room.find(pages, allocator, claim);
  }

  // ---- its duties, for whoever cannot wait for their time

  /**
   * Declares the member that is in that slot now (in that incarnation, if one is given) dead at once, and shuts it out.
   * Whether it was there.
   * @throws `UnsupportedCapability` where nobody is ever declared dead; `Unproven` where that takes a proof of its end, or a
   * wait.
   */
  async kick(slot: number, incarnation?: number): Promise<boolean> {
    if (this.superblock.configured) needsExchange('to declare a member dead');
    const { exclusion } = this;
    if (exclusion === 'none') {
      throw new ExomemError('UnsupportedCapability', 'over this transport nobody can be shut out', {
        where: this.where,
      });
    }
    if (exclusion === 'wait') {
      throw new ExomemError('Unproven', `member ${slot} cannot be shut out at once: steps of it may be under way`, {
        where: this.where,
        advice: `wait: it is declared dead when its heart has stood still for ${this.superblock.wait} ms`,
      });
    }
    const seen = (await this.run(readMembers(this.geometry)))[slot];
    // A heartbeat may fall between the look and the exchange: then the word is another, and the member the same.
    for (let line = seen; line !== undefined; line = (await this.run(readMembers(this.geometry)))[slot]) {
      const alive = line.state === memberState.active || line.state === memberState.joining;
      if (!alive || line.incarnation !== (incarnation ?? seen!.incarnation)) return false;
      if (await this.run(fenceMember(this.geometry, line, exclusion))) return true;
    }
    return false;
  }

  /** See {@link Duties.lookAfter}. */
  lookAfter(tell?: (event: StewardEvent) => void): Promise<void> {
    return this.#duties.lookAfter(tell);
  }

  /** See {@link Duties.clean}. */
  clean(bytes: number): Promise<number> {
    this.mustBeMember();
    return this.#duties.clean(bytes);
  }

  /** Runs a protocol that follows or writes the log: one at a time. */
  runOnLog<T>(protocol: Protocol<T>): Promise<T> {
    return this.#replicaLock.run(() => this.run(protocol));
  }

  /** See {@link Duties.receive}. */
  receive(): Promise<number> {
    return this.#duties.receive();
  }

  /** See {@link Duties.tidy}. */
  async tidy(): Promise<void> {
    this.mustBeMember();
    await this.#duties.tidy();
  }

  // ---- leaving

  async #end(): Promise<void> {
    this.#watch.end();
    await this.#attendance?.end(false);
    await this.#life.end();
  }

  async #leave(): Promise<void> {
    let lost: unknown;
    try {
      if (!this.#life.over && this.#allocator !== undefined) await this.#locks.close();
      for (const file of [...this.#files.values()]) {
        await file.flush().catch((error) => {
          if (!isExomemError(error, 'StaleHandle')) lost ??= error;
        });
      }
      if (!this.#life.over && this.#allocator !== undefined) await this.#handOver();
      else await this.#end();
    } catch (error) {
      // Whoever cannot say goodbye is missed after the lease: leaving is best effort, but never silent about a bug.
      if (!interrupted(error) && !isExomemError(error, 'Fenced')) throw error;
    } finally {
      this.#closed = true;
      this.#changes.end();
      // Whatever has failed above: nothing of it goes on.
      await this.#end().catch(() => undefined);
      this.#events.complete();
      await this.session.close();
    }
    if (lost !== undefined) throw lost;
  }

  async #handOver(): Promise<void> {
    const { geometry, allocator, identity } = this;
    this.#watch.end();
    // It beats on meanwhile: leaving may take longer than the lease.
    await this.#life.retire();
    for (const file of [...this.#files.values()]) {
      await file.abandon();
      // Its names may vanish from here on, with this client too: nobody here keeps it any more.
      this.#files.delete(file.inode);
      await this.letGo(file);
    }
    await this.#applications.leave();
    await this.run(allocator.surrender());
    if (this.superblock.configured) {
      await this.#end();
      await run(leaveConfigured(geometry, this.member, identity), this.#bench);
      return;
    }
    await this.runOnLog(bequeath(this, this.member, identity));
    await this.#attendance?.end(true);
    await this.#end();
    await this.run(fenceSelf(geometry, this.member));
    if (this.role !== 'steward') return;
    // The last one out closes the door.
    await this.run(collectLeavers(geometry)).catch(() => undefined);
  }
}

/** @throws `UnsupportedCapability`, `InvalidArgument`: nobody can join this region in this way. */
function checkMembers({ configured }: Superblock, { capabilities, where }: Session, { member }: ClientOptions): void {
  if (configured) return;
  if (capabilities.atomics === 'none') {
    throw new ExomemError(
      'UnsupportedCapability',
      'members of this region are won by compareExchange, and this transport only reads and writes',
      { where, advice: 'format a region with the policy `message` and { configured: true } for it' },
    );
  }
  if (member === undefined) return;
  throw new ExomemError('InvalidArgument', 'the member numbers of this region are won, not configured', { where });
}
