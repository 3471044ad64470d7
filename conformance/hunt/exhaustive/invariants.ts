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
import type { Client, Moment } from './judgement.js';
import { committed, pending } from './lock-invariant.js';
import type { Held } from './told.js';

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
export const always: readonly Invariant<(moment: Moment) => string | undefined>[] = [
  {
    id: 'I16',
    sentence: 'No group is granted to two, unless one of them is shut out.',
    from: 'told',
    check: oneGrantee,
  },
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
  {
    id: 'L1',
    sentence: 'Nobody takes a lease once it was declared dead.',
    from: 'told',
    check: leased,
  },
  {
    id: 'N1',
    sentence: 'Nobody holds a lock by name that another holds, unless one of them is shut out.',
    from: 'told',
    check: oneHolder,
  },
  {
    id: 'R3',
    sentence: 'A file that ends with its owner has no name when that has ended.',
    from: 'bytes',
    check: owned,
  },
];

/** A page is written by whoever has it, or while it is withheld and somebody may look at it by the name of a file. */
export function touched(moment: Moment, who: Client, offset: number): string | undefined {
  const { dataOffset, pageSize, groupPages } = moment.geometry;
  const page = Math.floor((offset - dataOffset) / pageSize);
  const word = moment.groupWord(Math.floor(page / groupPages));
  const [principal, incarnation] = [Number(word >> 48n), Number((word >> 32n) & 0xffffn)];
  if (who.identities.some((one) => one.principal === principal && one.incarnation === incarnation)) return undefined;
  const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * (page % groupPages))) & 3;
  if (principal !== 0 && bits === 3) return undefined;
  return `${who.name} writes to page ${page}, which shows ${bits} under principal ${principal}`;
}

function oneHolder(moment: Moment): string | undefined {
  const holders = moment.clients.filter(({ turn, stands, gone }) => turn !== undefined && stands && !gone);
  return holders.length < 2 ? undefined : `${holders.map(({ name }) => name).join(' and ')} hold the lock`;
}

/** Of what every member believes. */
function leased(moment: Moment): string | undefined {
  for (const client of moment.clients) {
    if (client.dead || client.member === undefined || client.leaseEnd <= moment.now(client)) continue;
    const { state, incarnation } = decodeMember(moment.memberWord(client.member.slot));
    if ((state === memberState.joining || state === memberState.active) && incarnation === client.member.incarnation)
      continue;
    return `${client.name} was declared dead at ${moment.now(client)}, and has a lease until ${client.leaseEnd}`;
  }
  return undefined;
}

/** True of every change of a word. */
export const grows: readonly Invariant<(moment: Moment, who: Client, change: Change) => string | undefined>[] = [
  {
    id: 'R1',
    sentence:
      'An owned group word is changed by who acts for its owner, or after the death of that; anybody claims a free one.',
    from: 'told',
    // Under the lock that is judged when it is committed, whoever does it then.
    check: (moment, who, change) => (moment.plot.locked ? undefined : rightful(moment, who, change)),
  },
  {
    id: 'I11',
    sentence:
      'Incarnations, laps, versions and published indexes only grow, and states follow each other as the format says.',
    from: 'bytes',
    check: grown,
  },
  {
    id: 'I15',
    sentence:
      'The table changes only as the holder of the lock has committed, and is the last committed one when the lock is let go.',
    from: 'bytes',
    check: committed,
  },
  {
    id: 'R2',
    sentence: 'A principal that died is free when no word shows it any more.',
    from: 'bytes',
    check: emptied,
  },
  {
    id: 'L1',
    sentence: 'Nobody is declared dead as long as its lease runs by its own clock.',
    from: 'told',
    check: leaseKept,
  },
  {
    id: 'I12',
    sentence: 'A page that is free and said to be clean is zero.',
    from: 'bytes',
    check: cleaned,
  },
  {
    id: 'R3',
    sentence: 'A principal that has ended has no file that ends with it.',
    from: 'bytes',
    check: disowned,
  },
];

