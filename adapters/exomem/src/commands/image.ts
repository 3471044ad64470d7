import type { Client } from '@exomem/core';
import type { Context } from '../command/context.js';
import { printable } from '../command/output.js';
import { Progress } from '../command/progress.js';
import { formatSize } from '../command/quantity.js';
import { saveRegion } from '../image/save.js';
import { RegionSink } from '../tree/region-sink.js';
import { RegionSource } from '../tree/region-source.js';
import { copyShown, tellCopied, treePlace } from './put-tree.js';
import { Roster } from './roster.js';

/** Saves a region as a file, while others go on using it. */
export async function saveImage(
  context: Context,
  region: string,
  path: string,
  flags: { force?: boolean },
): Promise<void> {
  const { output, signal } = context;
  const url = context.region(region);
  await using client = await context.join(url, { label: 'exomem image save' });
  const progress = new Progress(`saving ${path}`);
  try {
    const saved = await saveRegion(client, path, {
      replace: flags.force ?? false,
      signal,
      onProgress: (done, total) => progress.update(done, total),
    });
    progress.end();
    if (output.json) output.value({ url, file: path, ...saved });
    else {
      const files = `${saved.files} ${saved.files === 1 ? 'file' : 'files'}`;
      output.line(`${path}: ${files}, up to record ${saved.index - 1}; takes ${formatSize(saved.written)}`);
    }
  } finally {
    progress.end();
  }
}

/** Brings the files of an image into a region that is in use, as a member like any other. */
export async function loadImage(
  context: Context,
  path: string,
  text: string | undefined,
  flags: { clobber: boolean },
): Promise<void> {
  const { output, signal } = context;
  const { url, path: to } = context.location(text);
  await using image = await context.look(`file:${path}`);
  await tellUnnamed(context, image, path);
  const source = new RegionSource(image, 1, signal);
  const entries = await source.scan();
  await using client = await context.join(url);
  const place = await treePlace(client, to, '');
  const sink = new RegionSink(client, place.parent, place.base);
  sink.check(entries, flags.clobber);
  const copied = await copyShown(context, `loading ${path}`, source, sink, entries, url);
  tellCopied(context, copied, { image: path, url, path: place.path });
  if (!output.json) output.line(`${copied.files} files (${formatSize(copied.bytes)}) are in ${printable(url)}`);
}

/** Memory of applications has no name, and goes where the region goes as a whole. */
async function tellUnnamed({ output }: Context, image: Client, path: string): Promise<void> {
  const roster = await Roster.read(image);
  const pages = roster.applications.reduce((sum, { principal }) => sum + roster.pages(principal), 0);
  if (pages === 0) return;
  const bytes = formatSize(pages * image.geometry.pageSize);
  output.note(
    `exomem: memory of applications in it (${bytes}) has no name and is left out: exomem serve --load ${path} brings all of it back`,
  );
}
