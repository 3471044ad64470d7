import { readdir, stat } from 'node:fs/promises';
import { ExomemError, isExomemError } from '@exomem/core';
import type { MountHost } from '../hosts/host.js';
import { mountAt, mountType, placeOf } from './mount-table.js';
import { unmount } from './unmount.js';

/**
 * Whether a directory can be mounted on; answers its full path. A mount of ours that lost its server is taken away.
 * @throws `NotFound`, `NotDirectory`, `NotEmpty`, `Busy`, `PermissionDenied`, `Unavailable`.
 */
export async function checkMountPoint(dir: string, host: MountHost): Promise<string> {
  const place = await placeOf(dir);
  const there = await mountAt(place);
  if (there !== undefined) {
    if (!(await unmountDead(place))) {
      throw new ExomemError('Busy', `${there.source} is mounted on ${dir}`, {
        where: place,
        advice: `choose another directory, or \`exomem umount ${dir}\` first`,
      });
    }
  }
  const obstacle = await host.obstacle();
  if (obstacle !== undefined) throw new ExomemError('Unavailable', obstacle.what, { advice: obstacle.advice });
  let names: string[];
  try {
    names = await readdir(place);
  } catch (error) {
    throw refusal(dir, place, error);
  }
  if (names.length > 0) {
    throw new ExomemError('NotEmpty', `${dir} is not empty: a mount would hide what is in it`, {
      where: place,
      advice: 'choose an empty directory',
    });
  }
  return place;
}

function refusal(dir: string, where: string, error: unknown): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') {
    return new ExomemError('NotFound', `there is no directory ${dir}`, { where, advice: `mkdir -p ${dir}` });
  }
  if (code === 'ENOTDIR') return new ExomemError('NotDirectory', `${dir} is no directory`, { where });
  if (code === 'EACCES' || code === 'EPERM')
    return new ExomemError('PermissionDenied', `${dir} cannot be read`, {
      where,
      advice: 'choose a directory of yours',
    });
  return isExomemError(error)
    ? error
    : new ExomemError('Unavailable', `${dir} cannot be mounted on`, { where, cause: error });
}

/** Takes away a mount of ours that lost its server. Whether there was one, and it is gone. */
export async function unmountDead(dir: string): Promise<boolean> {
  const there = await mountAt(dir);
  if (there?.type !== mountType || !(await isDead(there.dir))) return false;
  try {
    await unmount(there.dir, { force: true, patience: 1000 });
  } catch (error) {
    // Somebody was faster, or it cannot be helped.
    if (!isExomemError(error)) throw error;
    return isExomemError(error, 'NotFound');
  }
  return true;
}

/** A mount whose server is gone answers at once, with ENOTCONN. */
async function isDead(place: string): Promise<boolean> {
  const answer = stat(place).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 1000);
  });
  const code = await Promise.race([answer, late]);
  clearTimeout(timer);
  return code === 'ENOTCONN' || code === 'ECONNABORTED';
}
