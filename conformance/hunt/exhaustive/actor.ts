import type { Operation, Outcome, Recollection, SimulatedClient } from '@exomem/conformance/simulator';
import {
  type Allocator,
  activate,
  adoptPrincipal,
  allocateMany,
  arenaHalf,
  beat,
  bequeath,
  bindingOf,
  type Coordinator,
  Correspondence,
  collectLeavers,
  condemn,
  condemnStray,
  type ErrorCode,
  ExomemError,
  type Extent,
  type FileExtent,
  type FileOwner,
  fenceMember,
  fenceSelf,
  freeMany,
  handedTo,
  type Identity,
  type Inode,
  interrupted,
  isExomemError,
  isKept,
  joinConfigured,
  joinMember,
  judgeSuspects,
  keepNot,
  locked,
  type Member,
  type MemberCustodian,
  memberState,
  message,
  migratePrincipal,
  NamespaceReplica,
  now,
  OwnLine,
  type Protocol,
  pageOffset,
  principalState,
  RecordArena,
  read,
  readMembers,
  readPrincipals,
  recoverMember,
  recoverPrincipals,
  registerConfigured,
  registerPrincipal,
  reincarnate,
  releaseHold,
  renew,
  resumeBeats,
  type Step,
  type StepResult,
  scrub,
  settleNames,
  surely,
  sweepDismissed,
  takeHold,
  takeIn,
  Vigil,
  write,
} from '@exomem/core';
import { type LockCoordinator, LockRecollection } from './lock-recollection.js';
import { mutate, withoutRevoke } from './mutation.js';
import type { Plot } from './plot.js';
import { Breach, type Heard, type Holdings } from './told.js';

const introduction = { clientId: new Uint8Array(16), steward: false, pid: 0, label: '' };

/** Pages that a client was given and has not given back. */
export interface Handle {
  readonly extent: Extent;
  readonly identity: Identity;
  readonly named: boolean;
}

const actors = new WeakMap<SimulatedClient, Actor>();

/** Who acts as that client. */
export function actorOf(client: SimulatedClient): Actor {
  return actors.get(client)!;
}

/** A client of the shipped code: what it has in its memory, and what it was told. */
export class Actor {
  member!: Member;
  identity!: Identity;
  allocator!: Allocator;
  replica!: NamespaceReplica;
  arena!: RecordArena;
  /** What it has to do with the others, where words change by messages. */
  correspondence: Correspondence | undefined;
  handles: Handle[] = [];
  /** It knows that it was declared dead. */
  gone = false;
  /** It has left on its own. */
  left = false;
  /** Log indexes that something of its own has looked up at. */
  pins: number[] = [];
  /** Appends that it was told of as done. */
  appended = 0;
  /** Appends that it began. */
  begun = 0;
  /** The lengths of runs that it has asked for. */
  readonly sizes = new Set<number>();
  #asking = 0;
  #times = 1;
  #most = 1;

  constructor(
    readonly plot: Plot,
    readonly name: string,
    readonly simulated: SimulatedClient,
  ) {
    actors.set(simulated, this);
  }

  /** It is a member, and has a principal. */
  enter(
    member: Omit<Member, 'introduction'>,
    identity: Identity,
    before?: NamespaceReplica,
    arena?: RecordArena,
  ): void {
    const { geometry } = this.plot;
    this.member = { ...member, introduction };
    this.identity = identity;
    this.identities.push(identity);
    if (this.plot.locked) {
      const coordinator = this.#coordination();
      this.#coordinator = coordinator;
      // A fault may remember what it likes.
      if (this.plot.mutation === undefined) {
        this.#recollection = new LockRecollection(this.simulated, geometry, coordinator);
        this.#coordinator = this.#recollection;
      }
    }
    this.allocator = this.plot.policy.create({ geometry, identity, wipe: this.plot.wipe });
    if (this.plot.policy === message) {
      const { slot, incarnation } = member;
      // Who looks at the end clears up by other means.
      const rule = this.plot.configured && this.name !== 'Z' ? { configured: true } : {};
      this.correspondence ??= new Correspondence({ geometry, slot, incarnation, ...rule }, this.plot.patience);
      this.#coordinator = this.correspondence;
    }
    this.replica = before ?? new NamespaceReplica(geometry);
    const half = arenaHalf(geometry, member.slot, member.incarnation);
    this.arena = arena ?? new RecordArena(half.offset, this.plot.arenaBytes);
    this.replica.writeAs({ identity, arena: this.arena });
    this.replica.listener = {
      released: (page, pages, index) => this.allocator.dismiss(page, pages, index),
      kept: (page, pages) => this.allocator.retain(page, pages),
      removed: (inode, index) => this.#orphaned(inode, index),
    };
    this.replica.onReload = (before) => {
      this.allocator.doubtNames();
      const was = before.inodes.get(this.#open ?? 0);
      if (was !== undefined && !this.replica.state.inodes.has(was.inode)) this.#orphaned(was, before.index);
    };
    if (this.plot.mutation?.enter !== undefined && this.name !== 'Z') this.plot.mutation.enter(this);
  }

  #coordinator: Coordinator | undefined;
  #recollection: LockRecollection | undefined;

  recollect(): Recollection | undefined {
    return this.#recollection?.recollect();
  }

  #coordination(): LockCoordinator {
    const { geometry, exclusion, mutation } = this.plot;
    const policy = mutation?.coordination?.(locked) ?? locked;
    return policy.coordinate!({
      superblock: { wait: 1000 },
      geometry,
      member: this.member,
      exclusion,
    }) as LockCoordinator;
  }

