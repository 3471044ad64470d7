import { type ExomemError, isExomemError } from '../errors.js';
import { RecordArena } from '../namespace/arena.js';
import type { AllocationPolicy, Allocator, Identity } from '../policy/policy.js';
import type { Introduction, Member } from '../protocol/membership.js';
import { arenaHalf } from '../region/geometry.js';
import type { CallOptions, Session } from '../transport/transport.js';
import { Attendance } from './attendance.js';
import type { Client } from './client.js';
import { type Heart, type HeartbeatLane, type HeartbeatMaker, InlineHeartbeat } from './heartbeat.js';
import { type Body, Life } from './life.js';
import type { Log } from './log.js';
import { MainLane } from './main-lane.js';
import type { Membership } from './membership.js';

/** Milliseconds between two looks at the region. */
const clientTick = 500;
const stewardTick = 100;
/** Milliseconds after which a region that refuses every connection is taken for gone, by who leaves it. */
const refused = 1000;
/** The lane of heartbeats, whoever beats. */
const heartbeatLane = 1;

/** What a client brings along into a region. */
export interface Luggage {
  readonly client: Pick<
    Client,
    'superblock' | 'role' | 'where' | 'surroundings' | 'session' | 'pins' | 'replica' | 'exclusion'
  >;
  readonly membership: Membership;
  readonly policy: AllocationPolicy;
  /** The member number that it is configured to be. */
  readonly number: number | undefined;
  /** Opens another lane. */
  connect(lane: number, call?: CallOptions): Promise<Session>;
  allocator(identity: Identity): Allocator;
}

/** A client as the others see it: its member with one principal, the heart that beats for it, and the lane that it acts over. */
export class Presence {
  readonly life: Life;
  readonly lane: MainLane;
  readonly #luggage: Luggage;
  #member: Member | undefined;
  #identity: Identity | undefined;
  #allocator: Allocator | undefined;
  #attendance: Attendance | undefined;

  constructor(luggage: Luggage, body: Omit<Body, 'surroundings' | 'revive'>) {
    this.#luggage = luggage;
    const { surroundings, session, where } = luggage.client;
    const revive = async () => this.#inline(await luggage.connect(heartbeatLane)).resume();
    this.life = new Life({ ...body, surroundings, revive });
    this.lane = new MainLane(session, surroundings, where, this.life);
  }

  /** Each of them as soon as there is one; of an observer there is none. */
  get member(): Member | undefined {
    return this.#member;
  }
  get identity(): Identity | undefined {
    return this.#identity;
  }
  get allocator(): Allocator | undefined {
    return this.#allocator;
  }

  /** Becomes a member that has read the log, and registers its principal. @throws what keeps it from that; then it is none. */
  async join(introduction: Introduction, log: Log, call: CallOptions): Promise<void> {
    const { client, membership, policy, connect, number } = this.#luggage;
    const { superblock, surroundings, session, exclusion, replica } = client;
    const { lane, life } = this;
    const { geometry } = superblock;
    const beats = await connect(heartbeatLane, call);
    const issued = surroundings.now();
    const member = await lane.proceed(membership.join(session, introduction, number));
    this.#member = member;
    const coordinator = membership.coordinator(member, policy, exclusion);
    lane.coordinate(coordinator);
    try {
      const heartbeat = await this.#inline(beats).begin(issued);
      life.begin(heartbeat);
      const half = arenaHalf(geometry, member.slot, member.incarnation);
      const arena = new RecordArena(half.offset, half.length);
      // The identity follows; what counts for reading is that live records in our half are noticed.
      replica.writeAs({ identity: { principal: 0, incarnation: 0, word: 0n }, arena });
      await log.begin();
      await heartbeat.activate();
      this.#identity = await membership.register(lane, member);
      replica.writeAs({ identity: this.#identity, arena });
      this.#allocator = this.#luggage.allocator(this.#identity);
      if (coordinator?.attend !== undefined) {
        this.#attendance = new Attendance(coordinator, lane.bench, (error) => life.missed(error));
      }
    } catch (error) {
      await this.end().catch(() => undefined);
      await Promise.resolve(lane.proceed(membership.abandon(member))).catch(() => undefined);
      throw error;
    }
  }

  /** Somebody else beats from here on, if somebody else may. */
  async beatElsewhere(maker: HeartbeatMaker | undefined, lane: Omit<HeartbeatLane, 'lane'>): Promise<void> {
    const made = this.#luggage.membership.elsewhere(maker);
    if (made === undefined) return;
    await this.life.pass((leaseEnd) => made(this.#heart, { ...lane, lane: heartbeatLane }, leaseEnd));
  }

  get #heart(): Heart {
    const { client, membership } = this.#luggage;
    const { superblock, role, pins, replica } = client;
    const member = this.#member!;
    return {
      member,
      geometry: superblock.geometry,
      lease: superblock.lease,
      interval: Math.min(superblock.lease / 3, role === 'steward' ? stewardTick : clientTick),
      coordinator: membership.line(member),
      standing: () => ({ applied: pins.lowest(replica.index), index: replica.index }),
    };
  }

  #inline(session: Session): InlineHeartbeat {
    return new InlineHeartbeat(this.#heart, session, this.#luggage.client.surroundings);
  }

  /** What keeps the region from being reached, where it has been refused for a while; undefined: it can be reached, or only takes its time. */
  async unreachable(): Promise<ExomemError | undefined> {
    const { session, surroundings } = this.#luggage.client;
    const deadline = surroundings.now() + refused;
    for (let attempt = 0; ; attempt++) {
      try {
        if (attempt > 0) await session.renew();
        await session.load(0);
        return undefined;
      } catch (error) {
        if (!isExomemError(error, 'Disconnected')) return undefined;
        if (surroundings.now() >= deadline) return error;
      }
      await surroundings.sleep(refused / 10);
    }
  }

  /** What it does for the others in the coordination is somebody else's from now on. */
  async release(): Promise<void> {
    await this.#attendance?.end(true);
  }

  /** It beats no more, and does nothing for others. Idempotent. @param gone there is nothing to be learned of the region any more */
  async end(gone = false): Promise<void> {
    await this.#attendance?.end(false);
    await this.life.end(gone);
  }
}
