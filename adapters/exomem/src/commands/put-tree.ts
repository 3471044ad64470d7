import { basename, resolve } from 'node:path';
import { type Client, ExomemError, isExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { describe } from '../command/failure.js';
import { printable } from '../command/output.js';
import { Progress } from '../command/progress.js';
import { type Copied, copyTree } from '../tree/copy.js';
import { LocalSource, type Unfit } from '../tree/local-source.js';
import { RegionSink } from '../tree/region-sink.js';
import type { TreeEntry, TreeSink, TreeSource } from '../tree/tree.js';

export interface PutTreeFlags {
  readonly clobber: boolean;
  /** What cannot be carried is left out, and named. */
  readonly skip?: boolean;
}

/**
 * Copies a directory with all that is in it into a region: files, directories, symbolic and hard links, permissions, owners
 * and times. Nothing is written while there is something that cannot be carried, or that is in the way.
 */
export async function putTree(
  context: Context,
  source: string,
  text: string | undefined,
  flags: PutTreeFlags,
): Promise<void> {
  const { output, signal } = context;
  const { url, path } = context.location(text ?? '/');
  const local = new LocalSource(source, signal);
  const entries = await local.scan();
  if (local.unfit.length > 0 && !flags.skip) throw refusal(source, local.unfit);
  for (const { path: left, why } of local.unfit) output.note(`exomem: ${printable(left)} is left out: ${why}`);
  await using client = await context.join(url);
  const place = await treePlace(client, path, nameOf(source));
  const sink = new RegionSink(client, place.parent, place.base);
  sink.check(entries, flags.clobber);
  const copied = await copyShown(context, `put ${source}`, local, sink, entries, url);
  tellCopied(context, copied, { url, path: place.path, skipped: local.unfit });
}

/** Copies a tree, and shows how far it is; interrupted, too, it says what was done. */
export async function copyShown(
  { output, signal }: Context,
  label: string,
  source: TreeSource,
  sink: TreeSink,
  entries: readonly TreeEntry[],
  to: string,
): Promise<Copied> {
  const progress = new Progress(label);
  const onProgress = (done: number, total: number, files: string): void => progress.update(done, total, files);
  try {
    return await copyTree(source, sink, entries, { signal, onProgress, to });
  } catch (error) {
    progress.end();
    if (signal.aborted) output.note(describe(error));
    throw error;
  } finally {
    progress.end();
  }
}

function refusal(source: string, unfit: readonly Unfit[]): ExomemError {
  const named = unfit.slice(0, 10).map(({ path, why }) => `${printable(path)} (${why})`);
  const rest = unfit.length > 10 ? ` and ${unfit.length - 10} more` : '';
  return new ExomemError(
    'InvalidArgument',
    `a region has no place for ${named.join(', ')}${rest}; nothing was copied`,
    {
      where: source,
      advice: '--skip leaves them out',
    },
  );
}

/** The name that a directory keeps; none where what is in it is meant. */
export function nameOf(source: string): string {
  return /(^|\/)\.{1,2}\/*$/.test(source) ? '' : basename(resolve(source));
}

/**
 * Where a tree is to go, as cp -r has it: into a directory that exists under its own name, else as what the path names.
 * @throws `NotDirectory`, `NotFound` (the directory on the way)
 */
export async function treePlace(
  { namespace, state, where }: Client,
  path: string,
  name: string,
): Promise<{ parent: number; base: string; path: string }> {
  let found: number;
  try {
    found = await namespace.resolve(path);
  } catch (error) {
    if (!isExomemError(error, 'NotFound')) throw error;
    return { ...(await namespace.place(path)), path };
  }
  if (state.inode(found).kind === 'directory') {
    return { parent: found, base: name, path: name === '' ? path : `${path.replace(/\/+$/, '')}/${name}` };
  }
  throw new ExomemError('NotDirectory', `${path} is no directory`, { where });
}

/** Says what was copied: to people only what they could not expect. */
export function tellCopied({ output }: Context, copied: Copied, more: Record<string, unknown>): void {
  for (const path of copied.gone) output.note(`exomem: ${printable(path)} went while the tree was copied`);
  if (output.json) output.value({ ...more, ...copied });
}
