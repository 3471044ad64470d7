import type { Found } from '../transport-laws/corpus.js';

/** What not every file system has. */
export const lacks = {
  link: 'hard links',
  symlink: 'symbolic links',
  mmap: 'mappings',
  far: 'offsets past 4 GiB',
  'replace-open': 'a rename that replaces an open file in one step',
  'removed-stat': 'attributes of an open file that another mount removed',
} as const;
export type Lack = keyof typeof lacks;

/**
 * A program that calls `mountAgent(change)` of this package: for a file system in a library, or for one that is to be
 * convicted.
 */
export interface AgentProgram {
  readonly module: URL;
  readonly args?: readonly string[];
}

/** A file system that is held to the laws: a directory of it, and what it declares. */
export interface MountSubject {
  /** A directory; each law makes one of its own in it, and removes it. */
  readonly dir: string;
  /**
   * The same directory by another mount, so that what is done to one is seen in the other: by an open after a close, if
   * not at once.
   */
  readonly dir2?: string;
  /** For messages; the directories unless given. */
  readonly name?: string;
  /** Whether a file that stays open here shows what the other mount wrote and synced. */
  readonly live?: boolean;
  /** What it does not have. A law of its own looks whether it has. */
  readonly lacks?: readonly Lack[];
  /** The program that uses it instead of one by the operations of the machine. */
  readonly agent?: AgentProgram;
}

/** What messages call it. */
export function mountName({ name, dir, dir2 }: MountSubject): string {
  return name ?? (dir2 === undefined ? dir : `${dir} and ${dir2}`);
}

/** How hard the laws try, and what the subject declares. All have defaults that fit a test run. */
export interface MountLawOptions extends Omit<MountSubject, 'dir' | 'dir2'> {
  /** Random cases of each property. Default 30. */
  readonly runs?: number;
  /** How often what two programs do at once is repeated. Default 100. */
  readonly rounds?: number;
  /** Milliseconds after which a call that has not ended counts as hanging; a law has three times that. Default 60,000. */
  readonly patience?: number;
  /** Where the chance of properties begins; by the clock unless given. */
  readonly seed?: number;
  /** Runs this one property from this seed and path. */
  readonly replay?: Found;
  /** Seeds that convicted something before; they go first. Default: those that this package keeps. */
  readonly corpus?: readonly Found[];
  /** The line to type that runs a failing case again. */
  readonly command?: (found: Found) => string;
}

/** Options with their defaults. */
export interface MountEffort
  extends Required<Pick<MountLawOptions, 'runs' | 'rounds' | 'patience' | 'corpus' | 'command'>>,
    Pick<MountLawOptions, 'replay' | 'seed'> {
  /** Looks at the directories once, before the first law. @throws `SubjectUnfit` */
  fitness(): Promise<void>;
}
