import type { MemberLine } from '../protocol/membership.js';
import { memberState } from '../region/words.js';

/** Watches member words by this client's own clock: who does not move for the wait of the region is as good as dead. */
export class Vigil {
  readonly #seen = new Map<number, { word: bigint; since: number }>();

  /** @param now monotonic milliseconds; `wait` of the superblock. @returns who has stood still for the wait. */
  observe(lines: readonly MemberLine[], own: number, now: number, wait: number): MemberLine[] {
    const silent: MemberLine[] = [];
    for (const line of lines) {
      const { slot, word, state } = line;
      const seen = this.#seen.get(slot);
      if (slot === own || (state !== memberState.active && state !== memberState.joining)) this.#seen.delete(slot);
      else if (seen === undefined || seen.word !== word) this.#seen.set(slot, { word, since: now });
      else if (now - seen.since >= wait) silent.push(line);
    }
    return silent;
  }
}