/** The death of a principal is over when no word shows it any more. */
function emptied(moment: Moment, _who: Client, { offset, before, after }: Change): string | undefined {
  const { principalOffset, groupOffset } = moment.geometry;
  if (offset < principalOffset || offset >= groupOffset) return undefined;
  // A claim of the dead may have landed behind the last look; `scrub` finds it, and I10 says so.
  if (moment.waits) return undefined;
  const [old, now] = [decodePrincipal(before), decodePrincipal(after)];
  if (old.state !== principalState.dying || now.state !== principalState.free) return undefined;
  const principal = (offset - principalOffset) / 8;
  for (let group = 0; group < userGroups(moment.geometry); group++) {
    const word = moment.groupWord(group);
    if (Number(word >> 48n) === principal && Number((word >> 32n) & 0xffffn) <= old.incarnation) {
      return `principal ${principal} is free, and group ${group} still shows it`;
    }
  }
  for (const word of pending(moment)) {
    if (Number(word >> 48n) === principal && Number((word >> 32n) & 0xffffn) <= old.incarnation)
      return `principal ${principal} is free, and will be shown by what was committed and is not done`;
  }
  return undefined;
}

/** Who is given such a page does not zero it. */
function cleaned(moment: Moment, who: Client, { offset, after }: Change): string | undefined {
  const { groupOffset, groupCount, groupPages } = moment.geometry;
  if (offset < groupOffset || offset >= groupOffset + groupCount * 8 || after >> 48n !== 0n) return undefined;
  const group = (offset - groupOffset) / 8;
  for (let index = 0; index < groupPages; index++) {
    const clean = ((Number(after & 0xffff_ffffn) >>> (30 - 2 * index)) & 3) !== 0;
    const page = group * groupPages + index;
    if (clean && !moment.isZero(page)) return `${who.name} says that page ${page} is clean, and it is not`;
  }
  return undefined;
}

/** True when nobody has anything left to do. */
export const atTheEnd: readonly Invariant<(moment: Moment) => string | undefined>[] = [
  {
    id: 'I8',
    sentence: 'Each append counts once if its author was told so, and at most once if it was not.',
    from: 'told',
    check: ({ clients, seen }) => {
      for (const { name, own, begun, appended } of clients) {
        if (begun === 0) continue;
        let made = 0;
        for (const { author, creates } of seen.records.values()) if (creates && author === own!.principal) made++;
        if (made < appended || made > begun)
          return `${made} records of ${name} count, which began ${begun} and was told of ${appended}`;
      }
      return undefined;
    },
  },
];

function oneHandle(moment: Moment): string | undefined {
  const { clients } = moment;
  for (let at = 0; at < clients.length; at++) {
    const one = clients[at]!;
    if (!one.stands || one.handles.length === 0) continue;
    const handles = moment.handlesOf(one);
    for (let first = 0; first < handles.length; first++) {
      const held = handles[first]!;
      for (let second = first + 1; second < handles.length; second++) {
        if (overlap(held, handles[second]!)) return `${one.name} was given page ${held.page} twice`;
      }
      for (let more = at + 1; more < clients.length; more++) {
        const other = clients[more]!;
        if (!other.stands || other.handles.length === 0) continue;
        if (moment.handlesOf(other).some((its) => overlap(held, its)))
          return `${one.name} and ${other.name} both hold pages of those from ${held.page} on`;
      }
    }
  }
  return undefined;
}

function oneGrantee({ clients }: Moment): string | undefined {
  const grantees = new Map<number, string>();
  for (const { stands, gone, groups, name } of clients) {
    if (!stands || gone) continue;
    for (const group of groups) {
      const other = grantees.get(group);
      if (other !== undefined) return `group ${group} was granted to ${other} and to ${name}`;
      grantees.set(group, name);
    }
  }
  return undefined;
}

function overlap(one: Held, other: Held): boolean {
  return one.page < other.page + other.pages && other.page < one.page + one.pages;
}

function shown(moment: Moment): string | undefined {
  const { groupPages } = moment.geometry;
  for (const client of moment.clients) {
    if (!client.stands || client.handles.length === 0) continue;
    for (const { page: first, pages, principal, incarnation } of moment.handlesOf(client)) {
      for (let page = first; page < first + pages; page++) {
        const word = moment.groupWord(Math.floor(page / groupPages));
        const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * (page % groupPages))) & 3;
        const high = Number(word >> 32n);
        if (high !== ownerHalf(principal, incarnation)) {
          // Who died keeps its handles until it is shut out; its words are taken only after that.
          return `page ${page} of ${client.name} is in a word of principal ${high >>> 16}`;
        }
        if (bits !== (page === first ? 1 : 2)) return `page ${page} of ${client.name} shows ${bits}`;
      }
    }
  }
  return undefined;
}

