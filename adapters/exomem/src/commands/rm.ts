import { type Client, ExomemError, isExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { Regions } from './regions.js';

export async function rm(
  context: Context,
  locations: string[],
  flags: { recursive?: boolean; force?: boolean },
): Promise<number | undefined> {
  const { signal } = context;
  await using regions = new Regions(context);
  return await regions.each(locations, async (client, { path }) => {
    try {
      const { parent, base } = await client.namespace.place(path);
      const inode = client.namespace.lookup(parent, base);
      if (inode === undefined) throw new ExomemError('NotFound', `there is no ${path}`, { where: client.where });
      if (inode.kind !== 'directory') await client.namespace.removeEntry(parent, base, false);
      else if (flags.recursive) await removeTree(client, parent, base, inode.inode, signal);
      else {
        throw new ExomemError('IsDirectory', `${path} is a directory`, {
          where: client.where,
          advice: 'exomem rm -r removes it with all that is in it',
        });
      }
    } catch (error) {
      if (!flags.force || !isExomemError(error, 'NotFound')) throw error;
    }
  });
}

/** Removes what is in a directory, then the directory. What others remove meanwhile is gone all the same. */
async function removeTree(
  client: Client,
  parent: number,
  base: string,
  inode: number,
  signal: AbortSignal,
): Promise<void> {
  const { namespace } = client;
  for (;;) {
    for (const [name, number] of [...namespace.entries(inode)]) {
      signal.throwIfAborted();
      const found = client.state.inodes.get(number);
      if (found === undefined) continue;
      if (found.kind === 'directory') await removeTree(client, inode, name, number, signal);
      else await gone(namespace.removeEntry(inode, name, false));
    }
    try {
      await gone(namespace.removeEntry(parent, base, true));
      return;
    } catch (error) {
      // Somebody put something in.
      if (!isExomemError(error, 'NotEmpty')) throw error;
    }
  }
}

async function gone(removal: Promise<void>): Promise<void> {
  try {
    await removal;
  } catch (error) {
    if (!isExomemError(error, 'NotFound')) throw error;
  }
}
