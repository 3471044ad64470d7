import { type LockState, readLock } from '@exomem/core';
import type { Context } from '../command/context.js';
import { printable } from '../command/output.js';
import { formatSize } from '../command/quantity.js';
import { permissions, plainStat, timeOf } from './attributes.js';
import { Regions } from './regions.js';

export async function stat(context: Context, locations: string[]): Promise<number | undefined> {
  const { output } = context;
  await using regions = new Regions(context, { role: 'observer' });
  return await regions.each(locations, async (client, { path }) => {
    const { namespace } = client;
    const found = await namespace.statPath(path, { follow: path.endsWith('/') });
    const target = found.kind === 'symlink' ? namespace.readlinkOf(found.inode) : undefined;
    const lock = found.kind === 'file' ? await readLock(client, found.inode) : undefined;
    if (output.json) return output.value({ path, ...plainStat(found), target, lock: lock && plainLock(lock) });
    output.table([
      ['path', printable(path) + (target === undefined ? '' : ` -> ${printable(target)}`)],
      ['kind', found.kind],
      ['size', found.size < 1024 ? `${found.size}` : `${found.size} (${formatSize(found.size)})`],
      ['takes', `${found.allocated} (${formatSize(found.allocated)})`],
      ['inode', String(found.inode)],
      ['links', String(found.links)],
      ['mode', `${(found.mode & 0o7777).toString(8).padStart(4, '0')} ${permissions(found)}`],
      ['owner', `${found.uid}:${found.gid}`],
      ['accessed', timeOf(found.atime)],
      ['modified', timeOf(found.mtime)],
      ['changed', timeOf(found.ctime)],
      ...(found.owner === undefined ? [] : [['lifetime', `owner: ends with principal ${found.owner.principal}`]]),
      ...(lock === undefined ? [] : [['lock', lockText(lock)]]),
    ]);
  });
}

function plainLock({ token, holder }: LockState): Record<string, unknown> {
  return {
    held: holder !== undefined,
    token: String(token),
    member: holder?.slot,
    label: holder?.label,
    pid: holder?.pid,
  };
}

function lockText({ token, holder }: LockState): string {
  if (holder === undefined) return 'nobody holds it';
  const label = holder.label === '' ? '' : `${printable(holder.label)}, `;
  return `held by member ${holder.slot} (${label}process ${holder.pid}), token ${token}`;
}
