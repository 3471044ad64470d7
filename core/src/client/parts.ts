// The one module of rxjs that is used here: all of it would take every program 40 ms more to load.
import { Subject } from 'rxjs/internal/Subject';
import { type ExomemError, isExomemError } from '../errors.js';
import type { Inode } from '../namespace/inode.js';
import type { AllocationPolicy, Identity } from '../policy/policy.js';
import { interrupted } from '../policy/resolve.js';
import type { CallOptions, Session } from '../transport/transport.js';
import { Applications } from './applications.js';
import { Changes } from './changes.js';
import type { Client } from './client.js';
import { Duties } from './duties.js';
import type { ClientEvent } from './events.js';
import { FencedError, fateOf } from './fate.js';
import { Locks } from './locks.js';
import { Log } from './log.js';
import type { Membership } from './membership.js';
import { OpenFiles } from './open-files.js';
import type { ClientOptions } from './options.js';
import { Presence } from './presence.js';
import type { Room } from './room.js';
import { Watch } from './watch.js';

/** What a client was opened with. */
export interface Basis {
  readonly membership: Membership;
  readonly policy: AllocationPolicy;
  /** Opens another lane. */
  connect(lane: number, call?: CallOptions): Promise<Session>;
}

/** The parts of one client, what they hear of each other, and how they end. */
export class Parts {
  readonly events = new Subject<ClientEvent>();
  readonly presence: Presence;
  readonly log: Log;
  readonly files: OpenFiles;
  readonly locks: Locks;
  readonly changes: Changes;
  readonly applications: Applications;
  readonly duties: Duties;
  readonly room: Room;
  readonly watch: Watch;
  readonly #client: Client;
  readonly #membership: Membership;

  constructor(client: Client, options: ClientOptions, { membership, policy, connect }: Basis) {
    this.#client = client;
    this.#membership = membership;
    const { surroundings, geometry, session, replica, wipes: wipe } = client;
    const { stopOnFail } = session.capabilities;
    const { placement, member: number } = options;
    const allocator = (identity: Identity) => {
      const limit = () => client.quotas.limitOf(identity);
      return policy.create({ geometry, identity, placement, wipe, stopOnFail, limit });
    };
    const tell = (event: ClientEvent) => this.events.next(event);
    const beat = () => this.presence.life.beat();
    const missed = (error: unknown) => this.presence.life.missed(error);
    const files = () => this.files.all;
    this.presence = new Presence(
      { client, membership, policy, number, connect, allocator },
      {
        tell,
        attend: (behind) => this.#attend(behind),
        wish: (wanted) => this.duties.wish(wanted),
        mourn: (error) => this.#mourn(error),
        pressed: () => this.duties.pressed,
      },
    );
    this.log = new Log(replica, this.presence.lane, { surroundings, tell, missed });
    this.files = new OpenFiles(client, missed);
    this.locks = new Locks(client);
    this.changes = new Changes(client);
    this.applications = new Applications(client, policy, allocator);
    this.duties = new Duties(client, {
      applications: this.applications,
      orphans: this.files.orphans,
      tell: () => (this.events.observed ? tell : undefined),
      files,
      beat,
      missed,
    });
    this.room = membership.room(client, { duties: this.duties, files, beat, missed }, options.patience ?? 1500);
    this.watch = new Watch(client, tell);
    this.#listen();
  }

  /** What the log says is heard by all whom it concerns. */
  #listen(): void {
    const { replica, quotas } = this.#client;
    const { changes, duties, room, files, events } = this;
    replica.listener = {
      released: (page, pages, index) => {
        room.hope();
        for (const allocator of this.#client.allocators) allocator.dismiss(page, pages, index);
      },
      kept: (page, pages) => {
        for (const allocator of this.#client.allocators) allocator.retain(page, pages);
      },
      removed: (inode, index) => this.#orphaned(inode, index),
    };
    replica.onReload = (before) => {
      const { state } = replica;
      changes.reload(state);
      quotas.changed(state);
      duties.doubtNames();
      for (const { inode } of files.all) {
        const was = before.inodes.get(inode);
        if (was !== undefined && !state.inodes.has(inode)) this.#orphaned(was, before.index);
      }
    };
    replica.onRecord = (record) => {
      changes.record(record, replica.state);
      quotas.changed(replica.state);
      if (!events.observed) return;
      const { index, author, operations } = record;
      events.next({ type: 'record', index, author, operations });
    };
  }

  #orphaned(inode: Inode, index: number): void {
    if (this.files.orphaned(inode, index)) this.locks.removed(inode.inode);
  }

  async #attend(behind: boolean): Promise<void> {
    const { allocator, life } = this.presence;
    if (allocator === undefined) return;
    await this.#membership.attend(this.duties, behind);
    await this.room.lookAhead(allocator).catch((error) => life.missed(error));
  }

  #mourn(error: ExomemError): ExomemError {
    const { identity, allocator } = this.presence;
    if (identity === undefined || allocator === undefined) return error;
    const { applications, state, where } = this.#client;
    const fate = fateOf({ identity, allocator, applications, state, files: this.files.all });
    const fenced = new FencedError(error.message, fate, { where, cause: error });
    this.locks.lose(fenced);
    this.changes.end(fenced);
    return fenced;
  }

  /** See {@link Client.close}. */
  async leave(): Promise<void> {
    const { life, lane, allocator } = this.presence;
    let lost: unknown;
    let gone: ExomemError | undefined;
    try {
      this.watch.end();
      gone = life.over ? undefined : await this.presence.unreachable();
      if (gone !== undefined) lost = await this.#giveUp(gone);
      else {
        if (!life.over && allocator !== undefined) await this.locks.close();
        lost = await this.files.flush();
        if (!life.over && allocator !== undefined) await this.#handOver();
      }
    } catch (error) {
      // Whoever cannot say goodbye is missed after the lease: leaving is best effort, but never silent about a bug.
      if (!interrupted(error) && !isExomemError(error, 'Fenced')) throw error;
    } finally {
      lane.end();
      this.changes.end();
      this.watch.end();
      // Whatever has failed above: nothing of it goes on.
      await this.presence.end(gone !== undefined).catch(() => undefined);
      this.events.complete();
      await lane.session.close();
    }
    if (lost !== undefined) throw lost;
  }

  /** There is nobody to say goodbye to. The same error, if it keeps something from being published. */
  async #giveUp(gone: ExomemError): Promise<ExomemError | undefined> {
    // What is tried again in the background fails for good from here on.
    await this.presence.lane.session.close();
    this.locks.lose(gone);
    return this.files.all.some(({ pendingTime }) => pendingTime !== undefined) ? gone : undefined;
  }

  async #handOver(): Promise<void> {
    const client = this.#client;
    // It beats on meanwhile: leaving may take longer than the lease.
    await this.presence.life.retire();
    await this.files.abandon();
    await this.applications.leave();
    await client.run(client.allocator.surrender());
    await this.#membership.leave(client, this.presence);
  }
}
