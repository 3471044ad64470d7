import type { Client, Stat } from '@exomem/core';
import type { Context } from '../command/context.js';
import { baseName } from '../command/location.js';
import { paint, printable } from '../command/output.js';
import { permissions, plainStat, timeOf } from './attributes.js';

interface Entry {
  readonly name: string;
  readonly stat: Stat;
  /** Of a symbolic link. */
  readonly target?: string;
}

export async function ls(context: Context, text: string | undefined, flags: { long?: boolean }): Promise<void> {
  const { output } = context;
  const { url, path } = context.location(text);
  await using client = await context.look(url);
  const entries = await list(client, path);
  if (output.json) output.value(entries.map(({ name, stat, target }) => ({ name, ...plainStat(stat), target })));
  else if (flags.long) output.table(entries.map(row), [1, 3]);
  else for (const { name, stat } of entries) output.line(shown(name, stat));
}

async function list({ namespace }: Client, path: string): Promise<Entry[]> {
  const stat = await namespace.statPath(path, { follow: path.endsWith('/') });
  const followed = stat.kind === 'symlink' ? followedKind(namespace, path) : stat.kind;
  const found = followed === 'directory' ? await namespace.list(path) : [{ name: baseName(path), stat }];
  return found.map(({ name, stat }) => ({
    name,
    stat,
    target: stat.kind === 'symlink' ? namespace.readlinkOf(stat.inode) : undefined,
  }));
}

function followedKind(namespace: Client['namespace'], path: string): string {
  try {
    return namespace.stat(namespace.walk(path)).kind;
  } catch {
    return 'symlink';
  }
}

function row({ name, stat, target }: Entry): string[] {
  const { links, uid, gid, size, mtime } = stat;
  const arrow = target === undefined ? '' : ` -> ${printable(target)}`;
  const time = timeOf(mtime).slice(0, 19).replace('T', ' ');
  return [permissions(stat), String(links), `${uid}:${gid}`, String(size), time, `${shown(name, stat)}${arrow}`];
}

function shown(name: string, { kind }: Stat): string {
  const text = printable(name);
  return kind === 'directory' ? paint('blue', text) : kind === 'symlink' ? paint('green', text) : text;
}
