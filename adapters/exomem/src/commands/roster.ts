import {
  type Client,
  decodeKeep,
  ExomemError,
  keepForever,
  keepNot,
  type MemberLine,
  memberState,
  type PrincipalLine,
  principalState,
  type Usage,
} from '@exomem/core';
import { printable } from '../command/output.js';
import { formatDuration, formatSize } from '../command/quantity.js';

/** What a member's death means for one of its principals. Pages. */
export interface Consequence {
  readonly line: PrincipalLine;
  readonly freed: number;
  readonly kept: number;
  /** Files that end with it. Their pages are freed once nobody has them open any more. */
  readonly files: number;
}

/** Who is there and who holds what, as it was when it was read. */
export class Roster {
  readonly members: readonly MemberLine[];
  /** Those that are in use. */
  readonly principals: readonly PrincipalLine[];
  readonly usage: Usage;
  readonly #client: Client;

  private constructor(
    client: Client,
    members: readonly MemberLine[],
    principals: readonly PrincipalLine[],
    usage: Usage,
  ) {
    this.#client = client;
    this.members = members;
    this.principals = principals.filter(({ state }) => state !== principalState.free);
    this.usage = usage;
  }

  static async read(client: Client): Promise<Roster> {
    const { members, principals } = await client.members();
    return new Roster(client, members, principals, await client.usage());
  }

  get applications(): readonly PrincipalLine[] {
    return this.principals.filter(({ state, policy }) => state === principalState.active && policy !== 0);
  }

  /** @throws `NotFound` */
  application(principal: number): PrincipalLine {
    const line = this.applications.find((found) => found.principal === principal);
    if (line !== undefined) return line;
    throw new ExomemError('NotFound', `there is no application ${principal}`, {
      where: this.#client.where,
      advice: '`exomem members` shows which there are',
    });
  }

  /** A member that is there. @throws `NotFound` */
  living(slot: number): MemberLine {
    return this.#member(slot, isThere);
  }

  /** A member that can take something over: not the one that asks, which is about to leave. @throws `NotFound` */
  ready(slot: number): MemberLine {
    return this.#member(slot, (line) => line.state === memberState.active && line.slot !== this.#client.member.slot);
  }

  #member(slot: number, fits: (line: MemberLine) => boolean): MemberLine {
    const line = this.members[slot];
    if (line !== undefined && fits(line)) return line;
    throw new ExomemError('NotFound', `there is no member ${slot}`, {
      where: this.#client.where,
      advice: '`exomem members` shows who is there',
    });
  }

  /** The member that a principal refers to, if that is there. */
  owner({ member, memberIncarnation }: PrincipalLine): MemberLine | undefined {
    const line = this.members[member];
    return line?.incarnation === memberIncarnation && isThere(line) ? line : undefined;
  }

  /** Pages in its name, given out or withheld. */
  pages(principal: number): number {
    const own = this.usage.principals.get(principal);
    return own === undefined ? 0 : own.held + own.withheld;
  }

  /** What is freed and what stays if that member is declared dead. */
  consequences({ slot, incarnation }: MemberLine): Consequence[] {
    const own = this.principals.filter((line) => line.member === slot && line.memberIncarnation === incarnation);
    const ending = own.map((line) => (isKept(line) ? [] : this.#endingWith(line)));
    // They lie in words of whoever made them: of the member's own principal, as good as always.
    const lost = ending.flat().reduce((sum, pages) => sum + pages, 0);
    return own.map((line, at) => {
      const pages = this.pages(line.principal);
      if (isKept(line)) return { line, freed: 0, kept: pages, files: 0 };
      // What else is withheld belongs to files, which somebody else takes care of then.
      const held = this.usage.principals.get(line.principal)?.held ?? 0;
      const kept = Math.max(0, pages - held - (line.policy === 0 ? lost : 0));
      const files = ending[at]!;
      return { line, freed: held + files.reduce((sum, one) => sum + one, 0), kept, files: files.length };
    });
  }

  /** The files that end with a principal: pages of each. */
  #endingWith({ principal, incarnation }: PrincipalLine): number[] {
    const files = this.#client.state.ownedBy(principal, incarnation);
    return files.map(({ extents }) => extents.reduce((sum, { pages }) => sum + pages, 0));
  }

  /** The same for people. */
  describe(member: MemberLine): string[][] {
    const { pageSize } = this.#client.geometry;
    const rows = this.consequences(member).map(({ line, freed, kept, files }) => [
      String(line.principal),
      formatSize(freed * pageSize),
      formatSize(kept * pageSize),
      (line.policy === 0 ? 'its own; what is kept are files' : `application, ${keepOf(line.policy).text}`) +
        (files === 0 ? '' : `; ${files} ${files === 1 ? 'file ends' : 'files end'} with it`),
    ]);
    return [['PRINCIPAL', 'FREED', 'KEPT', ''], ...rows];
  }

  /** The same for programs. */
  plain(member: MemberLine): Record<string, unknown>[] {
    return this.consequences(member).map(({ line, freed, kept, files }) => ({
      principal: line.principal,
      application: line.policy !== 0,
      keep: line.policy === 0 ? undefined : keepOf(line.policy).value,
      freed,
      kept,
      files,
    }));
  }
}

/** Whether it waits for adoption when its member is dead. */
export function isKept({ state, policy }: PrincipalLine): boolean {
  return state === principalState.active && decodeKeep(policy) > 0;
}

/** How long an application is kept: in words, and for programs (milliseconds, or `forever`). */
export function keepOf(policy: number): { readonly text: string; readonly value: number | 'forever' } {
  if (policy === keepForever) return { text: 'kept until it is adopted', value: 'forever' };
  if (policy === keepNot) return { text: 'dies with its member', value: 0 };
  const keep = decodeKeep(policy);
  return { text: `kept ${formatDuration(keep)} for adoption`, value: keep };
}

export function nameOf({ slot, label, pid }: MemberLine): string {
  return `member ${slot} (${printable(label) || 'no name'}, process ${pid || 'unknown'})`;
}

/** Whether a member has joined, and neither left nor was declared dead. */
export function isThere({ state }: MemberLine): boolean {
  return state === memberState.active || state === memberState.joining;
}
