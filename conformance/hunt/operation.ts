import type { Client } from '@exomem/core';
import type { Scene } from './scene.js';

/** Something that a victim was told, or tells, as JSON. `note` says what; the rest depends on it. */
export interface Fact {
  readonly note: string;
  readonly [key: string]: unknown;
}

/** What an operation has in the process that is to die. */
export interface Victim {
  /** Joins the region. Its steps count as soon as the trap is set. */
  open(role?: 'member' | 'steward'): Promise<Client>;
  /** Leaves a fact behind, which outlives this process. */
  tell(fact: Fact): void;
  /** From here on each step is a place to die; `during` of the scene's side runs, and this goes on when it is over. */
  ready(): Promise<void>;
  /** What `before` answered. */
  readonly given: unknown;
}

/** An operation, each of whose wire steps is a place to die. */
export interface Operation {
  readonly name: string;
  /** Who else is there: a steward, an ordinary member, or nobody until the victim is dead. */
  readonly keeper: 'steward' | 'member' | 'nobody';
  /** It begins or ends outside the region: whoever is stopped there is no member, and cannot be fenced. */
  readonly outside?: boolean;
  /** In the hunt, before the victim joins. What it answers reaches the victim. */
  before?(scene: Scene): Promise<unknown>;
  /** In the victim. It calls `ready()` once. */
  act(victim: Victim): Promise<void>;
  /** In the hunt, when the victim is ready. */
  during?(scene: Scene, told: readonly Fact[]): Promise<void>;
  /** In the hunt, when the victim is dead and the region is at rest. What lives on was told to `scene.kept` by then. */
  after?(scene: Scene, told: readonly Fact[]): Promise<void>;
  /** In the hunt, as soon as the victim is dead: which applications wait to be adopted. */
  kept?(scene: Scene, told: readonly Fact[]): readonly number[];
}

/** The facts of one kind. */
export function facts<T>(told: readonly Fact[], note: string): (Fact & T)[] {
  return told.filter((fact) => fact.note === note) as (Fact & T)[];
}
export function wasTold(told: readonly Fact[], note: string): boolean {
  return told.some((fact) => fact.note === note);
}
