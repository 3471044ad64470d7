import { isMemberGone, type PrincipalLook } from '../protocol/adopt.js';
import type { MemberLine, PrincipalLine } from '../protocol/membership.js';

/** What a client knows of the dead. It stays true: who is dead stays dead, and whom we have shut out, out. */
export class Departed {
  /** The highest incarnation of each slot that we have shut out. */
  readonly #out = new Map<number, number>();
  /** Words of principals that referred to a dead member when they were seen last. */
  #orphans = new Map<number, bigint>();

  /** Those tables were read just now, in whatever order. */
  saw(members: readonly MemberLine[], principals: readonly PrincipalLine[]): void {
    this.#orphans = new Map();
    for (const { principal, word, member, memberIncarnation } of principals) {
      const line = members[member];
      if (line !== undefined && isMemberGone(line, memberIncarnation)) this.#orphans.set(principal, word);
    }
  }

  /** What was seen of a principal whose member is dead, once; undefined: one has to look. */
  recall(principal: number): PrincipalLook | undefined {
    const word = this.#orphans.get(principal);
    this.#orphans.delete(principal);
    return word === undefined ? undefined : { word, alive: false };
  }

  /** We have declared that member dead, or seen that it is, and the transport has shut it out since. */
  shutOut(slot: number, incarnation: number): void {
    this.#out.set(slot, Math.max(incarnation, this.#out.get(slot) ?? 0));
  }
  isShutOut(slot: number, incarnation: number): boolean {
    return incarnation <= (this.#out.get(slot) ?? -1);
  }
}
