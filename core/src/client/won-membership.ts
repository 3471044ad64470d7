import { ExomemError } from '../errors.js';
import type { AllocationPolicy, Coordinator, Identity } from '../policy/policy.js';
import { type Exclusion, exclusionOf } from '../protocol/exclusion.js';
import { bequeath } from '../protocol/grace.js';
import {
  collectLeavers,
  fenceSelf,
  type Introduction,
  joinMember,
  type Member,
  registerPrincipal,
} from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Superblock } from '../region/superblock.js';
import type { Session } from '../transport/transport.js';
import type { Client } from './client.js';
import type { Duties } from './duties.js';
import type { HeartbeatMaker } from './heartbeat.js';
import type { MainLane } from './main-lane.js';
import type { Membership } from './membership.js';
import type { Presence } from './presence.js';
import { NeighbourRoom, type Room, type Surrounds } from './room.js';

/** A slot of the member table that nobody has is won by compareExchange; members look after each other. */
export class WonMembership implements Membership {
  readonly #superblock: Superblock;

  constructor(superblock: Superblock) {
    this.#superblock = superblock;
  }

  admit({ capabilities, where }: Session, number: number | undefined): void {
    if (capabilities.atomics === 'none') {
      throw new ExomemError(
        'UnsupportedCapability',
        'members of this region are won by compareExchange, and this transport only reads and writes',
        { where, advice: 'format a region with the policy `message` and { configured: true } for it' },
      );
    }
    if (number === undefined) return;
    throw new ExomemError('InvalidArgument', 'the member numbers of this region are won, not configured', { where });
  }

  exchanges(): void {}

  exclusion({ capabilities }: Session, policy: AllocationPolicy): Exclusion {
    const found = exclusionOf(capabilities, this.#superblock);
    return found === 'wait' && policy.writes ? 'none' : found;
  }

  join(_session: Session, introduction: Introduction): Protocol<Member> {
    return joinMember(this.#superblock.geometry, introduction);
  }

  coordinator(member: Member, policy: AllocationPolicy, exclusion: Exclusion): Coordinator | undefined {
    const superblock = this.#superblock;
    return policy.coordinate?.({ superblock, geometry: superblock.geometry, member, exclusion });
  }

  async register(lane: MainLane, member: Member): Promise<Identity> {
    return lane.proceed(registerPrincipal(this.#superblock.geometry, member));
  }

  abandon(member: Member): Protocol<void> {
    return fenceSelf(this.#superblock.geometry, member);
  }

  line(): undefined {}

  elsewhere(maker: HeartbeatMaker | undefined): HeartbeatMaker | undefined {
    return maker;
  }

  attend(duties: Duties, behind: boolean): Promise<void> {
    return duties.attend(behind);
  }

  room(client: Client, around: Surrounds, patience: number): Room {
    return new NeighbourRoom(client, around, patience);
  }

  async leave(client: Client, presence: Presence): Promise<void> {
    const { geometry, member } = client;
    await client.runOnLog(bequeath(client, member, client.identity));
    await presence.release();
    await presence.end();
    await client.run(fenceSelf(geometry, member));
    if (client.role !== 'steward') return;
    // The last one out closes the door.
    await client.run(collectLeavers(geometry)).catch(() => undefined);
  }
}
