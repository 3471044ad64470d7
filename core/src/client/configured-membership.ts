import { joinConfigured, leaveConfigured, needsExchange, OwnLine, registerConfigured } from '../message/configured.js';
import { Correspondence } from '../message/correspondence.js';
import type { Coordinator, Identity } from '../policy/policy.js';
import { type Exclusion, exclusionOf } from '../protocol/exclusion.js';
import type { Introduction, Member } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Superblock } from '../region/superblock.js';
import type { Session } from '../transport/transport.js';
import type { Client } from './client.js';
import type { MainLane } from './main-lane.js';
import type { Membership } from './membership.js';
import type { Presence } from './presence.js';
import { OwnRoom, type Room } from './room.js';

/**
 * A number that the program was given, for transports that only read and write: each word has one writer for good. Members do
 * nothing for one another, but number 0, which grants groups that are nobody's.
 */
export class ConfiguredMembership implements Membership {
  readonly #superblock: Superblock;
  #correspondence: Correspondence | undefined;

  constructor(superblock: Superblock) {
    this.#superblock = superblock;
  }

  admit(): void {}

  exchanges(what: string): void {
    needsExchange(what);
  }

  /** Nobody is ever declared dead: a word has nobody else who could write it. */
  exclusion(): Exclusion {
    return 'none';
  }

  join({ capabilities }: Session, introduction: Introduction, number: number | undefined): Protocol<Member> {
    const { geometry } = this.#superblock;
    return joinConfigured(geometry, number, introduction, exclusionOf(capabilities, this.#superblock));
  }

  coordinator({ slot, incarnation }: Member): Coordinator {
    const { geometry } = this.#superblock;
    this.#correspondence = new Correspondence({ geometry, slot, incarnation, configured: true });
    return this.#correspondence;
  }

  register(lane: MainLane, member: Member): Promise<Identity> {
    return lane.bare(registerConfigured(this.#superblock.geometry, member, this.#correspondence!));
  }

  /** It is no member as long as it does not beat; whoever has the number next needs no word of it. */
  *abandon(): Protocol<void> {}

  line({ slot }: Member): Coordinator {
    return new OwnLine(this.#superblock.geometry, slot);
  }

  /** Nobody: words of the line change by a read and a write, of one and the same writer. */
  elsewhere(): undefined {}

  async attend(): Promise<void> {}

  room(client: Client): Room {
    return new OwnRoom(client);
  }

  async leave({ geometry, member, identity }: Client, presence: Presence): Promise<void> {
    await presence.end();
    await presence.lane.proceed(leaveConfigured(geometry, member, identity));
  }
}
