import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, isExomemError } from '@exomem/core';
import { FileSystem } from '../file-system/file-system.js';
import { fuseNative } from '../hosts/fuse-native/index.js';
import type { MountHost } from '../hosts/host.js';
import { checkMountPoint } from './mount-point.js';
import { mountAt } from './mount-table.js';
import { unmount } from './unmount.js';

export interface ServeOptions {
  /** Milliseconds after which an operation that the appliance did not answer fails with EIO. Default 10,000. */
  readonly ioTimeout?: number;
  /** How the kernel's requests come in. Default: {@link fuseNative}. */
  readonly host?: MountHost;
  /** Users other than the one who mounts may use it. Default: whether that is root. */
  readonly allowOther?: boolean;
  /**
   * Hears of faults of this package, which programs see as EIO, and of each time that others declared this client dead. Default: a
   * line on the standard error output.
   */
  readonly onFault?: (error: unknown) => void;
}

/** A directory that this process serves. */
export interface ServedMount {
  readonly dir: string;
  /** Who serves it: another one once the first was declared dead. */
  readonly client: Client;
  /** Resolves when the directory is unmounted, by whomever. */
  readonly ended: Promise<void>;
  /** Unmounts, lazily where programs use it. Idempotent. */
  unmount(): Promise<void>;
}

/** Milliseconds between two looks at the mount table. */
const watchInterval = 300;

/**
 * Mounts the namespace of a client's region on a directory and serves it from this process, which must never touch the
 * directory itself: use {@link superviseMount}, which serves from a child.
 * @throws `NotFound`, `NotDirectory`, `NotEmpty`, `Busy` (the directory); `Unavailable`; what the client throws.
 */
export async function serveMount(client: Client, dir: string, options: ServeOptions = {}): Promise<ServedMount> {
  const host = options.host ?? fuseNative();
  const place = await checkMountPoint(dir, host);
  const fileSystem = new FileSystem(client, { ioTimeout: options.ioTimeout });
  const mounted = await host.mount(fileSystem, place, {
    source: client.where.replaceAll(',', '%2c'),
    allowOther: options.allowOther ?? process.geteuid?.() === 0,
    onFault: options.onFault ?? report,
  });
  const entry = await mountAt(place);
  const there = async (): Promise<boolean> => entry !== undefined && (await mountAt(place))?.id === entry.id;
  const stopWatching = new AbortController();
  const ended = (async () => {
    while (await there()) await sleep(watchInterval, undefined, { signal: stopWatching.signal }).catch(() => undefined);
    mounted.end();
    await fileSystem.close();
  })();
  let unmounting: Promise<void> | undefined;
  return {
    dir: place,
    get client() {
      return fileSystem.client;
    },
    ended,
    unmount() {
      unmounting ??= (async () => {
        try {
          await unmount(place, { force: true, patience: 5000 });
        } catch (error) {
          if (!isExomemError(error, 'NotFound')) throw error;
        }
        stopWatching.abort();
        await ended;
      })();
      return unmounting;
    },
  };
}

function report(error: unknown): void {
  if (isExomemError(error)) console.error(`exomem mount: ${error.message}; it joins again`);
  else console.error('exomem mount:', error);
}
