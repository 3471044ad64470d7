import type { Geometry } from '../region/geometry.js';
import type { GroupRun } from './free-runs.js';

/** A run of pages that a place is looked for. */
export interface Need {
  /** 1 up. */
  readonly pages: number;
  /** 0: it lies inside one group. Else it takes so many whole groups, and begins with the first of them. */
  readonly groups: number;
  /** Bytes, a power of two: the offset in the region is a multiple of it. */
  readonly alignment: number;
  /**
   * Places in groups that nobody owns to pass over, if there are more: another client was faster at the first one, and
   * would be again. A placement that ignores it costs time alone.
   */
  readonly skip: number;
}

/** An own group, some pages of which may be in use. */
export interface StartedGroup {
  readonly group: number;
  /** The low half of its word: two bits a page, page 0 highest; 00 is free. */
  readonly low: number;
}

/**
 * What an allocator knows to be free. Its own groups it knows for sure; the others are a hint that may be old, and the
 * compareExchange that claims one decides.
 */
export interface FreeSpace {
  readonly geometry: Geometry;
  /** Groups of the region for its users. */
  readonly groups: number;
  /** The first page of a place in the fullest started group of ours that has one; -1 if none has. */
  fullest(need: Need): number;
  /** Started groups of ours with at least so many free pages, in no order. */
  started(pages: number): Iterable<StartedGroup>;
  /** The first page of a place in that started group; -1 if it has none. */
  placeIn(group: StartedGroup, need: Need): number;
  /** The first page of a place in that group that nobody owns; -1 if the alignment leaves none. */
  placeInFree(group: number, need: Need): number;
  /** Whether a run of whole groups may begin with that one. */
  mayBegin(group: number, need: Need): boolean;
  /** The first run of at least so many groups that nobody owns, from that group on, as long as it is. */
  nextRun(groups: number, from?: number): GroupRun | undefined;
  /** The last run of at least so many groups that nobody owns, ahead of that group, as long as it is. */
  previousRun(groups: number, before?: number): GroupRun | undefined;
}

/** A place that a run was given. */
export interface Place {
  /** In a group that this client had started, in one that nobody owned, or over groups of its own. */
  readonly kind: 'started' | 'free' | 'groups';
  readonly page: number;
  readonly pages: number;
}
export type PlaceKind = Place['kind'];

/**
 * Where a run of pages goes, among what is free: what a plug-in implements and registers by name. It decides nothing else,
 * and how clients come to agree is the policy's; so each client may have another. It prefers, and cannot refuse: a run for
 * which it finds no place, although there is one, gets the lowest.
 */
export interface Placement {
  readonly name: string;
  readonly apiVersion: 1;
  /**
   * The first page of the place for a run, counted over all groups of the region; -1 if there is none. In a group of ours
   * or that nobody owns (`need.groups` 0), or that of the first of so many groups that nobody owns.
   */
  place(space: FreeSpace, need: Need): number;
  /** Why it put that run there: a part of a sentence. */
  explain(place: Place, geometry: Geometry): string;
}
