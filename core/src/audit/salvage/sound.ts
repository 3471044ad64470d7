import type { Inode } from '../../namespace/inode.js';
import type { ByteRange, FileExtent } from '../../namespace/operation.js';
import { inodesPerIndex, type NamespaceState, rootInode } from '../../namespace/state.js';
import type { Tables } from '../image.js';
import { possible } from '../tree.js';
import type { Loss } from './loss.js';
import type { Refuge } from './refuge.js';

/** Makes a tree of whatever names and inodes there are: what hangs on nothing goes to the refuge, what is named falsely loses that name. */
export function hangOnRoot(state: NamespaceState, refuge: Refuge, losses: Loss[]): void {
  const { inodes } = state;
  const root = inodes.get(rootInode)!;
  root.parent = rootInode;
  const reached = new Set([rootInode]);
  const walk = (from: number): void => {
    const fresh = new Set([from]);
    for (const number of fresh) {
      const directory = inodes.get(number)!;
      for (const [name, entry] of [...directory.entries!]) {
        const inode = inodes.get(entry);
        const again = inode?.entries !== undefined && reached.has(entry);
        if (inode === undefined || again || !possible(name)) {
          directory.entries!.delete(name);
          const why =
            inode === undefined
              ? `names inode ${entry}, which there is not`
              : again
                ? 'is another name of a directory'
                : 'is no name';
          losses.push({
            what: `${JSON.stringify(name)} in directory ${number} ${why}: that name is gone`,
            inode: number,
          });
        } else if (inode.entries !== undefined) {
          reached.add(entry);
          fresh.add(entry);
          inode.parent = number;
        }
      }
    }
  };
  walk(rootInode);
  if (refuge.full) return;
  // Those first that hang on no other lost one: what is below them comes along.
  const below = new Set<number>();
  for (const { inode, entries } of inodes.values()) {
    if (entries === undefined || reached.has(inode)) continue;
    for (const entry of entries.values()) if (entry !== inode) below.add(entry);
  }
  const lost = [...inodes.values()].filter(({ inode, entries }) => entries !== undefined && !reached.has(inode));
  lost.sort((a, b) => Number(below.has(a.inode)) - Number(below.has(b.inode)));
  for (const { inode } of lost) {
    if (reached.has(inode)) continue;
    reached.add(inode);
    hang(state, refuge, losses, inode);
    inodes.get(inode)!.parent = refuge.directory;
    walk(inode);
  }
  const named = new Set<number>();
  for (const { entries } of inodes.values()) for (const entry of entries?.values() ?? []) named.add(entry);
  for (const { inode, entries } of [...inodes.values()])
    if (entries === undefined && !named.has(inode)) hang(state, refuge, losses, inode);
  count(inodes);
}

function hang(state: NamespaceState, refuge: Refuge, losses: Loss[], inode: number): void {
  const { entries } = state.directory(refuge.directory);
  losses.push({ what: 'no name led to it', inode });
  entries.set(refuge.name(`#${inode}`), inode);
}

/** Links are what names there are. */
function count(inodes: ReadonlyMap<number, Inode>): void {
  const links = new Map<number, number>();
  const add = (number: number): void => void links.set(number, (links.get(number) ?? 0) + 1);
  for (const { inode, entries } of inodes.values()) {
    for (const entry of entries?.values() ?? []) add(inodes.get(entry)?.entries === undefined ? entry : inode);
  }
  for (const inode of inodes.values())
    inode.links = (links.get(inode.inode) ?? 0) + (inode.entries === undefined ? 0 : 2);
}

/** Puts extents and ranges of files in order, without what cannot be. */
export function orderFiles(state: NamespaceState, losses: Loss[]): void {
  for (const inode of state.inodes.values()) {
    const extents = ordered(inode.extents);
    const unwritten = apart(inode.unwritten);
    if (extents !== undefined || unwritten !== undefined)
      losses.push({ what: 'it had pages or ranges out of order, and keeps those that can be', inode: inode.inode });
    inode.extents = extents ?? inode.extents;
    inode.unwritten = unwritten ?? inode.unwritten;
  }
  for (const file of state.kept.values()) file.extents = ordered(file.extents) ?? file.extents;
}

/** Undefined: they are in order. */
function ordered(extents: readonly FileExtent[]): FileExtent[] | undefined {
  let end = 0;
  const sound = extents.every(({ at, pages }) => {
    const fits = pages >= 1 && at >= end;
    end = at + pages;
    return fits;
  });
  if (sound) return undefined;
  end = 0;
  return extents
    .filter(({ pages }) => pages >= 1)
    .sort((a, b) => a.at - b.at)
    .filter(({ at, pages }) => {
      const fits = at >= end;
      if (fits) end = at + pages;
      return fits;
    });
}
function apart(ranges: readonly ByteRange[]): ByteRange[] | undefined {
  let end = 0;
  const sound = ranges.every(({ from, to }) => {
    const fits = from < to && from >= end;
    end = to;
    return fits;
  });
  if (sound) return undefined;
  // What reads as zero in one of them reads so still.
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of ranges.filter(({ from, to }) => from < to).sort((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
}

/** Takes out what refers to principals that never were or are no more, and to inodes that no record can have made. */
export function forgetStrangers(
  state: NamespaceState,
  { standings }: Tables,
  end: number,
  refuge: Refuge,
  losses: Loss[],
): void {
  const over = (principal: number, incarnation: number): boolean => {
    const standing = standings.of(((principal << 16) | incarnation) >>> 0);
    return standing === 'never' || standing === 'gone';
  };
  for (const inode of state.inodes.values()) {
    const { owner } = inode;
    if (owner === undefined || !over(owner.principal, owner.incarnation)) continue;
    inode.owner = undefined;
    losses.push({
      what: `it was to end with principal ${owner.principal} (incarnation ${owner.incarnation}), who is no more: it stays`,
      inode: inode.inode,
    });
  }
  for (const [inode, { holders }] of [...state.kept]) {
    for (const [principal, incarnation] of [...holders]) if (over(principal, incarnation)) holders.delete(principal);
    if (holders.size === 0 || state.inodes.has(inode) || !can(inode, end)) state.kept.delete(inode);
  }
  for (const [principal, { incarnation, sequence }] of [...state.sequences]) {
    if (incarnation < 1 || sequence < 1) state.sequences.delete(principal);
  }
  for (const [principal, fence] of [...state.fences]) {
    const line = standings.principal(principal);
    if (line === undefined) state.fences.delete(principal);
    else if (fence > line.incarnation) state.fences.set(principal, line.incarnation);
  }
  renumber(state, end, refuge);
}

function can(inode: number, end: number): boolean {
  return inode === rootInode || (inode >= inodesPerIndex && inode < end * inodesPerIndex);
}

/** Inodes whose numbers the log comes to only later get others. */
function renumber(state: NamespaceState, end: number, refuge: Refuge): void {
  const { inodes } = state;
  const strange = [...inodes.keys()].filter((inode) => !can(inode, end));
  if (strange.length === 0) return;
  const numbers = new Map(strange.map((inode) => [inode, refuge.fresh()]));
  for (const [from, to] of numbers) {
    inodes.set(to, { ...inodes.get(from)!, inode: to });
    inodes.delete(from);
  }
  for (const inode of inodes.values()) {
    inode.parent = numbers.get(inode.parent) ?? inode.parent;
    for (const [name, entry] of inode.entries ?? []) inode.entries!.set(name, numbers.get(entry) ?? entry);
  }
}