function custody(moment: Moment): string | undefined {
  const { groupPages } = moment.geometry;
  for (const { page, pages } of moment.seen.named) {
    for (let at = page; at < page + pages; at++) {
      const word = moment.groupWord(Math.floor(at / groupPages));
      const bits = (Number(word & 0xffff_ffffn) >>> (30 - 2 * (at % groupPages))) & 3;
      if (word >> 48n === 0n || bits !== 3)
        return `page ${at} is named and shows ${bits} under principal ${word >> 48n}`;
    }
  }
  return undefined;
}

function leaseKept(moment: Moment, _who: Client, { offset }: Change): string | undefined {
  const { memberOffset, principalOffset } = moment.geometry;
  return offset < memberOffset || offset >= principalOffset ? undefined : leased(moment);
}

/** Of the files that end with their owner. */
function owned(moment: Moment): string | undefined {
  for (const [name, owner] of moment.seen.names) {
    if (owner === undefined) continue;
    const line = decodePrincipal(moment.principalWord(owner.principal));
    if (line.state === principalState.adopting) continue;
    const over =
      line.state === principalState.free ? owner.incarnation <= line.incarnation : owner.incarnation < line.incarnation;
    if (over) return `${name} ends with principal ${owner.principal} (incarnation ${owner.incarnation}), who has ended`;
  }
  return undefined;
}

/** They are held against it when names change, and when a principal does. */
function disowned(moment: Moment, _who: Client, { offset }: Change): string | undefined {
  const { principalOffset, groupOffset } = moment.geometry;
  return offset < principalOffset || offset >= groupOffset ? undefined : owned(moment);
}

const incarnationBits = 0xffffn << 32n;

/** R1 */
export function rightful(moment: Moment, who: Client, { offset, before, after }: Change): string | undefined {
  const { groupOffset, groupCount } = moment.geometry;
  if (offset < groupOffset || offset >= groupOffset + groupCount * 8) return undefined;
  const principal = Number(before >> 48n);
  if (principal === 0) return undefined;
  const incarnation = Number((before >> 32n) & 0xffffn);
  if (who.identities.some((one) => one.principal === principal && one.incarnation === incarnation)) return undefined;
  const line = decodePrincipal(moment.principalWord(principal));
  const dead =
    line.state === principalState.free || line.state === principalState.dying
      ? incarnation <= line.incarnation
      : line.state !== principalState.adopting && incarnation < line.incarnation;
  if (dead) return undefined;
  const handed = line.member === who.member?.slot && line.memberIncarnation === who.member.incarnation;
  if (handed && line.incarnation === incarnation) return undefined;
  // Who adopts gives its words the new incarnation, and changes nothing else of them; and so does, late, who began to before.
  const later = Number((after >> 32n) & 0xffffn);
  const same =
    after === 0n ? (before & 0xffff_ffffn) === 0n : (after & ~incarnationBits) === (before & ~incarnationBits);
  const retags = after === 0n || (later > incarnation && later <= line.incarnation);
  if (line.state === principalState.adopting && incarnation < line.incarnation && same && retags) return undefined;
  return `${who.name} turns group ${(offset - groupOffset) / 8} from ${before.toString(16)} to ${after.toString(16)}, whose owner lives`;
}

function grown(moment: Moment, who: Client, change: Change): string | undefined {
  const { offset, before, after } = change;
  const { controlOffset, memberOffset, principalOffset, groupOffset, logOffset, arenaOffset } = moment.geometry;
  const from = `${before.toString(16)} -> ${after.toString(16)} by ${who.name}`;
  if (offset === controlOffset) {
    const step = decodeRoot(after).version - decodeRoot(before).version;
    return step === 1 ? undefined : `the root: ${from}`;
  }
  if (offset >= memberOffset && offset < principalOffset) {
    const field = (offset - memberOffset) % memberStride;
    const slot = Math.floor((offset - memberOffset) / memberStride);
    if (field === memberFields.w0)
      return memberGrown(moment, slot, before, after) ? undefined : `member ${slot}: ${from}`;
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

function memberGrown(_moment: Moment, _slot: number, before: bigint, after: bigint): boolean {
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
  const { free, registering, active, adopting, dying } = principalState;
  if (old.state === free) return now.state === registering && now.incarnation === old.incarnation + 1;
  if (now.state === adopting) {
    return now.incarnation === old.incarnation + 1 && (old.state === active || old.state === adopting);
  }
  if (now.incarnation !== old.incarnation) return false;
  switch (now.state) {
    case active:
      return old.state === registering || old.state === active || old.state === adopting;
    case dying:
      return old.state === registering || old.state === active || old.state === adopting;
    case free:
      return old.state === active || old.state === dying;
    default:
      return false;
  }
}
