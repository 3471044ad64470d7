import {
  decodeApplied,
  decodeMember,
  decodePrincipal,
  decodeRoot,
  decodeSlot,
  memberFields,
  memberState,
  memberStride,
  ownerHalf,
  principalState,
  userGroups,
} from '@exomem/core';
import type { Actor } from './actor.js';
import type { Plot } from './plot.js';

/** Something that must be true; what is wrong, or undefined. */
export interface Invariant<Check> {
  readonly id: string;
  readonly sentence: string;
  /** Whether the bytes of the region alone decide it, or what clients were told too. */
  readonly from: 'bytes' | 'told';
  readonly check: Check;
}

export interface Change {
  readonly offset: number;
  readonly before: bigint;
  readonly after: bigint;
}

/** True at every instant. */
export const always: readonly Invariant<(plot: Plot) => string | undefined>[] = [
  {
    id: 'I1',
    sentence: 'No page is in two handles that were given out, unless the holder of one is shut out.',
    from: 'told',
    check: oneHandle,
  },
  {
    id: 'I2',
    sentence: 'The words of a live handle show it.',
    from: 'told',
    check: shown,
  },
  {
    id: 'I6',
    sentence: 'A page that a file refers to is withheld and has a custodian.',
    from: 'bytes',
    check: custody,
  },
];

/** True of every change of a word. */
export const grows: readonly Invariant<(plot: Plot, who: Actor, change: Change) => string | undefined>[] = [
  {
    id: 'R1',
    sentence:
      'An owned group word is changed by who acts for its owner, or after the death of that; anybody claims a free one.',
    from: 'told',
    check: rightful,
  },
  {
    id: 'I11',
    sentence:
      'Incarnations, laps, versions and published indexes only grow, and states follow each other as the format says.',
    from: 'bytes',
    check: grown,
  },
  {
    id: 'R2',
    sentence: 'A principal that died is free when no word shows it any more.',
    from: 'bytes',
    check: emptied,
  },
];

/** The death of a principal is over when no word shows it any more. */
function emptied(plot: Plot, _who: Actor, { offset, before, after }: Change): string | undefined {
  const { principalOffset, groupOffset } = plot.geometry;
  if (offset < principalOffset || offset >= groupOffset) return undefined;
  const [old, now] = [decodePrincipal(before), decodePrincipal(after)];
  if (old.state !== principalState.dying || now.state !== principalState.free) return undefined;
  const principal = (offset - principalOffset) / 8;
  for (let group = 0; group < userGroups(plot.geometry); group++) {
    const word = plot.groupWord(group);
    if (Number(word >> 48n) === principal && Number((word >> 32n) & 0xffffn) <= old.incarnation) {
      return `principal ${principal} is free, and group ${group} still shows it`;
    }
  }
  return undefined;
}

/** True when nobody has anything left to do. */
export const atTheEnd: readonly Invariant<(plot: Plot) => string | undefined>[] = [
  {
    id: 'I3',
    sentence: 'Every page that is not free is in a handle, named, or known to its owner.',
    from: 'told',
    check: (plot) => {
      for (const actor of plot.actors) {
        if (!actor.stands || actor.gone || actor.left || actor.simulated.dead) continue;
        const [first] = plot.simulation.glance(actor.allocator.validate());
        if (first !== undefined) return `${actor.name}: ${first.what}`;
      }
      return undefined;
    },
  },
  {
    id: 'I8',
    sentence: 'Each append counts once if its author was told so, and at most once if it was not.',
    from: 'told',
    check: (plot) => {
      for (const actor of plot.actors) {
        if (actor.begun === 0) continue;
        const made = [...plot.records.values()].filter(
          ({ author, operations }) =>
            author === actor.identity.principal && operations.some(({ op }) => op === 'create'),
        ).length;
        if (made < actor.appended || made > actor.begun) {
          return `${made} records of ${actor.name} count, which began ${actor.begun} and was told of ${actor.appended}`;
        }
      }
      return undefined;
    },
  },
  {
    id: 'I10',
    sentence: 'After everybody else was recovered, nothing is left but what files name: no page was lost, none freed.',
    from: 'bytes',
    check: nothingLeft,
  },
];

function oneHandle({ actors }: Plot): string | undefined {
  const seen = new Map<number, string>();
  for (const actor of actors) {
    if (!actor.stands) continue;
    for (const { extent } of actor.handles) {
      for (let page = extent.page; page < extent.page + extent.pages; page++) {
        const other = seen.get(page);
        if (other !== undefined) return `${other} and ${actor.name} both hold page ${page}`;
        seen.set(page, actor.name);
      }
    }
  }
  return undefined;
}

function shown(plot: Plot): string | undefined {
  const { groupPages } = plot.geometry;
  for (const actor of plot.actors) {
    if (!actor.stands) continue;
    for (const { extent, identity } of actor.handles) {
      for (let page = extent.page; page < extent.page + extent.pages; page++) {
        const word = plot.groupWord(Math.floor(page / groupPages));
        const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * (page % groupPages))) & 3;
        const high = Number(word >> 32n);
        if (high !== ownerHalf(identity.principal, identity.incarnation)) {
          // Who died keeps its handles until it is shut out; its words are taken only after that.
          return `page ${page} of ${actor.name} is in a word of principal ${high >>> 16}`;
        }
        if (bits !== (page === extent.page ? 1 : 2)) return `page ${page} of ${actor.name} shows ${bits}`;
      }
    }
  }
  return undefined;
}

function custody(plot: Plot): string | undefined {
  const { state } = plot.witness;
  const { groupPages } = plot.geometry;
  for (const { extents } of [...state.inodes.values(), ...state.kept.values()]) {
    for (const { page, pages } of extents) {
      for (let at = page; at < page + pages; at++) {
        const word = plot.groupWord(Math.floor(at / groupPages));
        const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * (at % groupPages))) & 3;
        if (word >> 48n === 0n || bits !== 3)
          return `page ${at} is named and shows ${bits} under principal ${word >> 48n}`;
      }
    }
  }
  return undefined;
}

