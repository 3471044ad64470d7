import { fileURLToPath } from 'node:url';
import { type SupervisedMount, superviseMount } from '@exomem/mount';

/** What a mount is made of; it travels to the process that serves it. */
export interface MountRequest {
  readonly url: string;
  readonly dir: string;
  /** The name of a host. Default: the composition's. */
  readonly host?: string;
  /** Milliseconds after which an operation that the appliance does not answer fails with EIO. Default 10,000. */
  readonly ioTimeout?: number;
  readonly allowOther?: boolean;
  /** Specifiers of plug-ins. */
  readonly plugins: readonly string[];
  /** A policy and a placement by their names, or the paths of modules that have them. */
  readonly policy?: string | undefined;
  readonly placement?: string | undefined;
}

const child = fileURLToPath(new URL('./child.js', import.meta.url));

/** Mounts a region on a directory, from a child process. See `superviseMount`. */
export function mountRegion(request: MountRequest): SupervisedMount {
  return superviseMount({ dir: request.dir, args: [child, JSON.stringify(request)] });
}
