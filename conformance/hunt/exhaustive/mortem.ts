import {
  decodeMember,
  decodePrincipal,
  decodeRoot,
  decodeSnapshotHeader,
  groupWordOffset,
  isExomemError,
  memberLineOffset,
  memberState,
  principalState,
  principalWordOffset,
  snapshotHeaderBytes,
  userGroups,
} from '@exomem/core';
import { imageOf } from '@exomem/core/audit';
import type { Actor } from './actor.js';
import type { Auditor } from './auditor.js';
import type { Plot } from './plot.js';

/**
 * I10: after everybody else was recovered, by one more client, nothing is left but what files name: no page was lost, none
 * freed. What is wrong, or undefined.
 * @param plot from its beginning; of the memory at the end `restore` makes a copy
 */
export function mortem(plot: Plot, restore: (bytes: Uint8Array) => void): string | undefined {
  const cleaner = plot.actors.find(({ name }) => name === 'Z');
  if (cleaner === undefined) return undefined;
  restore(plot.memory.bytes);
  if (plot.auditor !== undefined) auditWait(plot, cleaner, plot.auditor);
  const groupWord = (group: number): bigint => plot.memory.load(groupWordOffset(plot.geometry, group));
  plot.simulation.runAlone(cleaner.simulated, {
    name: 'cleans up',
    start: () => cleaner.coordinated(cleaner.cleanUp()),
    ended: ({ error }) => {
      if (error !== undefined) throw error;
    },
  });
  if (plot.auditor !== undefined) auditAgain(plot, cleaner, plot.auditor);
  const { state } = cleaner.replica;
  if (state.owned.size > 0) return `files that end with principals ${[...state.owned.keys()]} have names`;
  const { groupPages, groupCount, principalSlots, memberSlots } = plot.geometry;
  const named = new Set<number>();
  for (const { extents } of [...state.inodes.values(), ...state.kept.values()]) {
    for (const { page, pages } of extents) for (let at = page; at < page + pages; at++) named.add(at);
  }
  for (let group = 0; group < userGroups(plot.geometry); group++) {
    const word = groupWord(group);
    for (let index = 0; index < groupPages; index++) {
      const page = group * groupPages + index;
      const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * index)) & 3;
      const used = word >> 48n !== 0n && bits !== 0;
      if (used !== named.has(page))
        return `page ${page} is ${used ? 'used' : 'free'}, and ${named.has(page) ? '' : 'not '}named: group ${group} shows ${word.toString(16)}`;
    }
    const owner = Number(word >> 48n);
    if (owner !== 0 && owner !== cleaner.identity.principal) return `group ${group} belongs to principal ${owner}`;
  }
  const { page } = decodeRoot(plot.memory.load(plot.geometry.controlOffset));
  let reserved = 0;
  for (let group = userGroups(plot.geometry); group < groupCount; group++)
    if (groupWord(group) >> 48n !== 0n) reserved++;
  let needed = 0;
  if (page !== 0) {
    const header = decodeSnapshotHeader(plot.memory.bytes.slice(page * 4096, page * 4096 + snapshotHeaderBytes));
    for (const { groups } of header?.runs ?? []) needed += groups;
  }
  if (reserved > needed) return `${reserved} groups of the reserve are taken, and the snapshot lies in ${needed}`;
  for (let principal = 1; principal <= principalSlots; principal++) {
    const word = plot.memory.load(principalWordOffset(plot.geometry, principal));
    if (principal !== cleaner.identity.principal && decodePrincipal(word).state !== principalState.free) {
      return `principal ${principal} is ${word.toString(16)}`;
    }
  }
  for (let slot = 0; slot < memberSlots; slot++) {
    const word = plot.memory.load(memberLineOffset(plot.geometry, slot));
    if (slot !== cleaner.member.slot && decodeMember(word).state !== memberState.free)
      return `member ${slot} is ${word.toString(16)}`;
  }
  return undefined;
}

/** Whoever stands still, or is dead, keeps nobody from being served: a page, or a refusal, in so many steps. */
function auditWait(plot: Plot, { simulated, allocator, identity }: Actor, auditor: Auditor): void {
  const began = plot.simulation.turn;
  plot.simulation.runAlone(simulated, {
    name: 'allocates at last',
    *start() {
      yield* allocator.free(yield* allocator.allocate({ pages: 1, initialise: 'none' }));
    },
    ended: ({ error }) => {
      if (error !== undefined && !isExomemError(error, 'RegionFull')) throw error;
    },
  });
  const steps = plot.simulation.turn - began;
  const { principal, incarnation } = identity;
  const most = 20 + 4 * plot.geometry.groupCount;
  auditor.hold(imageOf(plot.memory), { waits: [{ principal, incarnation, what: 'allocate a page', steps, most }] });
}

/** To recover once more changes nothing. */
function auditAgain(plot: Plot, cleaner: Actor, auditor: Auditor): void {
  const recovered = imageOf(plot.memory);
  plot.simulation.runAlone(cleaner.simulated, { name: 'cleans up again', start: () => cleaner.cleanUp() });
  auditor.hold(imageOf(plot.memory), { recovered });
}
