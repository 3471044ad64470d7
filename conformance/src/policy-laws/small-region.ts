import {
  type AllocationPolicy,
  type Coordinator,
  defaultRedoBytes,
  encodeMember,
  encodePrincipal,
  type Geometry,
  groupWordOffset,
  type Identity,
  incompatible,
  isExomemError,
  memberLineOffset,
  memberState,
  pageBits,
  planGeometry,
  principalState,
  principalWordOffset,
  repeatBits,
  userGroups,
} from '@exomem/core';
import { SimulatedMemory } from '../simulator/index.js';

/** How a small region looks in the beginning. */
export interface RegionShape {
  readonly groups: number;
  readonly groupPages: number;
  /** The memory is zero, and its words say so; otherwise it is dirty, and they say that. */
  readonly clean: boolean;
  /** Members and principals that are there from the beginning. */
  readonly clients: number;
}

/** That client's slot among the members, with its incarnation. */
export function memberOf(geometry: Geometry, client: number): { slot: number; incarnation: number; offset: number } {
  return { slot: client, incarnation: 1, offset: memberLineOffset(geometry, client) };
}

/** Whose name that client acts in. */
export function identityOf(client: number): Identity {
  const word = encodePrincipal({
    state: principalState.active,
    incarnation: 1,
    member: client,
    memberIncarnation: 1,
    policy: 0,
  });
  return { principal: client + 1, incarnation: 1, word };
}

/** How the table of a policy's clients is changed, if the policy says so. */
export function coordinatorOf(policy: AllocationPolicy, geometry: Geometry, client: number): Coordinator | undefined {
  const superblock = { wait: 0 };
  return policy.coordinate?.({ superblock, geometry, member: memberOf(geometry, client), exclusion: 'revoke' });
}

/** The memory of a small region with its members and principals. */
export function smallMemory(geometry: Geometry, { groups, groupPages, clean, clients }: RegionShape): SimulatedMemory {
  const memory = new SimulatedMemory(geometry.regionBytes);
  if (clean) {
    const low = BigInt(repeatBits(groupPages, pageBits.clean));
    for (let group = 0; group < groups; group++) memory.store(groupWordOffset(geometry, group), low);
  } else {
    memory.bytes.fill(0xee, geometry.dataOffset, geometry.copyOffset);
  }
  for (let client = 0; client < clients; client++) {
    const { offset, incarnation } = memberOf(geometry, client);
    memory.store(offset, encodeMember({ state: memberState.active, incarnation, beat: 0 }));
    const { principal, word } = identityOf(client);
    memory.store(principalWordOffset(geometry, principal), word);
  }
  return memory;
}

const regions = new Map<string, Geometry>();
const apart = new WeakSet<Pick<AllocationPolicy, 'feature'>>();

/** The same policy, for regions whose metadata lies in a region of its own. */
export function withDataApart(policy: AllocationPolicy): AllocationPolicy {
  const copy = { ...policy };
  apart.add(copy);
  return copy;
}

/** A region with exactly so many groups for its users, of the variant that the policy needs. */
export function smallRegion(groups: number, groupPages: number, policy?: Pick<AllocationPolicy, 'feature'>): Geometry {
  const isApart = policy !== undefined && apart.has(policy);
  const key = `${groups}x${groupPages}/${policy?.feature}/${isApart}`;
  let geometry = regions.get(key);
  if (geometry === undefined)
    regions.set(key, (geometry = planSmallRegion(groups, groupPages, policy?.feature, isApart)));
  return geometry;
}

function planSmallRegion(groups: number, groupPages: number, feature: bigint | undefined, isApart: boolean): Geometry {
  const memberSlots = 4;
  const options = { groupPages, memberSlots, principalSlots: 8, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 };
  const groupBytes = groupPages * 4096;
  // Before the pages of a data region are a header of a page, and words that take less than another one.
  const dataBytes = isApart ? (groups + Math.ceil(8192 / groupBytes)) * groupBytes : undefined;
  for (let size = groupBytes * (groups + 1); ; size += 4096) {
    const redoBytes = feature === incompatible.locked ? defaultRedoBytes(size, memberSlots) : 0;
    const mailboxes = feature === incompatible.message;
    try {
      const geometry = planGeometry(size, { ...options, redoBytes, mailboxes, dataBytes });
      if (userGroups(geometry) === groups) return geometry;
    } catch (error) {
      if (!isExomemError(error, 'OutOfRange')) throw error;
    }
  }
}
