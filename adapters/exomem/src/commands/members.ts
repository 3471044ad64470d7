import { type Client, type MemberLine, memberState, type PrincipalLine } from '@exomem/core';
import type { Context } from '../command/context.js';
import { paint, printable } from '../command/output.js';
import { formatDuration, formatSize } from '../command/quantity.js';
import { quotasOf, quotaText } from './quota-lines.js';
import { isKept, keepOf, Roster } from './roster.js';

interface Row {
  readonly member: MemberLine;
  readonly principals: readonly PrincipalLine[];
  /** Pages in its name, given out or withheld. */
  readonly pages: number;
}

const stateNames = Object.fromEntries(Object.entries(memberState).map(([name, state]) => [state, name]));

/**
 * Shows the member table: who is there, who left, who is dead, and how many pages each keeps from others; and the
 * applications, which outlive a member.
 */
export async function members(context: Context, text: string | undefined, flags: { check?: boolean }): Promise<void> {
  const { output } = context;
  const url = context.region(text);
  await using client = await context.look(url);
  const still = flags.check ? await silent(client, context.signal) : new Set<number>();
  const roster = await Roster.read(client);
  const { usage } = roster;
  const rows = rowsOf(roster);
  const { pageSize } = client.geometry;
  const orphans = orphansOf(roster);
  const applications = applicationsOf(roster, still, pageSize);
  const quotas = await quotasOf(client, roster);
  const { lease } = client.superblock;
  if (output.json) {
    const { principals: _, ...pages } = usage;
    const shown = rows.map((row) => plain(row, still, pageSize));
    output.value({ url, lease, pageSize, members: shown, applications, orphans, pages, quotas });
    return;
  }
  if (rows.length === 0) output.line('nobody is there');
  else
    output.table(
      [['SLOT', 'STATE', 'NAME', 'PROCESS', 'HOLDS', ''], ...rows.map((row) => cells(row, still, pageSize))],
      [0, 3, 4],
    );
  if (applications.length > 0) {
    output.line();
    output.table([['APPLICATION', 'MEMBER', '', 'HOLDS', ''], ...applications.map(applicationCells)], [0, 1, 3]);
    output.line();
  }
  for (const { principal, pages } of orphans) {
    output.line(`principal ${principal} has no member, and keeps ${pages} pages until a steward finds them`);
  }
  for (const quota of quotas) output.line(quota.over ? paint('red', quotaText(quota)) : quotaText(quota));
  const share = usage.total === 0 ? 0 : Math.round((usage.free / usage.total) * 100);
  output.line(
    `${formatSize(usage.free * pageSize)} of ${formatSize(usage.total * pageSize)} free (${share} %),` +
      ` longest run ${formatSize(usage.largestRun * pageSize)}, lease ${formatDuration(lease)}`,
  );
}

/** The slots of members whose heart does not beat: they do so every third of a lease. */
async function silent(client: Client, signal: AbortSignal): Promise<Set<number>> {
  const before = new Map((await client.members()).members.map(({ slot, word }) => [slot, word]));
  await client.surroundings.sleep((client.superblock.lease * 2) / 3, signal);
  signal.throwIfAborted();
  const { members } = await client.members();
  const watched = members.filter(({ state }) => state === memberState.active || state === memberState.joining);
  return new Set(watched.filter(({ slot, word }) => before.get(slot) === word).map(({ slot }) => slot));
}

function rowsOf(roster: Roster): Row[] {
  return roster.members
    .filter(({ state }) => state !== memberState.free)
    .map((member) => {
      const own = roster.principals.filter((line) => refersTo(line, member));
      return { member, principals: own, pages: own.reduce((sum, { principal }) => sum + roster.pages(principal), 0) };
    });
}

/** Principals that are in use, refer to a member that is not there any more, and wait for nobody to adopt them. */
function orphansOf(roster: Roster): { principal: number; pages: number }[] {
  return roster.principals
    .filter((line) => !isKept(line))
    .filter((line) => !roster.members.some((member) => member.state !== memberState.free && refersTo(line, member)))
    .map(({ principal }) => ({ principal, pages: roster.pages(principal) }));
}

/** An application, and whether there is somebody who acts for it. */
interface ApplicationRow {
  readonly principal: number;
  readonly incarnation: number;
  /** Its slot; of a dead one, what it was. */
  readonly member: number;
  readonly memberIncarnation: number;
  readonly state: 'alive' | 'silent' | 'dead';
  /** Milliseconds that it is kept for adoption after its member's death. */
  readonly keep: number | 'forever';
  readonly pages: number;
  readonly bytes: number;
  readonly note: string;
}

function applicationsOf(roster: Roster, still: ReadonlySet<number>, pageSize: number): ApplicationRow[] {
  return roster.applications.map((line) => {
    const { principal, incarnation, member, memberIncarnation, policy } = line;
    const state = roster.owner(line) === undefined ? 'dead' : still.has(member) ? 'silent' : 'alive';
    const pages = roster.pages(principal);
    const { text: note, value: keep } = keepOf(policy);
    return {
      principal,
      incarnation,
      member,
      memberIncarnation,
      state,
      keep,
      pages,
      bytes: pages * pageSize,
      note: state === 'dead' && isKept(line) ? `${note}: exomem adopt ${principal} --to MEMBER` : note,
    };
  });
}

function applicationCells({ principal, member, state, bytes, note }: ApplicationRow): string[] {
  return [
    String(principal),
    String(member),
    state,
    formatSize(bytes),
    state === 'alive' ? note : paint('yellow', note),
  ];
}

function refersTo(line: PrincipalLine, { slot, incarnation }: MemberLine): boolean {
  return line.member === slot && line.memberIncarnation === incarnation;
}

/** In words. FENCED is who left as well as who was declared dead: both are recovered, by the steward or by anybody. */
function condition({ member, pages, principals }: Row, still: ReadonlySet<number>): { state: string; note: string } {
  const { slot, state, introduced, steward } = member;
  if (state === memberState.fenced) {
    if (principals.length === 0) return { state: 'gone', note: '' };
    return { state: 'dead', note: `keeps ${pages} pages until somebody has recovered them; a steward does so at once` };
  }
  if (still.has(slot)) {
    return { state: 'silent', note: `keeps ${pages} pages until it is declared dead, and then until it is recovered` };
  }
  return {
    state: stateNames[state] ?? String(state),
    note: steward ? 'steward' : introduced ? '' : 'not introduced yet',
  };
}

function cells(row: Row, still: ReadonlySet<number>, pageSize: number): string[] {
  const { slot, label, pid } = row.member;
  const { state, note } = condition(row, still);
  const name = printable(label) || '-';
  return [
    String(slot),
    state,
    name,
    pid === 0 ? '-' : String(pid),
    formatSize(row.pages * pageSize),
    state === 'dead' || state === 'silent' ? paint('red', note) : note,
  ];
}

function plain(row: Row, still: ReadonlySet<number>, pageSize: number): Record<string, unknown> {
  const { slot, incarnation, label, pid, steward, applied } = row.member;
  const { state, note } = condition(row, still);
  return {
    slot,
    incarnation,
    state,
    label,
    pid,
    steward,
    applied,
    principals: row.principals.map(({ principal }) => principal),
    pages: row.pages,
    bytes: row.pages * pageSize,
    note: note || undefined,
  };
}
