import type { Inode } from '../namespace/inode.js';
import { nameLimit, rootInode } from '../namespace/state.js';
import { count } from './finding.js';

export interface TreeProblem {
  readonly what: string;
  readonly inode: number;
}

/** What the tree is judged by. */
interface Names {
  readonly inodes: ReadonlyMap<number, Inode>;
}

/** Every way in which inodes and names are no tree, up to `most` of them. */
export function treeProblems({ inodes }: Names, most: number): TreeProblem[] {
  const problems: TreeProblem[] = [];
  const say = (inode: number, what: string): void => void (problems.length < most && problems.push({ inode, what }));
  const root = inodes.get(rootInode);
  if (root?.entries === undefined) {
    say(rootInode, 'there is no root directory');
    return problems;
  }
  if (root.parent !== rootInode) say(rootInode, `the root directory says that it is in inode ${root.parent}`);

  /** Names of each inode, and of each directory how many directories are in it. */
  const names = new Map<number, number>();
  const directories = new Map<number, number>();
  for (const directory of inodes.values()) {
    if (directory.entries === undefined) continue;
    for (const [name, number] of directory.entries) {
      if (!possible(name)) say(directory.inode, `inode ${directory.inode} has an entry of an impossible name`);
      names.set(number, (names.get(number) ?? 0) + 1);
      const inode = inodes.get(number);
      if (inode === undefined) {
        say(
          directory.inode,
          `${JSON.stringify(name)} in inode ${directory.inode} names inode ${number}, which there is not`,
        );
      } else if (inode.entries !== undefined) {
        directories.set(directory.inode, (directories.get(directory.inode) ?? 0) + 1);
        if (number === rootInode)
          say(directory.inode, `inode ${directory.inode} has an entry that is the root directory`);
        else if (inode.parent !== directory.inode)
          say(
            number,
            `directory ${number} has a name in inode ${directory.inode}, and says that it is in ${inode.parent}`,
          );
      }
    }
  }
  for (const inode of inodes.values()) {
    const { inode: number, entries, links } = inode;
    const named = names.get(number) ?? 0;
    if (entries === undefined) {
      if (named === 0) say(number, `no name leads to inode ${number}`);
      else if (named !== links) say(number, `inode ${number} has ${count(named, 'name')}, and says ${links}`);
    } else {
      const within = 2 + (directories.get(number) ?? 0);
      if (links !== within) say(number, `directory ${number} has ${within} links, and says ${links}`);
      if (number !== rootInode && named !== 1) say(number, `directory ${number} has ${count(named, 'name')}`);
    }
  }
  for (const number of unreachable(inodes)) say(number, `no path leads from the root to directory ${number}`);
  return problems;
}

/** Directories that do not hang on the root: lost ones, and those that contain themselves. */
function unreachable(inodes: ReadonlyMap<number, Inode>): number[] {
  const reached = new Set([rootInode]);
  for (const number of reached) {
    for (const entry of inodes.get(number)?.entries?.values() ?? []) {
      if (inodes.get(entry)?.entries !== undefined) reached.add(entry);
    }
  }
  return [...inodes.values()]
    .filter(({ inode, entries }) => entries !== undefined && !reached.has(inode))
    .map(({ inode }) => inode);
}

export function possible(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) return false;
  return new TextEncoder().encode(name).length <= nameLimit;
}
