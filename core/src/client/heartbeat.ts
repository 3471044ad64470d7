import type { Coordinator } from '../policy/policy.js';
import { surely } from '../policy/resolve.js';
import { activate, beat, bindingOf, type Member, resumeBeats } from '../protocol/membership.js';
import { type Bench, run, type Surroundings } from '../protocol/runner.js';
import type { Geometry } from '../region/geometry.js';
import type { Wanted } from '../region/words.js';
import type { Session } from '../transport/transport.js';
import { Lock } from './lock.js';

/** Where a client stands in the log. What is told of it may lag behind the truth, and never runs ahead of it. */
export interface Standing {
  /** The next log index that nothing in flight has looked up at: what a beat publishes. */
  readonly applied: number;
  /** The next log index that is not applied. */
  readonly index: number;
}

/** What beats have found that nobody was told yet. */
export interface Pulse {
  /** The log has records that are not applied here. */
  readonly behind: boolean;
  /** Wishes of other members, each told once. */
  readonly wanted: readonly Wanted[];
}

/** A member that is to be kept alive. */
export interface Heart {
  readonly member: Member;
  readonly geometry: Geometry;
  /** Milliseconds for which a beat is good, from the moment it was issued. */
  readonly lease: number;
  /** Milliseconds between two beats. */
  readonly interval: number;
  standing(): Standing;
  /** How the words of its line change, where that is not by compareExchange. */
  readonly coordinator?: Coordinator | undefined;
}

/**
 * Whoever moves a member's word, so that others see that it lives. One agent alone does at any time: `member.word` is its
 * own from its beginning until `end()` has returned.
 */
export interface Heartbeat {
  /** By the client's clock, milliseconds: until then nobody can have declared the member dead. */
  readonly leaseEnd: number;
  /** Why it beats no more without having been told to end; undefined as long as it does. */
  readonly lost: unknown;
  /**
   * Waits for the beat that comes next in time. Undefined: it has ended.
   * @throws what that beat failed with: `Fenced` is for good.
   */
  next(): Promise<Pulse | undefined>;
  /** A beat that begins after this call and publishes where the client stands now. @throws likewise. */
  beat(): Promise<Pulse>;
  /**
   * Ends it, with nothing left in flight. Idempotent.
   * @returns whether `member.word` is what it wrote last; if not, a new epoch of its lane tells, see {@link resumeBeats}
   */
  end(): Promise<boolean>;
}

/** The lane of heartbeats, for whoever opens it anew. */
export interface HeartbeatLane {
  readonly url: string;
  /** The client's 16 bytes. */
  readonly clientId: Uint8Array;
  readonly lane: number;
  readonly silence: number | undefined;
}

/**
 * Has a member's heart beat elsewhere, in a thread of its own say: over a new epoch of the lane, with
 * {@link InlineHeartbeat.resume} there. Must not throw: what fails is `lost`.
 * @param leaseEnd until when the last beat so far is good
 */
export type HeartbeatMaker = (heart: Heart, lane: HeartbeatLane, leaseEnd: number) => Heartbeat;

/** Beats from the thread it is made in: one that is blocked for longer than the wait of the region loses its member. */
export class InlineHeartbeat implements Heartbeat {
  readonly lost: unknown = undefined;
  readonly #heart: Heart;
  readonly #session: Session;
  readonly #bench: Bench;
  readonly #lock = new Lock();
  readonly #stop = new AbortController();
  #leaseEnd = 0;
  /** What became of the last beat nobody knows. */
  #unsure = false;

  /** @param session the lane of heartbeats; it ends with this */
  constructor(heart: Heart, session: Session, surroundings: Surroundings) {
    this.#heart = heart;
    this.#session = session;
    // What is tried again waits no longer once this is to end.
    const sleep = (milliseconds: number) => surroundings.sleep(milliseconds, this.#stop.signal);
    this.#bench = { session, surroundings: { ...surroundings, sleep }, coordinator: heart.coordinator };
  }

  /** The first beat of a member was to win its slot, which was asked for at `issued`. @throws `Fenced` */
  async begin(issued: number): Promise<this> {
    const { geometry, member, lease } = this.#heart;
    await run(surely({ op: 'bind', member: bindingOf(geometry, member.slot, member.incarnation) }), this.#bench);
    this.#leaseEnd = issued + lease;
    return this;
  }

  /** Goes on where another has ended, of whose last beat nobody need know what became. @throws `Fenced` */
  async resume(): Promise<this> {
    await run(resumeBeats(this.#heart.geometry, this.#heart.member), this.#bench);
    return this;
  }

  /** The member is known to all, and may write. @throws `Fenced` */
  activate(): Promise<void> {
    return this.#lock.run(() => run(activate(this.#heart.geometry, this.#heart.member), this.#bench));
  }

  get leaseEnd(): number {
    return this.#leaseEnd;
  }

  async next(): Promise<Pulse | undefined> {
    await this.#bench.surroundings.sleep(this.#heart.interval);
    return this.#stop.signal.aborted ? undefined : this.beat();
  }

  beat(): Promise<Pulse> {
    return this.#lock.run(async () => {
      const { member, geometry, lease } = this.#heart;
      const issued = this.#bench.surroundings.now();
      const { applied, index } = this.#heart.standing();
      this.#unsure = true;
      const { behind, wanted } = await run(beat(geometry, member, applied, index), this.#bench);
      this.#unsure = false;
      this.#leaseEnd = issued + lease;
      return { behind, wanted: wanted === undefined ? [] : [wanted] };
    });
  }

  async end(): Promise<boolean> {
    this.#stop.abort();
    await this.#lock.run(() => this.#session.close());
    return !this.#unsure;
  }
}
