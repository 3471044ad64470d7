import type { Context } from '../command/context.js';
import { Progress } from '../command/progress.js';
import { Regions } from './regions.js';
import { download } from './transfer.js';

export async function cat(context: Context, locations: string[]): Promise<number | undefined> {
  const { output, signal } = context;
  await using regions = new Regions(context, { role: 'observer' });
  return await regions.each(locations, async ({ namespace }, { path }) => {
    await using file = await namespace.open(path);
    await download(file, (bytes) => output.bytes(bytes), new Progress('cat'), signal);
  });
}
