import {
  type Client,
  type MemberLine,
  memberState,
  type PrincipalLine,
  principalState,
  type Usage,
} from '@exomem/core';
import type { Context } from '../command/context.js';
import { paint, printable } from '../command/output.js';
import { formatDuration, formatSize } from '../command/quantity.js';

interface Row {
  readonly member: MemberLine;
  readonly principals: readonly PrincipalLine[];
  /** Pages in its name, given out or withheld. */
  readonly pages: number;
}

const stateNames = Object.fromEntries(Object.entries(memberState).map(([name, state]) => [state, name]));

/** Shows the member table: who is there, who left, who is dead, and how many pages each keeps from others. */
export async function members(context: Context, text: string | undefined, flags: { check?: boolean }): Promise<void> {
  const { output } = context;
  const url = context.region(text);
  await using client = await context.look(url);
  const still = flags.check ? await silent(client, context.signal) : new Set<number>();
  const tables = await client.members();
  const usage = await client.usage();
  const rows = rowsOf(tables.members, tables.principals, usage);
  const { pageSize } = client.geometry;
  const orphans = orphansOf(tables.members, tables.principals, usage);
  const { lease } = client.superblock;
  if (output.json) {
    const { principals: _, ...pages } = usage;
    output.value({ url, lease, pageSize, members: rows.map((row) => plain(row, still, pageSize)), orphans, pages });
    return;
  }
  if (rows.length === 0) output.line('nobody is there');
  else
    output.table(
      [['SLOT', 'STATE', 'NAME', 'PROCESS', 'HOLDS', ''], ...rows.map((row) => cells(row, still, pageSize))],
      [0, 3, 4],
    );
  for (const { principal, pages } of orphans) {
    output.line(`principal ${principal} has no member, and keeps ${pages} pages until a steward finds them`);
  }
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

function rowsOf(lines: readonly MemberLine[], principals: readonly PrincipalLine[], usage: Usage): Row[] {
  return lines
    .filter(({ state }) => state !== memberState.free)
    .map((member) => {
      const own = principals.filter((line) => refersTo(line, member));
      return { member, principals: own, pages: own.reduce((sum, { principal }) => sum + pagesOf(usage, principal), 0) };
    });
}

/** Principals that are in use and refer to a member that is not there any more. */
function orphansOf(
  lines: readonly MemberLine[],
  principals: readonly PrincipalLine[],
  usage: Usage,
): { principal: number; pages: number }[] {
  return principals
    .filter(({ state }) => state !== principalState.free)
    .filter((line) => !lines.some((member) => member.state !== memberState.free && refersTo(line, member)))
    .map(({ principal }) => ({ principal, pages: pagesOf(usage, principal) }));
}

function refersTo(line: PrincipalLine, { slot, incarnation }: MemberLine): boolean {
  return line.state !== principalState.free && line.member === slot && line.memberIncarnation === incarnation;
}

function pagesOf(usage: Usage, principal: number): number {
  const own = usage.principals.get(principal);
  return own === undefined ? 0 : own.held + own.withheld;
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
