import { decodeKeep, isKept } from '../protocol/adopt.js';
import type { MemberLine, PrincipalLine } from '../protocol/membership.js';
import { memberState } from '../region/words.js';

/** Monotonic milliseconds right before something was read, and right after. */
export interface Glance {
  readonly before: number;
  readonly after: number;
}

/**
 * Waits of the region for which a member may beat and yet not follow a log that goes on. A thread that beats for a program
 * which will never go on would hold back the reuse of pages for ever; one that computes for two minutes (at the default
 * wait) is only busy.
 */
export const standstillWaits = 10;

interface Seen {
  readonly incarnation: number;
  word: bigint;
  /** Since when the word is as it is. */
  since: number;
  applied: number;
  /** Since when the log is ahead of `applied`; undefined: it is not. */
  behind: number | undefined;
}

/**
 * Watches members by this client's own clock: who does not move for the wait of the region is as good as dead, and so is
 * who does not follow the log for {@link standstillWaits} of them.
 * A look may take long, or this client be stopped in the middle of it: what is seen counts from the end of the first look
 * on, and up to the beginning of the last.
 */
export class Vigil {
  readonly #seen = new Map<number, Seen>();

  /**
   * @param wait that of the superblock, milliseconds
   * @param end the next index of the log, as far as this client knows; 0: who does not follow it is not suspected
   * @returns who has stood still for as long as that
   */
  observe(lines: readonly MemberLine[], own: number, { before, after }: Glance, wait: number, end = 0): MemberLine[] {
    const silent: MemberLine[] = [];
    for (const line of lines) {
      const { slot, word, state, incarnation, applied } = line;
      const seen = this.#seen.get(slot);
      const behind = applied < end ? after : undefined;
      if (slot === own || (state !== memberState.active && state !== memberState.joining)) this.#seen.delete(slot);
      else if (seen === undefined || seen.incarnation !== incarnation)
        this.#seen.set(slot, { incarnation, word, since: after, applied, behind });
      else {
        if (seen.word !== word) Object.assign(seen, { word, since: after });
        if (seen.applied !== applied || seen.behind === undefined) Object.assign(seen, { applied, behind });
        const still = before - seen.since >= wait;
        const stuck = seen.behind !== undefined && before - seen.behind >= standstillWaits * wait;
        if (still || stuck) silent.push(line);
      }
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
