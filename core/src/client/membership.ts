import type { AllocationPolicy, Coordinator, Identity } from '../policy/policy.js';
import type { Exclusion } from '../protocol/exclusion.js';
import type { Introduction, Member } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Superblock } from '../region/superblock.js';
import type { Session } from '../transport/transport.js';
import type { Client } from './client.js';
import { ConfiguredMembership } from './configured-membership.js';
import type { Duties } from './duties.js';
import type { HeartbeatMaker } from './heartbeat.js';
import type { MainLane } from './main-lane.js';
import type { Presence } from './presence.js';
import type { Room, Surrounds } from './room.js';
import { WonMembership } from './won-membership.js';

/**
 * How a client becomes a member of a region, stays one and stops being one, and what members are to each other. Of two kinds: a
 * slot that is won by compareExchange, and a number that is configured, where no word is ever changed by compareExchange.
 */
export interface Membership {
  /** @throws `UnsupportedCapability`, `InvalidArgument`: nobody can join over that session, or as it was asked for */
  admit(session: Session, number: number | undefined): void;
  /** @throws `UnsupportedCapability`: what takes a compareExchange, where there is none */
  exchanges(what: string): void;
  /** What keeps late steps of the dead from doing harm, where words are changed as the policy does. */
  exclusion(session: Session, policy: AllocationPolicy): Exclusion;

  join(session: Session, introduction: Introduction, number: number | undefined): Protocol<Member>;
  /** How changes of the table reach the region. Undefined: as they are. */
  coordinator(member: Member, policy: AllocationPolicy, exclusion: Exclusion): Coordinator | undefined;
  /** The principal that the client allocates for. @throws `Busy` */
  register(lane: MainLane, member: Member): Promise<Identity>;
  /** It has not become one after all. */
  abandon(member: Member): Protocol<void>;

  /** How the words of its own line change, where that is not by compareExchange. */
  line(member: Member): Coordinator | undefined;
  /** Who beats in its place, if somebody else may. */
  elsewhere(maker: HeartbeatMaker | undefined): HeartbeatMaker | undefined;
  /** What it owes the others after a beat. */
  attend(duties: Duties, behind: boolean): Promise<void>;
  /** Where it looks for room that it has not. @param patience milliseconds */
  room(client: Client, around: Surrounds, patience: number): Room;

  /** The last of it: what it has left is somebody else's, or nobody's, and it ends. */
  leave(client: Client, presence: Presence): Promise<void>;
}

/** That of the region. */
export function membershipOf(superblock: Superblock): Membership {
  return superblock.configured ? new ConfiguredMembership(superblock) : new WonMembership(superblock);
}
