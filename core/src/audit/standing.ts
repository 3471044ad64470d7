import { decodePrincipal, memberState, ownerHalf, type PrincipalWord, principalState } from '../region/words.js';
import type { MemberImage } from './member-image.js';

/**
 * What an owner in a group word is:
 * - `alive`: registered, with a member that is there
 * - `kept`: an application whose member is gone, and which waits to be adopted
 * - `left`: its member is FENCED; whoever comes next recovers it
 * - `stranded`: its member is gone, and nobody would look for it there
 * - `dying`, `adopting`: others are at its words just now
 * - `gone`: that incarnation is over; the word is anybody's to take
 * - `never`: no such principal was registered in that incarnation
 */
export type Standing = 'alive' | 'kept' | 'left' | 'stranded' | 'dying' | 'adopting' | 'gone' | 'never';

/** What a principal's reference to its member is worth. */
export type Reference = 'there' | 'joining' | 'fenced' | 'past' | 'future' | 'nowhere';

/** Judges owners by the principal table and the member table. */
export class Standings {
  readonly #principals: BigUint64Array;
  readonly #members: readonly MemberImage[];
  readonly #known = new Map<number, Standing>();

  constructor(principals: BigUint64Array, members: readonly MemberImage[]) {
    this.#principals = principals;
    this.#members = members;
  }

  /** The principal's word; undefined if the table has no such number. */
  principal(number: number): PrincipalWord | undefined {
    if (number < 1 || number >= this.#principals.length) return undefined;
    return decodePrincipal(this.#principals[number]!);
  }

  /** By the high half of a group word. */
  of(high: number): Standing {
    let standing = this.#known.get(high);
    if (standing === undefined) {
      standing = this.#judge(high >>> 16, high & 0xffff);
      this.#known.set(high, standing);
    }
    return standing;
  }

  #judge(number: number, incarnation: number): Standing {
    const word = this.principal(number);
    if (word === undefined || incarnation === 0 || incarnation > word.incarnation) return 'never';
    switch (word.state) {
      case principalState.free:
        return 'gone';
      case principalState.dying:
        return 'dying';
      case principalState.adopting:
        // Who was at it is dead: it waits for the next one.
        return this.#alive(word) === 'kept' ? 'kept' : 'adopting';
      case principalState.registering:
        // A principal claims when it is ACTIVE, not before.
        return incarnation < word.incarnation ? 'gone' : 'never';
      case principalState.active:
        return incarnation < word.incarnation ? 'gone' : this.#alive(word);
      default:
        return 'never';
    }
  }

  #alive(word: PrincipalWord): Standing {
    const reference = this.reference(word);
    if (reference === 'there' || reference === 'joining') return 'alive';
    if (isKept(word.policy)) return 'kept';
    return reference === 'fenced' ? 'left' : 'stranded';
  }

  /** What the member is that a principal refers to. */
  reference({ member, memberIncarnation }: PrincipalWord): Reference {
    const line = this.#members[member];
    if (line === undefined || memberIncarnation === 0) return 'nowhere';
    if (memberIncarnation > line.incarnation) return 'future';
    if (memberIncarnation < line.incarnation || line.state === memberState.free) return 'past';
    if (line.state === memberState.joining) return 'joining';
    return line.state === memberState.fenced ? 'fenced' : 'there';
  }

  /** Whether one agent acts for both owners: it may be re-tagging the words of one to the other. */
  oneAgent(high: number, other: number): boolean {
    if (high === other) return true;
    if (this.of(high) !== 'alive' || this.of(other) !== 'alive') return false;
    const [one, two] = [this.principal(high >>> 16)!, this.principal(other >>> 16)!];
    return one.member === two.member && one.memberIncarnation === two.memberIncarnation;
  }
}

/** Whether a principal with that policy outlives its member, to be adopted. */
export function isKept(policy: number): boolean {
  return policy === 255 || (policy >= 1 && policy <= 62);
}

/** The high half of an owner's group words. */
export function highOf({ principal, incarnation }: { principal: number; incarnation: number }): number {
  return ownerHalf(principal, incarnation);
}
/** An owner in words. */
export function ownerName(high: number): string {
  return `principal ${high >>> 16} (incarnation ${high & 0xffff})`;
}
export function nameOf(owner: { principal: number; incarnation: number }): string {
  return ownerName(highOf(owner));
}
