import type { Context } from '../command/context.js';

export async function destroy({ output }: Context, path: string): Promise<void> {
  const { destroyFile } = await import('@exomem/transport-tcp');
  const { hasMetadataBeside, metadataFile } = await import('../serving/metadata.js');
  const both = await hasMetadataBeside(path).catch(() => false);
  await destroyFile(path);
  if (both) await destroyFile(metadataFile(path));
  if (output.json) output.value({ destroyed: path });
}
