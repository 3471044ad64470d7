import { createHash } from 'node:crypto';
import { readOccupancy } from '@exomem/core';
import { open } from 'exomem';

/** What there is to know of a name in a region. */
export interface AccountedName {
  readonly inode: number;
  readonly kind: string;
  readonly mode: number;
  readonly owner: string;
  readonly links: number;
  readonly size: number;
  readonly allocated: number;
  readonly times: readonly string[];
  readonly target?: string;
  readonly sha256?: string;
  /** The principal and the incarnation that it ends with. */
  readonly endsWith?: string;
}

/** Everything in a region that somebody could miss. */
export interface Account {
  /** The next index of the log. */
  readonly index: number;
  readonly names: Readonly<Record<string, AccountedName>>;
  /** Applications: their policy, the runs that they hold, and what is in them. */
  readonly applications: readonly {
    readonly principal: number;
    readonly policy: number;
    readonly runs: readonly (readonly [page: number, pages: number, sha256: string])[];
  }[];
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Gives account of a region, without joining it. */
export async function accountOf(url: string): Promise<Account> {
  await using memory = await open(url, { role: 'observer' });
  const { client, files } = memory;
  const names: Record<string, AccountedName> = {};
  const visit = async (path: string): Promise<void> => {
    const stat = await files.statPath(path || '/', { follow: false });
    const { inode, kind, mode, uid, gid, links, size, allocated, atime, mtime, ctime, owner } = stat;
    names[path || '/'] = {
      inode,
      kind,
      mode,
      owner: `${uid}:${gid}`,
      links,
      size,
      allocated,
      times: [atime, mtime, ctime].map(String),
      target: kind === 'symlink' ? files.readlinkOf(inode) : undefined,
      sha256: kind === 'file' ? digest(await memory.readFile(path)) : undefined,
      endsWith: owner && `${owner.principal}.${owner.incarnation}`,
    };
    if (kind === 'directory') for (const { name } of await files.list(path || '/')) await visit(`${path}/${name}`);
  };
  await visit('');
  const occupancy = await client.run(readOccupancy(client.geometry));
  const { principals } = await client.members();
  const applications = [];
  for (const { principal, incarnation, state, policy } of principals) {
    if (state !== 2 || policy === 0) continue;
    const runs: [number, number, string][] = [];
    for (const run of occupancy.runs()) {
      if (run.holding !== 'held' || run.principal !== principal || run.incarnation !== incarnation) continue;
      const bytes = new Uint8Array(run.pages * client.geometry.pageSize);
      await client.session.read(client.geometry.dataOffset + run.page * client.geometry.pageSize, bytes);
      runs.push([run.page, run.pages, digest(bytes)]);
    }
    applications.push({ principal, policy, runs });
  }
  return JSON.parse(JSON.stringify({ index: client.state.index, names, applications })) as Account;
}
