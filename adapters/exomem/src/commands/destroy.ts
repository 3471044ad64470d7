import type { Context } from '../command/context.js';

export async function destroy({ output }: Context, path: string): Promise<void> {
  const { destroyFile } = await import('@exomem/transport-tcp');
  await destroyFile(path);
  if (output.json) output.value({ destroyed: path });
}
