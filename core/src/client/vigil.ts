import { decodeKeep, isKept } from '../protocol/adopt.js';
import type { MemberLine, PrincipalLine } from '../protocol/membership.js';
import { memberState } from '../region/words.js';

/** Monotonic milliseconds right before something was read, and right after. */
export interface Glance {
  readonly before: number;
  readonly after: number;
}

/**
 * Watches member words by this client's own clock: who does not move for the wait of the region is as good as dead.
 * A look may take long, or this client be stopped in the middle of it: a word counts as seen from the end of the first look
 * on, and up to the beginning of the last.
 */
export class Vigil {
  readonly #seen = new Map<number, { word: bigint; since: number }>();

  /** @param wait that of the superblock, milliseconds. @returns who has stood still for the wait. */
  observe(lines: readonly MemberLine[], own: number, { before, after }: Glance, wait: number): MemberLine[] {
    const silent: MemberLine[] = [];
    for (const line of lines) {
      const { slot, word, state } = line;
      const seen = this.#seen.get(slot);
      if (slot === own || (state !== memberState.active && state !== memberState.joining)) this.#seen.delete(slot);
      else if (seen === undefined || seen.word !== word) this.#seen.set(slot, { word, since: after });
      else if (before - seen.since >= wait) silent.push(line);
    }
    return silent;
  }
}

/** Watches applications whose member is gone, for as long as they are to be kept. */
export class KeptVigil {
  readonly #seen = new Map<number, { word: bigint; since: number }>();

  /**
   * Whose time is over: this client has seen that very word, with no member behind it, all the while.
   * @param members read after `principals`: whoever joined in between is not taken for gone
   */
  observe(
    principals: readonly PrincipalLine[],
    members: readonly MemberLine[],
    { before, after }: Glance,
  ): PrincipalLine[] {
    const over: PrincipalLine[] = [];
    for (const line of principals) {
      const { principal, word, policy } = line;
      const seen = this.#seen.get(principal);
      if (!isKept(line) || !isGone(members[line.member], line)) this.#seen.delete(principal);
      else if (seen === undefined || seen.word !== word) this.#seen.set(principal, { word, since: after });
      else if (before - seen.since >= decodeKeep(policy)) over.push(line);
    }
    return over;
  }
}

/** Whether a member was recovered, in the incarnation that a principal refers to: so it was shut out before. */
function isGone(member: MemberLine | undefined, { memberIncarnation }: PrincipalLine): boolean {
  if (member === undefined) return false;
  const { incarnation, state } = member;
  return incarnation > memberIncarnation || (incarnation === memberIncarnation && state === memberState.free);
}
