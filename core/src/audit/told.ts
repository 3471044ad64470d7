import type { RegionImage } from './image.js';

/**
 * What clients were told, as plain data: the half of the truth that no byte of a region shows. Every part may be left
 * out; the oracles then judge by what is there.
 */
export interface Told {
  /** Runs that were given out and neither given back nor named since. Clients whose principal was taken over lose theirs. */
  readonly handles?: readonly ToldHandle[];
  /** Owners of whom `handles` has everything, and who have nothing under way. */
  readonly complete?: readonly Owner[];
  /** Anonymous runs whose `free` was acknowledged. */
  readonly freed?: readonly ToldRun[];
  /** Appends that were acknowledged. */
  readonly appends?: readonly ToldAppend[];
  /** Requests that were answered with RegionFull or Fragmented. */
  readonly refusals?: readonly ToldRefusal[];
  /** Who took over an application, and what it was told that it holds. */
  readonly adoptions?: readonly ToldAdoption[];
  /** Success that was reported for steps of members. */
  readonly successes?: readonly ToldSuccess[];
  /** Data steps that take effect at the instant of the image. */
  readonly accesses?: readonly ToldAccess[];
  /** Bytes that somebody saw. */
  readonly sights?: readonly ToldSight[];
  /** Clients that go on while others stand still. */
  readonly waits?: readonly ToldWait[];
  /** The same region at an earlier instant. */
  readonly earlier?: RegionImage;
  /** The same region right before a recovery that had been completed was run once more, and nothing else. */
  readonly recovered?: RegionImage;
}

export interface Owner {
  readonly principal: number;
  readonly incarnation: number;
}
export interface ToldRun extends Owner {
  /** Counted over all groups. */
  readonly page: number;
  readonly pages: number;
}
export interface ToldHandle extends ToldRun {
  /** `withheld`: pages of a construction, not named yet. */
  readonly kind: 'anonymous' | 'withheld';
}
export interface ToldAppend {
  readonly author: number;
  readonly incarnation: number;
  readonly sequence: number;
  readonly index: number;
}
export interface ToldRefusal extends Owner {
  readonly pages: number;
  /** `fits` was true at every instant of the call. */
  readonly alwaysFitted: boolean;
}
export interface ToldAdoption extends Owner {
  /** Anonymous runs that the one before had been given and had not given back. */
  readonly given: readonly { readonly page: number; readonly pages: number }[];
  /** Runs that the adopter found. */
  readonly seen: readonly { readonly page: number; readonly pages: number }[];
}
export interface ToldSuccess {
  readonly what: string;
  readonly member: number;
  readonly memberIncarnation: number;
  /** The member word at the instant at which the step took effect. */
  readonly memberWord: bigint;
}
export interface ToldAccess extends Owner {
  readonly kind: 'read' | 'write' | 'zero';
  readonly page: number;
  readonly member: number;
  readonly memberIncarnation: number;
  /** Of an access by the name of a file: the index at which it was looked up. Absent: the page is the principal's own. */
  readonly lookedUpAt?: number;
}
export interface ToldSight extends Owner {
  readonly page: number;
  /** How it came to see them. */
  readonly through: 'fresh page' | 'file' | 'open file without a name';
  /** Who wrote these bytes; 0: they were zero. */
  readonly writer: number;
  /** Whose bytes it may see there. */
  readonly allowed: readonly number[];
}
export interface ToldWait extends Owner {
  readonly what: string;
  /** Steps of its own that it has made without an answer, while nobody else took any. */
  readonly steps: number;
  /** What it needs at most when nobody contends. */
  readonly most: number;
}
