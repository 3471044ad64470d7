import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { baseName, type Location } from '../command/location.js';

export async function mv(context: Context, from: string, to: string): Promise<void> {
  const source = context.location(from);
  // A plain path behind a URL lies in the region of that URL.
  const target: Location = to.startsWith('/') ? { url: source.url, path: to } : context.location(to);
  if (source.url !== target.url) {
    throw new ExomemError('InvalidArgument', `${source.url} and ${target.url} are two regions`, {
      advice: 'exomem get - and exomem put - copy from one to the other',
    });
  }
  await using client = await context.join(source.url);
  const { namespace } = client;
  const old = await namespace.place(source.path);
  const place = await new_(target.path, baseName(source.path));
  await namespace.renameEntry(old.parent, old.base, place.parent, place.base);

  async function new_(path: string, name: string): Promise<{ parent: number; base: string }> {
    const isRoot = baseName(path) === '';
    if (!isRoot && !path.endsWith('/')) {
      const { parent, base } = await namespace.place(path);
      if (namespace.lookup(parent, base)?.kind !== 'directory') return { parent, base };
    }
    const parent = await namespace.resolve(path);
    client.state.directory(parent);
    return { parent, base: name };
  }
}