  /** As its client runs it. */
  coordinated<T>(protocol: Protocol<T>): Protocol<T> {
    return this.#coordinator?.coordinate(protocol) ?? protocol;
  }

  /** All that it acts or has acted for. */
  readonly identities: Identity[] = [];

  /** What it was told since it was asked last. */
  #heard: Heard[] = [];

  hear(): readonly Heard[] {
    const heard = this.#heard;
    this.#heard = [];
    return heard;
  }

  hold(): Holdings {
    const { gone, left, appended, begun, leaseEnd, turn } = this;
    const member = this.member && { slot: this.member.slot, incarnation: this.member.incarnation };
    const identities = this.identities.map(({ principal, incarnation }) => ({ principal, incarnation }));
    const handles = this.handles.map(({ extent: { page, pages }, identity: { principal, incarnation } }) => {
      return { page, pages, principal, incarnation };
    });
    const own = this.identity && { principal: this.identity.principal, incarnation: this.identity.incarnation };
    return {
      member,
      own,
      identities,
      handles,
      groups: this.plot.policy === message ? [...this.allocators].flatMap(({ groups = [] }) => groups) : [],
      asking: this.#asking,
      times: this.#times,
      gone,
      left,
      appended,
      begun,
      sizes: [...this.sizes],
      most: this.#most,
      leaseEnd,
      turn,
      looked: this.pins.length === 0 ? 0 : Math.min(...this.pins),
    };
  }

  get allocators(): readonly (Allocator & { readonly groups?: readonly number[] })[] {
    return this.allocator === undefined ? [] : [this.allocator, ...this.applications];
  }

  lowest(): number {
    return Math.min(this.replica.index, ...this.pins);
  }

  /** The inode of the file that it has open. */
  #open: number | undefined;
  /** That file has lost its last name. */
  #orphan: { readonly index: number; readonly extents: readonly FileExtent[]; kept: boolean } | undefined;

  #orphaned(inode: Inode, index: number): void {
    if (inode.inode !== this.#open) return;
    this.#orphan = { index, extents: inode.extents, kept: false };
    this.pins.push(index);
  }

