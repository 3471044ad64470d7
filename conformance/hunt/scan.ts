import {
  bitsOf,
  type Client,
  controlFields,
  decodeRoot,
  decodeSnapshotHeader,
  type Geometry,
  groupWordOffset,
  memberState,
  ownerOf,
  pageBits,
  principalState,
  userGroups,
} from '@exomem/core';

/** Who is to be there when everything has come to rest. */
export interface Company {
  readonly members: readonly { readonly slot: number; readonly incarnation: number }[];
  /** Applications that may be without a client, waiting for somebody to adopt them; what they hold is judged by whoever does. */
  readonly kept?: readonly number[];
  /** Pages that each other principal was told it holds; who is not mentioned holds none. */
  readonly held?: ReadonlyMap<number, number>;
}

/** What a region holds, and what is wrong with it. Counts of pages. */
export interface Scan {
  readonly total: number;
  /** In groups that nobody owns, and between the pages of others. */
  readonly free: number;
  readonly held: number;
  readonly withheld: number;
  /** That files refer to. */
  readonly named: number;
  readonly wrong: readonly string[];
}

/**
 * Holds a region at rest against what it has to be, from its bytes: independent of what allocators and recoverers believe.
 * Every page that a file refers to is withheld, by somebody who is there, in one file alone; nothing else is withheld;
 * nothing is held but what living clients were told; nobody is in the tables but who is there, no file has a name that was
 * to end with one who is gone.
 */
export async function scan(observer: Client, company: Company): Promise<Scan> {
  const { geometry, session } = observer;
  const words = new Uint32Array(2 * geometry.groupCount);
  await session.read(groupWordOffset(geometry, 0), new Uint8Array(words.buffer));
  const { members, principals } = await observer.members();
  await observer.refresh();
  const wrong: string[] = [];
  const here = (slot: number, incarnation: number) =>
    company.members.some((one) => one.slot === slot && one.incarnation === incarnation);
  for (const { slot, state, incarnation } of members) {
    if (state === memberState.free) continue;
    if (state !== memberState.active) wrong.push(`member ${slot} is in state ${state}`);
    else if (!here(slot, incarnation)) wrong.push(`member ${slot}, who is dead, is ACTIVE`);
  }
  for (const { slot, incarnation } of company.members) {
    const line = members[slot];
    if (line?.incarnation !== incarnation || line.state !== memberState.active)
      wrong.push(`member ${slot}, who lives, is not in the table`);
  }
  const living = new Map<number, number>();
  for (const { principal, state, incarnation, member, memberIncarnation } of principals) {
    if (state === principalState.free) continue;
    if (state !== principalState.active) wrong.push(`principal ${principal} is in state ${state}`);
    else if (here(member, memberIncarnation) || company.kept?.includes(principal)) living.set(principal, incarnation);
    else wrong.push(`principal ${principal} belongs to member ${member}, who is dead`);
  }

  const named = new Map<number, string>();
  const { inodes, kept, owned } = observer.state;
  for (const [principal, files] of owned) {
    for (const { inode, owner } of files) {
      if (living.get(principal) !== owner!.incarnation)
        wrong.push(`file ${inode} has a name, and ends with principal ${principal}, who is not there`);
    }
  }
  for (const [inode, { extents }] of [...inodes, ...kept]) {
    for (const { page, pages } of extents) {
      for (let at = page; at < page + pages; at++) {
        if (named.has(at)) wrong.push(`page ${at} is in ${named.get(at)} and in file ${inode}`);
        named.set(at, `file ${inode}`);
      }
    }
  }
  const { groupPages } = geometry;
  const counts = { free: 0, held: 0, withheld: 0 };
  const held = new Map<number, number>();
  for (let group = 0; group < userGroups(geometry); group++) {
    const [low, { principal, incarnation }] = [words[2 * group]!, ownerOf(words[2 * group + 1]!)];
    if (principal === 0) {
      counts.free += groupPages;
      for (let index = 0; index < groupPages; index++) {
        const found = named.get(group * groupPages + index);
        if (found !== undefined) wrong.push(`page ${group * groupPages + index} of ${found} is free`);
      }
      continue;
    }
    if (living.get(principal) !== incarnation) {
      wrong.push(`group ${group} belongs to principal ${principal} in incarnation ${incarnation}, who is not there`);
    }
    for (let index = 0; index < groupPages; index++) {
      const page = group * groupPages + index;
      const bits = bitsOf(low, index);
      if (bits === pageBits.withheld) {
        counts.withheld++;
        // What the dead had begun in an application's name waits for whoever adopts it.
        if (!named.has(page) && !company.kept?.includes(principal))
          wrong.push(`page ${page} is withheld, and no file has it`);
        continue;
      }
      if (named.has(page)) wrong.push(`page ${page} of ${named.get(page)} has bits ${bits}`);
      if (bits === pageBits.free) counts.free++;
      else {
        counts.held++;
        held.set(principal, (held.get(principal) ?? 0) + 1);
      }
    }
  }
  for (const principal of new Set([...held.keys(), ...(company.held?.keys() ?? [])])) {
    if (company.kept?.includes(principal)) continue;
    const [found, told] = [held.get(principal) ?? 0, company.held?.get(principal) ?? 0];
    if (found !== told) wrong.push(`principal ${principal} holds ${found} pages, and was told of ${told}`);
  }
  wrong.push(...(await scanReserve(observer, words, living)));
  return { total: userGroups(geometry) * groupPages, ...counts, named: named.size, wrong };
}

/** The reserve: the newest snapshot lies in it whole, in words of somebody who is there, and nothing else does. */
async function scanReserve(observer: Client, words: Uint32Array, living: Map<number, number>): Promise<string[]> {
  const { geometry } = observer;
  const wrong: string[] = [];
  const snapshot = await snapshotGroups(observer, geometry);
  for (let group = userGroups(geometry); group < geometry.groupCount; group++) {
    const { principal, incarnation } = ownerOf(words[2 * group + 1]!);
    if (principal === 0) {
      if (snapshot.has(group)) wrong.push(`group ${group} of the snapshot is free`);
      continue;
    }
    if (!snapshot.has(group)) wrong.push(`group ${group} of the reserve is taken, and the snapshot is not in it`);
    if (living.get(principal) !== incarnation) wrong.push(`group ${group} of the reserve belongs to nobody there`);
  }
  return wrong;
}

async function snapshotGroups({ session }: Client, geometry: Geometry): Promise<Set<number>> {
  const { page } = decodeRoot(await session.load(geometry.controlOffset + controlFields.root));
  const groups = new Set<number>();
  if (page === 0) return groups;
  const bytes = new Uint8Array(4096);
  await session.read(page * 4096, bytes);
  const header = decodeSnapshotHeader(bytes);
  if (header === undefined) throw new Error('the root points at no snapshot');
  for (const run of header.runs) for (let at = 0; at < run.groups; at++) groups.add(run.group + at);
  return groups;
}
