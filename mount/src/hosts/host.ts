import type { FileSystem } from '../file-system/file-system.js';

/** What a host cannot do, and why: so that nobody takes it for a fault, and a test can hold it to the declaration. */
export interface HostLimit {
  /** A short name, as `utimens`. */
  readonly name: string;
  /** What a program sees. */
  readonly effect: string;
  readonly reason: string;
}

/** Why a host does not work on this machine, and the line to type. */
export interface Obstacle {
  readonly what: string;
  readonly advice: string;
}

export interface HostOptions {
  /** What the mount table shows as the source. No comma. */
  readonly source: string;
  /** Users other than the one who mounts may use it. */
  readonly allowOther: boolean;
  /** Hears of faults, which programs see as EIO, and of each time that this client was declared dead. */
  readonly onFault: (error: unknown) => void;
}

/** A directory that a host serves. */
export interface HostMount {
  /** Lets go of everything, once the directory is unmounted. */
  end(): void;
}

/**
 * A way for the kernel's requests to reach a {@link FileSystem}. It serves from the process it is called in, which must
 * never use the mount itself.
 */
export interface MountHost {
  readonly name: string;
  readonly limits: readonly HostLimit[];
  /** Undefined: it works here. */
  obstacle(): Promise<Obstacle | undefined>;
  /** Mounts on an empty directory; resolves when the kernel has begun to ask. @throws `Unavailable`. */
  mount(fileSystem: FileSystem, dir: string, options: HostOptions): Promise<HostMount>;
}
