import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { Regions } from './regions.js';

export async function mkdir(
  context: Context,
  locations: string[],
  flags: { parents?: boolean },
): Promise<number | undefined> {
  await using regions = new Regions(context);
  return await regions.each(locations, async ({ namespace, where }, { path }) => {
    await namespace.mkdir(path, { recursive: flags.parents });
    if (flags.parents && (await namespace.statPath(path)).kind !== 'directory') {
      throw new ExomemError('Exists', `${path} is no directory`, { where });
    }
  });
}
