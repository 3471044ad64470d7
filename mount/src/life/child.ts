import { type Client, ExomemError, isExomemError } from '@exomem/core';
import { fuseNative } from '../hosts/fuse-native/index.js';
import type { MountHost } from '../hosts/host.js';
import type { FromChild } from './messages.js';
import { checkMountPoint } from './mount-point.js';
import { type ServedMount, type ServeOptions, serveMount } from './serve.js';

export interface ChildOptions extends ServeOptions {
  readonly dir: string;
  /** Comes by a client of the region. Called once the directory was found fit. */
  open(): Promise<Client>;
}

/**
 * What the child process of {@link superviseMount} runs, and all that it runs: opens the client, serves the directory
 * until it is unmounted, its parent says so or dies, or a signal comes, and ends the process.
 */
export async function runMountChild(options: ChildOptions): Promise<never> {
  const ioTimeout = options.ioTimeout ?? 10_000;
  const host: MountHost = options.host ?? fuseNative();
  let mount: ServedMount | undefined;
  let client: Client | undefined;
  let stopping = false;
  // Who hears what we have to say may be gone, which is no reason to leave a mount behind.
  process.stderr.on('error', () => undefined);

  const finish = async (code: number): Promise<never> => {
    // What waits for an appliance that is gone must not keep the process: a dead server releases whoever hangs on it.
    if (client !== undefined)
      await within(
        (mount?.client ?? client).close().catch(() => undefined),
        ioTimeout,
      );
    process.exit(code);
  };
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // Nothing is mounted yet, nor about to be.
    if (client === undefined) process.exit(0);
    // Unmounting writes what is left, which may take two timeouts. After that nothing is waited for.
    setTimeout(() => process.exit(1), 3 * ioTimeout + 5000).unref();
    if (mount !== undefined) mount.unmount().catch(() => process.exit(1));
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  process.on('disconnect', stop);
  process.on('message', (message) => {
    if (message === 'stop') stop();
  });

  try {
    await checkMountPoint(options.dir, host);
    client = await options.open();
    mount = await serveMount(client, options.dir, { ...options, host });
    if (stopping) await mount.unmount();
    else {
      await tell({ type: 'ready', dir: mount.dir });
      await mount.ended;
    }
  } catch (error) {
    await tell({ type: 'failed', error: describe(error) });
    return finish(1);
  }
  return finish(0);
}

/** The parent may be gone: that is no failure. */
function tell(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}

function describe(error: unknown) {
  if (isExomemError(error)) {
    const { code, message, where, advice } = error;
    return { code, message, where, advice };
  }
  const { code, message, advice } = new ExomemError(
    'Unavailable',
    error instanceof Error ? error.message : String(error),
  );
  return { code, message, where: undefined, advice };
}

function within(work: Promise<void>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    void work.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
