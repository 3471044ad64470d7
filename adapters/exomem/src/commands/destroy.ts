import { describeData, ExomemError, superblockBytes } from '@exomem/core';
import type { Context } from '../command/context.js';
import { findSuperblock } from '../dump/superblock.js';
import { fileImage } from '../image/region-image.js';
import { localFailure } from './local.js';

export async function destroy({ output }: Context, path: string, flags: { force?: boolean }): Promise<void> {
  const { destroyFile } = await import('@exomem/transport-tcp');
  const { hasMetadataBeside, metadataFile } = await import('../serving/metadata.js');
  // A path is mistyped easily, and what is removed here does not come back.
  if (!flags.force && !(await keepsRegion(path))) {
    throw new ExomemError('InvalidArgument', 'this file keeps no region', {
      where: path,
      advice: 'check the path; --force removes it all the same, as memory that was only set aside',
    });
  }
  const both = await hasMetadataBeside(path).catch(() => false);
  await destroyFile(path);
  if (both) await destroyFile(metadataFile(path));
  if (output.json) output.value({ destroyed: path });
}

/** Whether a file has a superblock, the copy of one, or the data of a region whose metadata is elsewhere; damaged or not. */
async function keepsRegion(path: string): Promise<boolean> {
  try {
    await using image = await fileImage(path);
    const { first, copy } = await findSuperblock(image);
    if (first !== undefined || copy !== undefined) return true;
    const head = await image.read(0, superblockBytes);
    return head.length === superblockBytes && describeData(head) !== undefined;
  } catch (error) {
    throw localFailure(error, path);
  }
}
