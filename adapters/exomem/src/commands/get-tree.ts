import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { baseName } from '../command/location.js';
import { LocalSink } from '../tree/local-sink.js';
import { RegionSource } from '../tree/region-source.js';
import { copyShown, tellCopied } from './put-tree.js';

/** Copies a directory of a region, with all that is in it, to this machine. Nothing of the region is joined or changed. */
export async function getTree(context: Context, text: string, to: string | undefined): Promise<void> {
  const { signal } = context;
  const { url, path } = context.location(text);
  await using client = await context.look(url);
  const top = await client.namespace.resolve(path);
  if (client.state.inode(top).kind !== 'directory') {
    throw new ExomemError('NotDirectory', `${path} is no directory`, { where: url, advice: 'leave -r away' });
  }
  const target = await localTarget(to, baseName(path));
  const source = new RegionSource(client, top, signal);
  const entries = await source.scan();
  const copied = await copyShown(context, `get ${path}`, source, new LocalSink(target), entries, target);
  tellCopied(context, copied, { url, path, directory: target });
}

/** As cp -r has it: into a directory that exists under its own name, else as what is named. */
async function localTarget(to: string | undefined, name: string): Promise<string> {
  if (to === '-') {
    throw new ExomemError('InvalidArgument', 'a tree is no stream of bytes', { advice: 'name a directory' });
  }
  const found = to === undefined ? undefined : await stat(to).catch(() => undefined);
  if (found?.isDirectory()) return name === '' ? to! : join(to!, name);
  const target = to ?? name;
  if (target !== '') return target;
  throw new ExomemError('InvalidArgument', 'the root of a region has no name', {
    advice: 'name a directory behind it',
  });
}
