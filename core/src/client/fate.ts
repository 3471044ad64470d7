import { ExomemError } from '../errors.js';
import type { NamespaceState } from '../namespace/state.js';
import { rootInode } from '../namespace/state.js';
import type { Allocator, Identity } from '../policy/policy.js';
import { isKept } from '../protocol/adopt.js';
import { decodePrincipal } from '../region/words.js';
import type { Application } from './application.js';
import type { RegionFile } from './file.js';

/** What becomes of what a client had once another has declared it dead; as far as the client knew when it heard of it. */
export interface Fate {
  readonly lost: {
    /** Pages of anonymous memory, its own and of applications that died with it. */
    readonly pages: number;
    /** Files that end with their owner, by a path. */
    readonly files: readonly string[];
    /**
     * Files that were open here and have lost so many bytes: they made the file longer, or filled a hole in it, and were not
     * flushed. What went into pages that the file had is in it. `path`: if it has one.
     */
    readonly unflushed: readonly { readonly path: string | undefined; readonly bytes: number }[];
    /** Applications that died with it. */
    readonly applications: readonly number[];
  };
  readonly kept: {
    /** Files that were open here, by a path: they are as they were flushed last. All others are as they were. */
    readonly files: readonly string[];
    /** Applications that wait for somebody to adopt them. */
    readonly applications: readonly number[];
  };
}

/** `Fenced` of a whole client, which has become of it what `fate` says. */
export class FencedError extends ExomemError {
  constructor(
    what: string,
    readonly fate: Fate,
    details: { readonly where: string; readonly cause: unknown },
  ) {
    super('Fenced', `${what}: ${inWords(fate)}`, {
      ...details,
      advice: 'join again: rejoin(), or open() the region anew; handles of this client are worth nothing any more',
    });
  }
}

/** What a client had. */
export interface Estate {
  readonly identity: Identity;
  readonly allocator: Allocator;
  readonly applications: readonly Application[];
  readonly state: NamespaceState;
  readonly files: readonly RegionFile[];
}

export function fateOf({ identity, allocator, applications, state, files }: Estate): Fate {
  const kept = applications.filter((one) => isKept(decodePrincipal(one.identity.word)));
  const lost = applications.filter((one) => !kept.includes(one));
  const owned = [identity, ...lost.map((one) => one.identity)].flatMap((owner) =>
    state.ownedBy(owner.principal, owner.incarnation),
  );
  const paths = pathsOf(state, new Set([...owned, ...files].map(({ inode }) => inode)));
  const named = (inodes: readonly { inode: number }[]): string[] =>
    inodes.map(({ inode }) => paths.get(inode)).filter((path) => path !== undefined);
  return {
    lost: {
      pages: [allocator, ...lost.map((one) => one.allocator)].reduce((sum, { held }) => sum + held, 0),
      files: named(owned),
      unflushed: files
        .filter(({ unflushed }) => unflushed > 0)
        .map(({ inode, unflushed }) => ({ path: paths.get(inode), bytes: unflushed })),
      applications: lost.map(({ principal }) => principal),
    },
    kept: {
      files: named(files.filter(({ inode }) => !owned.some((one) => one.inode === inode))),
      applications: kept.map(({ principal }) => principal),
    },
  };
}

function inWords({ lost, kept }: Fate): string {
  const gone = [`${lost.pages} pages of memory`];
  if (lost.files.length > 0) gone.push(`${lost.files.length} files that ended with it`);
  for (const { path, bytes } of lost.unflushed.slice(0, 3)) gone.push(`${bytes} bytes written to ${path ?? 'a file'}`);
  if (lost.unflushed.length > 3) gone.push(`bytes of ${lost.unflushed.length - 3} more files`);
  if (lost.applications.length > 0) gone.push(`applications ${lost.applications.join(', ')}`);
  const there = ['what was flushed'];
  if (kept.applications.length > 0) there.push(`applications ${kept.applications.join(', ')}, to be adopted`);
  return `lost are ${gone.join('; ')}; kept is ${there.join('; and ')}`;
}

/** A path of each of these files that has one. */
function pathsOf(state: NamespaceState, wanted: ReadonlySet<number>): Map<number, string> {
  const found = new Map<number, string>();
  const left: [number, string][] = [[rootInode, '']];
  for (let next = left.pop(); next !== undefined && found.size < wanted.size; next = left.pop()) {
    const [directory, path] = next;
    for (const [name, inode] of state.directory(directory).entries) {
      if (wanted.has(inode)) found.set(inode, `${path}/${name}`);
      if (state.inodes.get(inode)?.kind === 'directory') left.push([inode, `${path}/${name}`]);
    }
  }
  return found;
}