function rightful(plot: Plot, who: Actor, { offset, before, after }: Change): string | undefined {
  const { groupOffset, groupCount } = plot.geometry;
  if (offset < groupOffset || offset >= groupOffset + groupCount * 8) return undefined;
  const principal = Number(before >> 48n);
  if (principal === 0) return undefined;
  const incarnation = Number((before >> 32n) & 0xffffn);
  if (who.identities.some((one) => one.principal === principal && one.incarnation === incarnation)) return undefined;
  const line = decodePrincipal(plot.principalWord(principal));
  const dead =
    line.state === principalState.free || line.state === principalState.dying
      ? incarnation <= line.incarnation
      : line.state !== principalState.adopting && incarnation < line.incarnation;
  if (dead) return undefined;
  const handed = line.member === who.member?.slot && line.memberIncarnation === who.member.incarnation;
  if (handed && line.incarnation === incarnation) return undefined;
  return `${who.name} turns group ${(offset - groupOffset) / 8} from ${before.toString(16)} to ${after.toString(16)}, whose owner lives`;
}

function grown(plot: Plot, who: Actor, change: Change): string | undefined {
  const { offset, before, after } = change;
  const { controlOffset, memberOffset, principalOffset, groupOffset, logOffset, arenaOffset } = plot.geometry;
  const from = `${before.toString(16)} -> ${after.toString(16)} by ${who.name}`;
  if (offset === controlOffset) {
    const step = decodeRoot(after).version - decodeRoot(before).version;
    return step === 1 ? undefined : `the root: ${from}`;
  }
  if (offset >= memberOffset && offset < principalOffset) {
    const field = (offset - memberOffset) % memberStride;
    const slot = Math.floor((offset - memberOffset) / memberStride);
    if (field === memberFields.w0)
      return memberGrown(plot, slot, before, after) ? undefined : `member ${slot}: ${from}`;
    if (field !== memberFields.w1) return undefined;
    const [old, now] = [decodeApplied(before), decodeApplied(after)];
    const fine =
      now.incarnation > old.incarnation || (now.incarnation === old.incarnation && now.applied > old.applied);
    return fine ? undefined : `w1 of member ${slot}: ${from}`;
  }
  if (offset >= principalOffset && offset < groupOffset) {
    return principalGrown(before, after) ? undefined : `principal ${(offset - principalOffset) / 8}: ${from}`;
  }
  if (offset >= logOffset && offset < arenaOffset) {
    const [old, now] = [decodeSlot(before), decodeSlot(after)];
    const set = now.lap === old.lap && old.address === 0 && now.address !== 0;
    const emptied = now.lap === old.lap + 1 && now.address === 0;
    return set || emptied ? undefined : `log slot ${(offset - logOffset) / 8}: ${from}`;
  }
  return undefined;
}

function memberGrown(_plot: Plot, _slot: number, before: bigint, after: bigint): boolean {
  const [old, now] = [decodeMember(before), decodeMember(after)];
  const { free, joining, active, fenced } = memberState;
  if (old.state === free) return now.state === joining && now.incarnation === old.incarnation + 1;
  if (now.incarnation !== old.incarnation) return false;
  switch (now.state) {
    case free:
      return old.state === fenced;
    case joining:
      return old.state === joining;
    case active:
      return old.state === joining || old.state === active;
    default:
      return old.state === joining || old.state === active;
  }
}

function principalGrown(before: bigint, after: bigint): boolean {
  const [old, now] = [decodePrincipal(before), decodePrincipal(after)];
  const { free, registering, active, dying } = principalState;
  if (old.state === free) return now.state === registering && now.incarnation === old.incarnation + 1;
  if (now.incarnation !== old.incarnation) return false;
  switch (now.state) {
    case active:
      return old.state === registering || old.state === active;
    case dying:
      return old.state === registering || old.state === active;
    case free:
      return old.state === active || old.state === dying;
    default:
      return false;
  }
}

function nothingLeft(plot: Plot): string | undefined {
  const cleaner = plot.actors.find(({ name }) => name === 'Z');
  if (cleaner === undefined) return undefined;
  plot.simulation.runAlone(cleaner.simulated, {
    name: 'cleans up',
    start: () => cleaner.cleanUp(),
    ended: ({ error }) => {
      if (error !== undefined) throw error;
    },
  });
  const { state } = cleaner.replica;
  const { groupPages, groupCount, principalSlots, memberSlots } = plot.geometry;
  const named = new Set<number>();
  for (const { extents } of [...state.inodes.values(), ...state.kept.values()]) {
    for (const { page, pages } of extents) for (let at = page; at < page + pages; at++) named.add(at);
  }
  for (let group = 0; group < userGroups(plot.geometry); group++) {
    const word = plot.groupWord(group);
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
    if (plot.groupWord(group) >> 48n !== 0n) reserved++;
  if (reserved > (page === 0 ? 0 : 1)) return `${reserved} groups of the reserve are taken`;
  for (let principal = 1; principal <= principalSlots; principal++) {
    const word = plot.principalWord(principal);
    if (principal !== cleaner.identity.principal && decodePrincipal(word).state !== principalState.free) {
      return `principal ${principal} is ${word.toString(16)}`;
    }
  }
  for (let slot = 0; slot < memberSlots; slot++) {
    const word = plot.memberWord(slot);
    if (slot !== cleaner.member.slot && decodeMember(word).state !== memberState.free)
      return `member ${slot} is ${word.toString(16)}`;
  }
  return undefined;
}
