import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { ExomemError } from '@exomem/core';
import { loadKernel } from './kernel.js';
import { type MountEntry, mountAt } from './mount-table.js';

export interface UnmountOptions {
  /**
   * Take it out of the directory tree although programs use it, and although its server does not answer: first as
   * usual, then lazily, and where that leaves a connection behind, by aborting it. Default false: `Busy`.
   */
  readonly force?: boolean;
  /** Milliseconds that the usual way may take, in which what was not written yet is written. Default 10,000. */
  readonly patience?: number;
}

const detach = 2;
const noFollow = 8;

/**
 * Unmounts what is mounted on a directory. Never asks the mount itself, so it works on one whose server is dead.
 * @throws `NotFound` (nothing is mounted there), `Busy`, `PermissionDenied`.
 */
export async function unmount(dir: string, options: UnmountOptions = {}): Promise<void> {
  const entry = await mountAt(dir);
  if (entry === undefined) {
    throw new ExomemError('NotFound', `nothing is mounted on ${dir}`, {
      where: dir,
      advice: '`cat /proc/self/mounts` lists what is',
    });
  }
  const usual = detached(entry, noFollow);
  await Promise.race([usual, pause(options.patience ?? 10_000)]);
  if (await gone(entry)) return;
  if (!options.force) throw await refusal(dir);
  await detached(entry, detach | noFollow);
  if (!(await gone(entry))) {
    await abortConnection(entry);
    await detached(entry, detach | noFollow);
  }
  if (!(await gone(entry))) throw await refusal(dir);
}

/** Ends a FUSE connection: everything that waits for its server fails at once. Best effort: root alone may. */
export async function abortConnection({ device }: MountEntry): Promise<void> {
  const [, minor] = device.split(':');
  await writeFile(`/sys/fs/fuse/connections/${minor}/abort`, '1').catch(() => undefined);
}

/** One attempt; what came of it the mount table tells. */
async function detached({ dir }: MountEntry, flags: number): Promise<void> {
  const lazily = (flags & detach) !== 0;
  if (process.geteuid?.() === 0) {
    const kernel = await loadKernel();
    if (kernel !== undefined) await kernel.unmount(dir, flags);
    else await run('umount', [...(lazily ? ['-l'] : []), '--', dir]);
    return;
  }
  const options = lazily ? ['-u', '-z'] : ['-u'];
  if (!(await run('fusermount3', [...options, '--', dir]))) await run('fusermount', [...options, '--', dir]);
}

function run(command: string, parameters: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(command, parameters, { timeout: 10_000, killSignal: 'SIGKILL' }, (error) => resolve(error === null));
  });
}

/** Whether that very mount is no longer there; another one may have been below it. */
async function gone({ id, dir }: MountEntry): Promise<boolean> {
  return (await mountAt(dir))?.id !== id;
}

async function refusal(dir: string): Promise<ExomemError> {
  if (process.geteuid?.() !== 0) {
    return new ExomemError('PermissionDenied', `${dir} could not be unmounted`, {
      where: dir,
      advice: 'end the programs that use it; as another user than root this needs fusermount: apt install fuse',
    });
  }
  return new ExomemError('Busy', `programs use ${dir}`, {
    where: dir,
    advice: `end them (\`fuser -vm ${dir}\` lists them), or unmount with force`,
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds).unref();
  });
}
