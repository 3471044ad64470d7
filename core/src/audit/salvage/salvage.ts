import { decodeState, encodeState } from '../../namespace/snapshot.js';
import { type NamespaceState, rootInode } from '../../namespace/state.js';
import type { Protocol } from '../../protocol/protocol.js';
import { count } from '../finding.js';
import { snapshotKeeper } from '../repair/groups.js';
import type { Mend, Patient } from '../repair/mend.js';
import { treeProblems } from '../tree.js';
import type { Loss } from './loss.js';
import { PageJudge } from './pages.js';
import { pathsOf } from './paths.js';
import { Refuge } from './refuge.js';
import { Replay } from './replay.js';
import { forgetStrangers, hangOnRoot, orderFiles } from './sound.js';
import { readSources, type Sources } from './sources.js';
import { writeSnapshot } from './write.js';

export type { Loss } from './loss.js';

/** What a salvage comes to. */
export interface Salvage {
  /** What makes it so; nothing if it was refused. */
  readonly mends: readonly Mend[];
  /** What is lost, or is not what it was. */
  readonly losses: readonly Loss[];
  /** Why it cannot be done. */
  readonly refused?: string;
}

/**
 * Rebuilds the namespace of what is left: the newest whole snapshot, and all whole records behind it. It becomes a snapshot of its
 * own at the end of the log, so whatever cannot be read lies behind it then. Nobody may be joined: members have read what cannot
 * be read any more, and go on from that.
 */
export function* salvage({ image, tables, damage }: Patient): Protocol<Salvage> {
  const refuse = (refused: string): Salvage => ({ mends: [], losses: [], refused });
  const { block } = image.superblock;
  if (block === undefined) return refuse('no superblock says what this region is');
  const sources = yield* readSources(block, tables);
  const { state, losses } = rebuild({ tables, damage }, sources);
  const body = encodeState(state);
  const problems = treeProblems(decodeState(body, state.pageSize, state.index), 1);
  if (problems.length > 0) return refuse(`what is left is no tree: ${problems[0]!.what}`);
  const keeper = snapshotKeeper(tables);
  if (keeper === undefined)
    return refuse('every number of a principal is taken: nobody is left to keep a snapshot for');
  const spared = new Set([...sources.groups, ...(tables.log.snapshot?.groups ?? [])]);
  const written = yield* writeSnapshot(tables, { body, end: sources.end, keeper: keeper.high, spared });
  if (written === undefined) return refuse('the reserve has no room for another snapshot');
  const what = `the namespace is rebuilt of ${sourcesInWords(sources)}, at index ${sources.end}`;
  const changes = [...keeper.changes, ...written];
  return { mends: [{ oracle: 'log', what, where: tables.rootAt, changes }], losses };
}

function sourcesInWords({ base, current, groups, records }: Sources): string {
  const rest = records.length === 0 ? [] : [count(records.length, 'record')];
  const snapshot = groups.length === 0 ? [] : [`${current ? 'its' : 'an older'} snapshot of index ${base.index}`];
  const parts = [...snapshot, ...rest];
  return parts.length === 0 ? 'pages alone' : parts.join(' and ');
}

function rebuild(
  { tables, damage }: Pick<Patient, 'tables' | 'damage'>,
  { base, current, groups, records, end }: Sources,
): { readonly state: NamespaceState; readonly losses: readonly Loss[] } {
  const losses: Loss[] = [];
  const refuge = new Refuge(base, end - 1);
  if (!current) {
    const instead = groups.length === 0 ? 'there is no other' : `the one of index ${base.index} takes its place`;
    losses.push({ what: `the snapshot of the namespace is lost: ${instead}` });
  }
  const first = base.index;
  hangOnRoot(base, refuge, losses);
  orderFiles(base, losses);
  const replay = new Replay(base, refuge, { userPages: tables.userPages, gap: !current });
  replay.run(records, end);
  losses.push(...replay.losses);
  for (const inode of replay.remade) {
    if (base.inodes.has(inode))
      losses.push({ what: 'it was made by a record that is lost: it has what later records say of it alone', inode });
  }
  hangOnRoot(base, refuge, losses);
  orderFiles(base, losses);
  forgetStrangers(base, tables, end, refuge, losses);

  const judge = new PageJudge(tables, replay.claims, damage);
  const whole = current && records.length === end - first;
  const removed: Loss[] = [];
  const paths = pathsOf(base);
  for (const [inode, pages] of judge.strip(base)) {
    const file = base.inodes.get(inode);
    if (file === undefined) continue;
    const ranges = inRanges(pages);
    if (file.extents.length > 0 || whole) {
      losses.push({ what: `its pages ${ranges} are free or another’s: it reads as zero there`, inode });
      continue;
    }
    removed.push({
      what: `inode ${inode}, ${paths.get(inode) ?? ''}, has none of its pages any more: a lost record removed it, and it is gone`,
      inode,
    });
    remove(base, inode);
  }
  if (!whole) judge.rescue(base, refuge, losses);
  base.index = end;
  return { state: base, losses: located(base, [...losses, ...removed]) };
}

/** Takes an inode and all of its names out. */
function remove(state: NamespaceState, inode: number): void {
  state.inodes.delete(inode);
  for (const { entries } of state.inodes.values()) {
    for (const [name, entry] of entries ?? []) if (entry === inode) entries!.delete(name);
  }
}

/** With the paths that files have now. */
function located(state: NamespaceState, losses: readonly Loss[]): Loss[] {
  const paths = pathsOf(state);
  return losses.map((loss) => {
    const path = loss.inode === undefined || loss.inode === rootInode ? undefined : paths.get(loss.inode);
    return path === undefined ? loss : { ...loss, path };
  });
}

/** `0 to 3, 7` */
function inRanges(numbers: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else ranges.push([number, number]);
  }
  const shown = ranges.slice(0, 8).map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`));
  return shown.join(', ') + (ranges.length > shown.length ? ' and more' : '');
}