  #unpin(index: number): void {
    this.pins.splice(this.pins.indexOf(index), 1);
  }

  /** Adds something to what it is to do. */
  does<T>(
    name: string,
    start: () => Protocol<T> | undefined,
    then?: (value: T) => void,
    refusals: readonly ErrorCode[] = [],
    how: Pick<Operation, 'lane' | 'alone' | 'exclusive'> & { readonly uncoordinated?: boolean } = {},
  ): this {
    const { mutation, exclusion } = this.plot;
    // Of a client that does something else meanwhile.
    let asked = false;
    this.simulated.queue.push({
      ...how,
      name,
      start: () => {
        const before = this.#asking;
        const made = this.gone ? undefined : start();
        asked = this.#asking !== before;
        const shipped = how.uncoordinated ? made : made && this.coordinated(made);
        const protocol = shipped !== undefined && exclusion === 'wait' ? withoutRevoke(shipped) : shipped;
        return protocol !== undefined && mutation !== undefined ? mutate(protocol, mutation, this) : protocol;
      },
      ended: (outcome: Outcome) => {
        const { error } = outcome;
        if (error === undefined) then?.((outcome as { value: T }).value);
        else if (isExomemError(error, 'Fenced')) this.#fenced(error);
        else if (
          this.correspondence !== undefined &&
          (isExomemError(error, 'Busy') || isExomemError(error, 'Aborted'))
        ) {
          // Nobody answered. What becomes of what was asked for is settled before anything else.
        } else if (!isExomemError(error) || !refusals.includes(error.code)) {
          throw new Breach('answer', `${this.name} ${name}: ${String(error)}`);
        }
        if (!asked) return;
        this.#asking = 0;
        this.#times = 1;
      },
    });
    return this;
  }

  #fenced(error: ExomemError): void {
    this.gone = true;
    if (this.member === undefined) return;
    const { slot, incarnation } = this.member;
    this.#heard.push({ kind: 'fenced', slot, incarnation, why: error.message });
  }

  // ---- what it can do

  allocates(pages: number, zero = false): this {
    return this.does(
      `allocates ${pages}`,
      () => {
        // One that found no place to join has no principal to allocate for.
        if (this.allocator === undefined) return undefined;
        this.#asking = pages;
        this.#heard.push({ kind: 'asks' });
        this.sizes.add(pages);
        return this.#refused(this.allocator.allocate({ pages, initialise: zero ? 'zero' : 'none' }));
      },
      (extent) => {
        const { identity } = this;
        this.#heard.push({ kind: 'given', page: extent.page, ...identity });
        this.handles.push({ extent, identity, named: false });
      },
      ['RegionFull', 'Fragmented'],
    );
  }

  /** Takes so many runs at once: all of them, or none. */
  allocatesMany(count: number, pages: number, zero = false): this {
    return this.does(
      `allocates ${count} runs of ${pages}`,
      () => {
        this.#asking = pages;
        this.#times = count;
        this.#most = Math.max(this.#most, count);
        this.#heard.push({ kind: 'asks' });
        this.sizes.add(pages);
        return this.#refused(allocateMany(this.allocator, { count, pages, initialise: zero ? 'zero' : 'none' }));
      },
      (extents) => {
        const { identity } = this;
        if (extents.length !== count) throw new Breach('answer', `${this.name} is given ${extents.length} of ${count}`);
        for (const extent of extents) {
          this.#heard.push({ kind: 'given', page: extent.page, ...identity });
          this.handles.push({ extent, identity, named: false });
        }
      },
      ['RegionFull', 'Fragmented'],
    );
  }

  /** Frees all that it has at once. */
  freesMany(): this {
    return this.does('frees all of them', () => {
      const handles = this.handles.splice(0);
      return handles.length === 0
        ? undefined
        : freeMany(
            this.allocator,
            handles.map(({ extent }) => extent),
          );
    });
  }

  *#refused<T>(protocol: Protocol<T>): Protocol<T> {
    try {
      return yield* protocol;
    } catch (error) {
      if (isExomemError(error, 'RegionFull') || isExomemError(error, 'Fragmented'))
        this.#heard.push({ kind: 'refused' });
      throw error;
    }
  }

  /** Declares a member dead, rightly or not, and leaves it to others to recover it. */
  declaresDead(slot: number): this {
    return this.does(`declares member ${slot} dead`, () => this.declareDead(slot));
  }
  *declareDead(slot: number): Protocol<void> {
    const line = (yield* readMembers(this.plot.geometry))[slot]!;
    if (line.state === memberState.active) yield* fenceMember(this.plot.geometry, line);
  }

  /** Ends the principal of a member that lives on and is shut out only after that. */
  endsPrincipal(of: Actor): this {
    return this.does(`ends the principal of ${of.name}`, () => this.endPrincipal(of));
  }
  *endPrincipal({ identity, member }: Actor): Protocol<void> {
    const { geometry } = this.plot;
    const line = (yield* readPrincipals(geometry)).find(({ principal }) => principal === identity.principal)!;
    if (line.state === principalState.active) yield* condemn(geometry, line);
    yield* this.declareDead(member.slot);
  }

  /** Joins as a member number that it is configured to be. */
  joinsAs(number: number): this {
    return this.does(`joins as member ${number}`, () => this.joinAs(number));
  }
  *joinAs(number: number): Protocol<void> {
    const { geometry, patience } = this.plot;
    const member = yield* joinConfigured(geometry, number, introduction, 'revoke');
    const { slot, incarnation } = member;
    this.correspondence = new Correspondence({ geometry, slot, incarnation, configured: true }, patience);
    yield* new OwnLine(geometry, slot).coordinate(activate(geometry, member));
    this.enter(member, yield* registerConfigured(geometry, member, this.correspondence));
  }

  /** Answers requests, where words change by messages, if it has or can have the seat. */
  attends(times = 1): this {
    for (let at = 0; at < times; at++) {
      this.does('attends', () => this.correspondence!.attend(), undefined, [], { uncoordinated: true });
    }
    return this;
  }

  /** Frees what it got first. */
  frees(): this {
    return this.does('frees', () => {
      const handle = this.handles.shift();
      return handle && this.allocator.free(handle.extent);
    });
  }

  /** Writes to all that it holds. */
  soils(): this {
    return this.does('soils what it holds', () => this.soil());
  }

  *soil(): Protocol<void> {
    for (const { extent } of this.handles) {
      for (let at = 0; at < extent.pages; at++)
        yield* surely(write(pageOffset(this.plot.geometry, extent.page + at), pageOf(this.name)));
    }
  }

  /** I12: what it was given shows nothing that another wrote. */
  looks(): this {
    return this.does('looks at what it holds', () => this.#look());
  }

  *#look(): Protocol<void> {
    const own = this.name.charCodeAt(0);
    for (const { extent } of this.handles) {
      for (let at = 0; at < extent.pages; at++) {
        const bytes = new Uint8Array(4096);
        yield* surely(read(pageOffset(this.plot.geometry, extent.page + at), bytes));
        const foreign = bytes.find((byte) => byte !== 0 && byte !== own);
        if (foreign !== undefined)
          throw new Breach('I12', `${this.name} was given page ${extent.page + at}, and finds ${foreign} there`);
      }
    }
  }

  /** The turn at the lock that it holds, as far as it knows. */
  turn: number | undefined;

  /** Makes a lock of a file of one page. */
  makesLock(name: string): this {
    this.names(name, 1);
    return this.does(`makes ${name} a lock`, () => {
      const offset = this.#lockOf(name);
      return offset === undefined ? undefined : surely(write(offset, new Uint8Array(16)));
    });
  }

  #lockOf(name: string): number | undefined {
    const [extent] = this.replica.state.lookup(1, name)?.extents ?? [];
    return extent && pageOffset(this.plot.geometry, extent.page);
  }

  /** Takes a lock if it can be had; `surely`: it must. */
  takes(name: string, must = false): this {
    return this.does(
      `takes the lock ${name}`,
      () => {
        const offset = this.#lockOf(name);
        const { member, plot } = this;
        return offset === undefined ? undefined : takeHold({ geometry: plot.geometry, offset, member });
      },
      (turn) => {
        this.turn = turn;
        if (turn !== undefined) this.#heard.push({ kind: 'locked' });
        if (must && turn === undefined) throw new Breach('answer', `${this.name} cannot have the lock of the dead`);
      },
    );
  }

  /** Writes what the lock guards, if it has it. */
  works(name: string): this {
    return this.does(`works under the lock ${name}`, () => {
      const offset = this.#lockOf(name);
      if (this.turn === undefined || offset === undefined) return undefined;
      return surely(write(offset + 16, new Uint8Array(8).fill(this.name.charCodeAt(0))));
    });
  }

  /** Gives the lock back, if it has it. */
  gives(name: string): this {
    return this.does(`gives the lock ${name} back`, () => {
      const { turn, member, plot } = this;
      this.turn = undefined;
      const offset = this.#lockOf(name);
      if (turn === undefined || offset === undefined) return undefined;
      return releaseHold({ geometry: plot.geometry, offset, member }, turn);
    });
  }

  /** Zeroes about so many pages that nobody uses. */
  cleans(pages: number): this {
    return this.does(`cleans ${pages}`, () => this.allocator.clean!(pages));
  }

  /** Makes a file of that name with so many pages; without pages it only appends. */
  names(name: string, pages: number): this {
    return this.does(`names ${name}`, () => this.nameFile(name, pages), undefined, ['RegionFull', 'Exists']);
  }

  /** Makes a file that ends with it. */
  owns(name: string, pages: number): this {
    const { principal, incarnation } = this.identity;
    const owner = { principal, incarnation };
    return this.does(`owns ${name}`, () => this.nameFile(name, pages, owner), undefined, ['RegionFull', 'Exists']);
  }

  *nameFile(name: string, pages: number, owner?: FileOwner): Protocol<void> {
    const { allocator, replica } = this;
    const extent = pages === 0 ? undefined : yield* allocator.allocate({ pages, initialise: 'caller', named: true });
    const extents = extent === undefined ? [] : [{ at: 0, page: extent.page, pages }];
    const attributes = { mode: 0o644, uid: 0, gid: 0, time: 0n, target: '', size: pages * 4096 };
    try {
      for (const { page } of extents) {
        for (let at = 0; at < pages; at++)
          yield* surely(write(pageOffset(this.plot.geometry, page + at), pageOf(name)));
      }
      this.begun++;
      const index = yield* replica.append((state) => {
        const operation = { op: 'create', parent: 1, name, kind: 'file', ...attributes, extents, owner } as const;
        state.check(operation);
        return [operation];
      });
      this.acknowledged(index);
      settleNames(allocator, replica.state, index * 4096, extents);
    } catch (error) {
      if (extent !== undefined) yield* allocator.release(extent.page, pages);
      throw error;
    }
  }

  /** Appends a name that nobody has: each append gives one name more. */
  appends(): this {
    return this.does(
      'appends',
      () => {
        this.begun++;
        const { replica } = this;
        const attributes = { mode: 0o644, uid: 0, gid: 0, time: 0n, target: '', size: 0, extents: [] };
        return replica.append((state) => {
          let number = 0;
          while (state.lookup(1, `${this.name}${number}`) !== undefined) number++;
          return [{ op: 'create', parent: 1, name: `${this.name}${number}`, kind: 'file', ...attributes }];
        });
      },
      (index) => this.acknowledged(index),
    );
  }

  /** Makes so many files with names that are as long as names can be, by one record. */
  namesMany(count: number): this {
    const start = (): Protocol<number> => {
      this.begun += count;
      return this.replica.append((state) => {
        const attributes = { mode: 0o644, uid: 0, gid: 0, time: 0n, target: '', size: 0, extents: [] };
        return Array.from({ length: count }, (_, at) => {
          const name = `${state.index}.${at}`.padEnd(255, '-');
          return { op: 'create', parent: 1, name, kind: 'file', ...attributes } as const;
        });
      });
    };
    return this.does(`names ${count} files`, start, (index) => this.acknowledged(index));
  }

  acknowledged(index: number): void {
    const { principal, incarnation } = this.identity;
    this.appended++;
    this.#heard.push({ kind: 'appended', index, principal, incarnation });
  }

  unlinks(name: string): this {
    return this.does(
      `unlinks ${name}`,
      () =>
        this.replica.append((state) => {
          const inode = state.lookup(1, name);
          if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
          return [{ op: 'unlink', parent: 1, name, inode: inode.inode, directory: false, time: 0n }];
        }),
      undefined,
      ['NotFound'],
    );
  }

  /** Gives a file another name, in the place of what has it. */
  renames(name: string, newName: string): this {
    return this.does(
      `renames ${name} to ${newName}`,
      () =>
        this.replica.append((state) => {
          const inode = state.lookup(1, name)?.inode;
          if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
          const replaced = state.lookup(1, newName)?.inode ?? 0;
          return [{ op: 'rename', parent: 1, name, inode, newParent: 1, newName, replaced, time: 0n }];
        }),
      undefined,
      ['NotFound'],
    );
  }

  /** Gives a page to a hole of a file, as a mount does: whoever comes second writes into the page of the first. */
  fills(name: string, at: number): this {
    this.plot.letters(name).add(this.name);
    return this.does(`fills page ${at} of ${name}`, () => this.fill(name, at), undefined, ['RegionFull']);
  }

  *fill(name: string, at: number): Protocol<void> {
    const { allocator, replica, plot } = this;
    const inode = replica.state.lookup(1, name)?.inode;
    if (inode === undefined) return;
    const { page } = yield* allocator.allocate({ pages: 1, initialise: 'caller', named: true });
    yield* surely(write(pageOffset(plot.geometry, page), pageOf(this.name)));
    const extents = [{ at, page, pages: 1 }];
    const size = (at + 1) * 4096;
    for (;;) {
      try {
        yield* replica.append((state) => {
          const operation = { op: 'extend', inode, size, time: 0n, extents, written: [] } as const;
          state.check(operation);
          return [operation];
        });
        settleNames(allocator, replica.state, inode, extents);
        return;
      } catch (error) {
        if (isExomemError(error, 'Exists')) {
          if (yield* this.#moveInto(inode, at, page)) return;
          continue;
        }
        if (!isExomemError(error, 'StaleHandle')) throw error;
        yield* allocator.release(page, 1);
        return;
      }
    }
  }

  /** Another client gave a page to the same place first: our bytes go into that. */
  *#moveInto(inode: number, at: number, page: number): Protocol<boolean> {
    const { allocator, replica, plot } = this;
    const { index } = replica;
    if (!plot.mutation?.unpinned) this.pins.push(index);
    try {
      const { extents } = replica.state.file(inode);
      const theirs = extents.find((extent) => extent.at <= at && at < extent.at + extent.pages);
      if (theirs === undefined) return false;
      const to = theirs.page + (at - theirs.at);
      if (to === page) {
        settleNames(allocator, replica.state, inode, [{ at, page, pages: 1 }]);
        return true;
      }
      yield* surely(write(pageOffset(plot.geometry, to), pageOf(this.name)));
      yield* allocator.release(page, 1);
      return true;
    } finally {
      if (!plot.mutation?.unpinned) this.#unpin(index);
    }
  }

  /** Writes to a page of a file, as whoever looked it up may. */
  writes(name: string, at: number): this {
    this.plot.letters(name).add(this.name);
    return this.does(`writes page ${at} of ${name}`, () => this.overwrite(name, at));
  }

  *overwrite(name: string, at: number): Protocol<void> {
    const { replica, plot } = this;
    const { index } = replica;
    const extents = replica.state.lookup(1, name)?.extents ?? [];
    const found = extents.find((extent) => extent.at <= at && at < extent.at + extent.pages);
    if (found === undefined) return;
    if (!plot.mutation?.unpinned) this.pins.push(index);
    try {
      yield* surely(write(pageOffset(plot.geometry, found.page + (at - found.at)), pageOf(this.name)));
    } finally {
      if (!plot.mutation?.unpinned) this.#unpin(index);
    }
  }

  truncates(name: string, pages: number): this {
    return this.does(
      `truncates ${name} to ${pages} pages`,
      () =>
        this.replica.append((state) => {
          const inode = state.lookup(1, name);
          if (inode === undefined) throw new ExomemError('NotFound', `there is no ${name}`);
          return [{ op: 'truncate', inode: inode.inode, size: pages * 4096, time: 0n }];
        }),
      undefined,
      ['NotFound'],
    );
  }

  /** Looks a file up and reads it, if it is there. */
  reads(name: string): this {
    return this.does(`reads ${name}`, () => {
      const inode = this.replica.state.lookup(1, name);
      return inode && this.#read(name, inode.extents);
    });
  }

  /** I12: whoever reads what it looked up sees the bytes of that file, and those of nobody else. */
  *#read(name: string, extents: readonly FileExtent[]): Protocol<void> {
    const { plot } = this;
    const { index } = this.replica;
    this.pins.push(index);
    try {
      for (const { page, pages } of extents) {
        for (let at = 0; at < pages; at++) {
          const bytes = new Uint8Array(4096);
          yield* surely(read(pageOffset(this.plot.geometry, page + at), bytes));
          const letters = this.plot.letters(name);
          const allowed = [...letters].map((letter) => letter.charCodeAt(0));
          const named = this.#orphan === undefined;
          if (plot.auditor !== undefined)
            this.#heard.push({ kind: 'saw', page: page + at, byte: bytes[0]!, allowed, named });
          if (bytes.some((byte) => !letters.has(String.fromCharCode(byte)))) {
            throw new Breach('I12', `${this.name} reads page ${page + at} of ${name}, and finds ${bytes[0]}`);
          }
        }
      }
    } finally {
      this.#unpin(index);
    }
  }

  /** Has a file open from now on. */
  opens(name: string): this {
    return this.does(`opens ${name}`, () => {
      this.#open = this.replica.state.lookup(1, name)!.inode;
      this.#openName = name;
      return undefined;
    });
  }
  #openName = '';

  /** Follows the log, and says in it that the open file is kept, if it has lost its name. */
  keeps(): this {
    return this.does('keeps', () => this.keep());
  }

  *keep(): Protocol<void> {
    yield* this.replica.catchUp();
    const orphan = this.#orphan;
    if (orphan === undefined || orphan.kept) return;
    const { principal, incarnation } = this.identity;
    const inode = this.#open!;
    yield* this.replica.append(() => [{ op: 'keep', inode, principal, incarnation, extents: orphan.extents }]);
    orphan.kept = true;
    this.#unpin(orphan.index);
  }

  /** Reads the open file, which may have lost its name. */
  readsOpen(): this {
    return this.does('reads its open file', () => {
      if (this.#open === undefined) return undefined;
      const extents = this.replica.state.inodes.get(this.#open)?.extents ?? this.#orphan!.extents;
      return this.#read(this.#openName, extents);
    });
  }

  drops(): this {
    return this.does('lets its file go', () => {
      const inode = this.#open;
      const kept = this.#orphan?.kept === true;
      if (this.#orphan !== undefined && !kept) this.#unpin(this.#orphan.index);
      this.#open = undefined;
      if (inode === undefined || !kept) return undefined;
      const { principal, incarnation } = this.identity;
      return this.replica.append(() => [{ op: 'drop', inode, principal, incarnation }]);
    });
  }

  /** Begins anew: with the root, and what follows. */
  loads(): this {
    return this.does('loads', () => this.load());
  }

  *load(): Protocol<void> {
    this.enter(this.member, this.identity);
    yield* this.replica.load();
    yield* this.replica.catchUp();
  }

  catchesUp(): this {
    return this.does('catches up', () => this.replica.catchUp(), undefined, [], { exclusive: 'log' });
  }

  snapshots(): this {
    return this.does('cuts a snapshot', () => this.replica.snapshot());
  }

  beats(lane = 0, alone = false): this {
    const how = { lane, alone, exclusive: 'beat' };
    return this.does('beats', () => this.beat(), undefined, ['OutcomeUnknown'], how);
  }

  *beat(): Protocol<void> {
    const { plot, member } = this;
    const issued = (yield now) as number;
    yield* beat(plot.geometry, member, this.lowest(), this.replica.index);
    if (!plot.timed) return;
    const from = plot.mutation?.leaseFromReply ? ((yield now) as number) : issued;
    this.leaseEnd = from + plot.lease;
  }

  /** Monotonic milliseconds, by its own clock. */
  leaseEnd = 0;

  /** Looks after the others, as who watches them does in each of its rounds. */
  watches(): this {
    return this.does('looks who stands still', () => this.watch());
  }
  readonly #vigil = new Vigil();

  *watch(): Protocol<void> {
    const { geometry, wait, lease, mutation } = this.plot;
    const before = (yield now) as number;
    const lines = yield* readMembers(geometry);
    const seen = { before, after: (yield now) as number };
    const silent = this.#vigil.observe(lines, this.member.slot, seen, mutation?.impatient ? lease : wait);
    // Who only looks at the end does not beat.
    const janitor = this.plot.actors.find(({ name }) => name === 'Z');
    for (const line of silent) if (line.slot !== janitor?.member.slot) yield* fenceMember(geometry, line);
  }

  /** Joins as a client of two lanes does, which beats on the second one while it reads the log. */
  joinsByTwoLanes(): this {
    const { geometry } = this.plot;
    const second = { lane: 1, alone: true };
    const isMember = () => this.member !== undefined;
    this.does('joins', () => this.#enrol(), undefined, ['Busy'], { alone: true });
    const bind = (): Step => ({ op: 'bind', member: bindingOf(geometry, this.member.slot, this.member.incarnation) });
    this.does('binds its second lane', () => (isMember() ? surely(bind()) : undefined), undefined, [], second);
    this.does('reads the log', () => (isMember() ? this.#readLog() : undefined));
    this.does('beats', () => (isMember() ? this.beat() : undefined), undefined, ['OutcomeUnknown'], { lane: 1 });
    const become = () => (isMember() ? activate(geometry, this.member) : undefined);
    this.does('activates', become, undefined, [], second);
    this.does('registers', () => (isMember() ? this.#register() : undefined), undefined, ['Busy'], { alone: true });
    return this;
  }

  *#enrol(): Protocol<void> {
    const { geometry } = this.plot;
    this.member = yield* joinMember(geometry, introduction);
    const half = arenaHalf(geometry, this.member.slot, this.member.incarnation);
    this.arena = new RecordArena(half.offset, this.plot.arenaBytes);
    this.replica = new NamespaceReplica(geometry);
    this.replica.writeAs({ identity: { principal: 0, incarnation: 0, word: 0n }, arena: this.arena });
  }

  *#readLog(): Protocol<void> {
    yield* this.replica.load();
    yield* this.replica.catchUp();
  }

  *#register(): Protocol<void> {
    const identity = yield* registerPrincipal(this.plot.geometry, this.member);
    this.enter(this.member, identity, this.replica, this.arena);
  }

  /** A heartbeat that nobody goes on with once an answer is lost: whoever beat is no more. */
  beatsItsLast(): this {
    return this.does('beats for the last time', () => this.#dropped(beat(this.plot.geometry, this.member, 1, 1)));
  }

  *#dropped(protocol: Protocol<unknown>): Protocol<void> {
    for (let state = protocol.next(); !state.done; ) {
      let answer: StepResult;
      try {
        answer = yield state.value;
      } catch (error) {
        if (!interrupted(error)) throw error;
        return;
      }
      state = protocol.next(answer);
    }
  }

  /** Another of its agents beats from now on, over a new epoch of the lane. */
  resumesBeats(): this {
    return this.does('goes on beating', () => this.#resume());
  }

  *#resume(): Protocol<void> {
    yield renew;
    yield* resumeBeats(this.plot.geometry, this.member);
  }

  /** Tells the thread that beats for it where it stands in the log. */
  tellsItsThread(): this {
    return this.does('tells where it stands', () => {
      this.#standing = { applied: this.lowest(), index: this.replica.index };
      return undefined;
    });
  }
  #standing = { applied: 1, index: 1 };

  /** Heartbeats of that thread, which knows no more than it was told. */
  beatsApart(times: number): this {
    return this.does('beats apart', () => this.#beatApart(times), undefined, ['OutcomeUnknown']);
  }

  *#beatApart(times: number): Protocol<void> {
    for (let at = 0; at < times; at++) {
      const { applied, index } = this.#standing;
      yield* beat(this.plot.geometry, this.member, applied, index);
    }
  }

  /** Declares a member dead, rightly or not, and recovers it. */
  recovers(slot: number, options: { readonly declare?: boolean } = {}): this {
    return this.does(`recovers member ${slot}`, () => this.recover(slot, options.declare ?? true));
  }

  *recover(slot: number, declare: boolean): Protocol<void> {
    const { geometry } = this.plot;
    if (declare) {
      const line = (yield* readMembers(geometry))[slot]!;
      const alive = line.state === memberState.active || line.state === memberState.joining;
      if (alive && (yield* fenceMember(geometry, line))) this.#shutOut.add(`${slot}/${line.incarnation}`);
    }
    const line = (yield* readMembers(geometry))[slot]!;
    if (line.state !== memberState.fenced) return;
    yield* recoverMember({ geometry, allocator: this.allocator, replica: this.replica }, line);
  }

  /** Members that it declared dead and has shut out, with their incarnations. */
  readonly #shutOut = new Set<string>();

  tidiesReserve(): this {
    return this.does('tidies the reserve', () => this.replica.tidyReserve());
  }

  scrubs(): this {
    return this.does('scrubs', () =>
      scrub({ geometry: this.plot.geometry, allocator: this.allocator, replica: this.replica }),
    );
  }

  judges(): this {
    return this.does('judges', () => judgeSuspects(this.custodian));
  }

  sweeps(): this {
    return this.does('sweeps', () => sweepDismissed(this.custodian));
  }

  receives(): this {
    return this.does('receives', () => this.receive());
  }

  *receive(): Protocol<void> {
    const { geometry } = this.plot;
    for (const from of yield* handedTo(geometry, this.member, this.identity)) yield* takeIn(this, from);
    yield* judgeSuspects(this.custodian);
    yield* this.replica.judgeReserve();
  }

  get custodian(): MemberCustodian {
    const { replica, allocator, member, plot } = this;
    const custodian = {
      geometry: plot.geometry,
      replica,
      allocators: [allocator],
      member,
      lowest: () => this.lowest(),
    };
    return (this.name === 'Z' ? undefined : plot.mutation?.custodian?.(custodian)) ?? custodian;
  }

  /** Joins, from outside: the order is the client's own. */
  joins(): this {
    return this.does('joins', () => this.join(), undefined, ['Busy']);
  }

  *join(): Protocol<void> {
    const { geometry } = this.plot;
    const member = yield* joinMember(geometry, introduction);
    this.member = member;
    const half = arenaHalf(geometry, member.slot, member.incarnation);
    const arena = new RecordArena(half.offset, this.plot.arenaBytes);
    const replica = new NamespaceReplica(geometry);
    replica.writeAs({ identity: { principal: 0, incarnation: 0, word: 0n }, arena });
    yield* replica.load();
    yield* replica.catchUp();
    yield* activate(geometry, member);
    const identity = yield* registerPrincipal(geometry, member);
    this.enter(member, identity, replica, arena);
  }

  /** Leaves in peace. */
  leaves(): this {
    return this.does('leaves', () => this.leave());
  }

  *leave(): Protocol<void> {
    const { geometry } = this.plot;
    this.left = true;
    this.handles = [];
    yield* this.allocator.surrender();
    yield* bequeath(this, this.member, this.identity);
    yield* fenceSelf(geometry, this.member);
    // It ends here, and so does what it has not asked for yet.
    this.gone = true;
  }

  collects(): this {
    return this.does('collects leavers', () => collectLeavers(this.plot.geometry));
  }

  registers(): this {
    return this.does(
      'registers',
      () => registerPrincipal(this.plot.geometry, this.member, keepNot),
      (identity) => {
        this.identities.push(identity);
        this.applications.push(this.plot.policy.create({ geometry: this.plot.geometry, identity }));
      },
      ['Busy'],
    );
  }

  /** Allocates in the name of its first application. */
  allocatesInApplication(pages: number): this {
    return this.does(
      `allocates ${pages} for its application`,
      () => {
        this.sizes.add(pages);
        return this.applications[0]?.allocate({ pages, initialise: 'none' });
      },
      (extent) => {
        const { identity } = this.applications[0]!;
        this.#heard.push({ kind: 'given', page: extent.page, ...identity });
        this.handles.push({ extent, identity, named: false });
      },
      ['RegionFull', 'Fragmented'],
    );
  }

  /** Recovers whoever was handed over too late, and principals that are DYING. */
  tidiesPrincipals(): this {
    return this.does('looks for strays', () => this.strays());
  }

  *strays(): Protocol<void> {
    const { geometry, mutation } = this.plot;
    if (!mutation?.blind) yield* condemnStray(geometry);
    const dying = (yield* readPrincipals(geometry)).filter(({ state }) => state === principalState.dying);
    yield* recoverPrincipals({ geometry, allocator: this.allocator, replica: this.replica }, dying);
  }

  /** Gives a started group to whom that principal belonged when it asked. */
  givesRoom(principal: number, pages: number): this {
    return this.does('gives room', () => this.allocator.giveRoom({ principal, incarnation: 1 }, pages));
  }

  discovers(): this {
    return this.does('looks at its words', () => this.allocator.discover());
  }

  /** Takes over a principal whose member is dead, or that was handed to it. */
  adopts(principal: number): this {
    return this.does(`adopts principal ${principal}`, () => this.adopt(principal), undefined, ['Busy', 'NotFound']);
  }

  *adopt(principal: number): Protocol<void> {
    const { geometry } = this.plot;
    // It acts for it already.
    if (this.applications.some(({ identity }) => identity.principal === principal)) return;
    const line = (yield* readPrincipals(geometry)).find((one) => one.principal === principal)!;
    const { slot, incarnation } = this.member;
    const ours = line.state === principalState.active && line.member === slot && line.memberIncarnation === incarnation;
    const identity = ours ? { principal, incarnation: line.incarnation, word: line.word } : yield* this.take(principal);
    this.identities.push(identity);
    const allocator = this.plot.policy.create({ geometry, identity });
    this.applications.push(allocator);
    const extents = yield* allocator.holdings();
    this.#heard.push({ kind: 'adopted', principal, extents });
    for (const extent of extents) this.handles.push({ extent, identity, named: false });
  }
  readonly applications: Allocator[] = [];

  take(principal: number): Protocol<Identity> {
    const { plot, member, replica } = this;
    const { geometry } = plot;
    if (plot.exclusion === 'revoke' || plot.mutation?.inPlace) {
      const isShutOut = (slot: number, incarnation: number) => this.#shutOut.has(`${slot}/${incarnation}`);
      return adoptPrincipal(geometry, member, principal, undefined, isShutOut);
    }
    const policy = plot.mutation?.policy?.(plot.policy) ?? plot.policy;
    return reincarnate({ geometry, replica, member, policy }, principal);
  }

  /** Hands its principal to a member, which lives as far as it knows. */
  migrates(to: Actor): this {
    return this.does(`migrates to ${to.name}`, () => this.migrate(to), undefined, ['Busy']);
  }

  *migrate(to: Actor): Protocol<void> {
    const { slot, incarnation } = to.member;
    yield* migratePrincipal(this.plot.geometry, this.identity, { slot, incarnation });
    this.allocator.retire();
    this.gone = true;
  }

  /** Ends the time to keep of a principal that it has seen, with no member behind it. */
  condemns(principal: number): this {
    return this.does(`condemns principal ${principal}`, () => this.condemn(principal));
  }

  *condemn(principal: number): Protocol<void> {
    const { geometry } = this.plot;
    const line = (yield* readPrincipals(geometry)).find((one) => one.principal === principal)!;
    const member = (yield* readMembers(geometry))[line.member]!;
    const gone = member.incarnation > line.memberIncarnation || member.state === memberState.free;
    if (!isKept(line) || !gone) return;
    yield* condemn(geometry, line);
    yield* this.strays();
  }

  /** Recovers everybody else, and lets go of everything: what is left then is named, or it was lost. */
  *cleanUp(): Protocol<void> {
    const { geometry } = this.plot;
    const recoverer = { geometry, allocator: this.allocator, replica: this.replica };
    yield* this.replica.load();
    yield* this.replica.catchUp();
    const others = (yield* readMembers(geometry)).filter(
      ({ slot, state }) => slot !== this.member.slot && state !== memberState.free,
    );
    // Whoever had the seat, where there is one, answers nobody any more.
    for (const line of others) if (line.state !== memberState.fenced) yield* fenceMember(geometry, line);
    for (const { slot } of others) yield* this.recover(slot, true);
    for (const line of yield* readPrincipals(geometry)) {
      if (isKept(line)) yield* condemn(geometry, line);
    }
    yield* this.strays();
    yield* scrub(recoverer);
    yield* this.allocator.discover();
    yield* judgeSuspects(this.custodian);
    yield* sweepDismissed(this.custodian);
    yield* this.allocator.surrender();
    yield* this.replica.judgeReserve();
  }
}

/** A page of a file of that name. */
function pageOf(name: string): Uint8Array {
  return new Uint8Array(4096).fill(name.charCodeAt(0));
}
