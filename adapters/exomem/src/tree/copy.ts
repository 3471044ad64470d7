import { ExomemError, isExomemError } from '@exomem/core';
import { formatSize } from '../command/quantity.js';
import { chunkBytes } from '../commands/transfer.js';
import type { TreeEntry, TreeSink, TreeSource } from './tree.js';

/** What is under way at once: small files wait for round trips, long ones for bytes. */
const mostFiles = 16;
const mostBytes = 8 * chunkBytes;

/** How far a copy is. */
export interface Copied {
  directories: number;
  files: number;
  symlinks: number;
  /** Names of files that have others. */
  links: number;
  bytes: number;
  /** What was there when the tree was looked at, and was not any more when its turn came. */
  readonly gone: string[];
}

export interface CopyOptions {
  readonly signal: AbortSignal;
  /** Bytes done, bytes in all, and in words how many files. */
  readonly onProgress: (done: number, total: number, files: string) => void;
  /** Where the tree goes, for messages. */
  readonly to: string;
}

/**
 * Copies a tree: directories first, then files (several at once) and symbolic links, then further names of files, then what
 * directories are given last.
 * @throws the first failure, which says what was done until then
 */
export async function copyTree(
  source: TreeSource,
  sink: TreeSink,
  entries: readonly TreeEntry[],
  options: CopyOptions,
): Promise<Copied> {
  const { signal } = options;
  const copied: Copied = { directories: 0, files: 0, symlinks: 0, links: 0, bytes: 0, gone: [] };
  const of = (kind: TreeEntry['kind']): TreeEntry[] => entries.filter((entry) => entry.kind === kind && !entry.sameAs);
  const directories = of('directory');
  const files = of('file');
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const told = (): string => `${copied.files} of ${files.length} files`;
  let under = 0;
  const tell = (): void => options.onProgress(copied.bytes + under, total, told());
  try {
    for (const entry of directories) {
      signal.throwIfAborted();
      await named(entry, () => sink.directory(entry));
      copied.directories++;
    }
    await severalAtOnce(files, signal, async (entry) => {
      let done = 0;
      const count = (bytes: number): void => {
        under += bytes - done;
        done = bytes;
        tell();
      };
      try {
        const whole = await named(entry, () => sink.file(entry, (to) => source.read(entry, to, count)));
        if (whole) copied.files++;
        else copied.gone.push(entry.path);
        if (whole) copied.bytes += done;
      } finally {
        under -= done;
      }
      tell();
    });
    for (const entry of of('symlink')) {
      signal.throwIfAborted();
      await named(entry, () => sink.symlink(entry));
      copied.symlinks++;
    }
    const gone = new Set(copied.gone);
    for (const entry of entries) {
      if (entry.sameAs === undefined) continue;
      signal.throwIfAborted();
      if (gone.has(entry.sameAs)) copied.gone.push(entry.path);
      else {
        await named(entry, () => sink.link(entry, entry.sameAs!));
        copied.links++;
      }
    }
    for (const entry of directories.reverse()) await named(entry, () => sink.finish(entry));
    return copied;
  } catch (error) {
    const reached = `${told()} (${formatSize(copied.bytes)} of ${formatSize(total)}) are in ${options.to}`;
    if (signal.aborted) throw new ExomemError('Aborted', reached, { advice: again, cause: error });
    if (!isExomemError(error)) throw error;
    throw new ExomemError(error.code, `${error.message}; ${reached}`, {
      where: error.where,
      advice: `${error.advice}; ${again}`,
      cause: error,
    });
  }
}

const again = 'the same command again replaces them and goes on to the end';

/** What goes wrong with an entry names it. */
async function named<T>({ path }: TreeEntry, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!isExomemError(error) || error.message.includes(path) || error.where?.includes(path)) throw error;
    const { code, message, where, advice } = error;
    throw new ExomemError(code, `${path}: ${message}`, { where, advice, cause: error });
  }
}

/** Begins with the next one as soon as there is room for it; after a failure with none. @throws the first one */
async function severalAtOnce(
  entries: readonly TreeEntry[],
  signal: AbortSignal,
  act: (entry: TreeEntry) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let bytes = 0;
  let failed: { readonly error: unknown } | undefined;
  for (const entry of entries) {
    const cost = Math.min(entry.size, 3 * chunkBytes);
    while (running.size > 0 && (running.size >= mostFiles || bytes + cost > mostBytes)) await Promise.race(running);
    if (failed !== undefined || signal.aborted) break;
    bytes += cost;
    const task: Promise<void> = act(entry)
      .catch((error) => {
        failed ??= { error };
      })
      .finally(() => {
        bytes -= cost;
        running.delete(task);
      });
    running.add(task);
  }
  await Promise.all(running);
  if (failed !== undefined) throw failed.error;
  signal.throwIfAborted();
}

/** Names that lead out of a directory, or nowhere; no client that keeps to the format gives a file one. */
export function checkEntryName(directory: string, name: string, where: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return;
  throw new ExomemError('Damaged', `there is an impossible name in ${directory || '/'}: ${JSON.stringify(name)}`, {
    where,
    advice: '`exomem fsck` shows what else is wrong there',
  });
}
