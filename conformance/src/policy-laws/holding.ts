import type { AllocationRequest, Allocator, Extent, Identity } from '@exomem/core';

/** A request that is under way, or was given up: some of it may show in the bytes. */
export interface Asking {
  readonly request: Pick<AllocationRequest, 'pages' | 'alignment' | 'named'>;
}

/** One who holds pages. */
export interface Holder {
  readonly name: string;
  readonly identity: Identity;
  /** The byte that it fills its pages with. */
  readonly tag: number;
  /** What it has asked for and was neither given nor refused. */
  readonly asking: Iterable<Asking>;
}

/** Of an allocation: `live`. `unsure`: an operation on it is under way, or was given up. `constructing`: withheld, not named yet. */
export type HoldingState = 'live' | 'unsure' | 'constructing';

/** A run of pages that somebody was told to be its own. */
export interface Run {
  readonly holder: Holder;
  readonly page: number;
  readonly pages: number;
  readonly state: HoldingState;
}

/** A run, and the handle of its holder. */
export interface Holding extends Run {
  readonly extent: Extent;
  state: HoldingState;
  /** An operation is at it. */
  busy: boolean;
}

/** A client whose allocator does what its deeds ask of it. */
export interface Actor extends Holder {
  readonly allocator: Allocator;
  /** Handles that it has spent. */
  readonly freed: Extent[];
}
