import { isExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { parseDuration } from '../command/quantity.js';

export interface MountFlags {
  readonly host?: string;
  readonly ioTimeout?: string;
  readonly allowOther?: boolean;
}

/** Shows a region as a directory, until Ctrl-C or until somebody unmounts it. */
export async function mount(context: Context, region: string, dir: string, flags: MountFlags): Promise<number> {
  const { output, interrupt } = context;
  const url = context.region(region);
  const ioTimeout = flags.ioTimeout === undefined ? undefined : parseDuration(flags.ioTimeout, 'timeout');
  const composition = await context.composition();
  // What is wrong with the URL, the host or a module is told before a process is begun for it.
  await composition.transport(url);
  await composition.host(flags.host);
  const { policy, placement } = context.given;
  if (policy !== undefined) await composition.policy(policy);
  if (placement !== undefined) await composition.placement(placement);
  const { mountRegion } = await import('../mounting/supervise.js');
  const { host, allowOther } = flags;
  await using mounted = mountRegion({ url, dir, host, allowOther, ioTimeout, ...context.given });
  await Promise.race([mounted.ready, interrupt.wait()]);
  context.signal.throwIfAborted();
  if (output.json) output.value({ url, dir, pid: mounted.pid });
  else output.line(`${url} is mounted on ${dir}. Ctrl-C, or \`exomem umount ${dir}\`, ends it.`);
  const { reason, code, signal } = (await Promise.race([mounted.ended, interrupt.wait()])) ?? { reason: 'stopped' };
  if (reason === 'died') {
    const { ExomemError } = await import('@exomem/core');
    throw new ExomemError('Closed', `the process that served the mount ended (${signal ?? code}); it is unmounted`, {
      where: dir,
      advice: 'mount it again',
    });
  }
  return 0;
}

export async function umount({ output }: Context, dir: string, flags: { force?: boolean }): Promise<void> {
  const { unmount } = await import('@exomem/mount');
  try {
    await unmount(dir, { force: flags.force });
  } catch (error) {
    if (!isExomemError(error, 'Busy')) throw error;
    const { ExomemError } = await import('@exomem/core');
    throw new ExomemError('Busy', error.message, {
      where: error.where,
      advice: `end them (fuser -vm ${dir} lists them), or exomem umount -f ${dir}`,
      cause: error,
    });
  }
  if (output.json) output.value({ unmounted: dir });
}
