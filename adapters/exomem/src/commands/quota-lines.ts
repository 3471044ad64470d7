import { type Client, isExomemError, memberState, type QuotaLine, type QuotaTable, quotaLines } from '@exomem/core';
import { printable } from '../command/output.js';
import { formatSize } from '../command/quantity.js';
import type { Roster } from './roster.js';

/** Who has which quota, and how much of it. */
export interface NamedQuota extends QuotaLine {
  /** The label of its member. */
  readonly name: string;
}

/** The quota of each principal of a roster, also of those that have none. */
export function namedQuotas(client: Client, roster: Roster, table: QuotaTable): NamedQuota[] {
  const stewards = roster.members.filter(({ state, steward }) => state === memberState.active && steward);
  const exempt = new Set(
    roster.principals
      .filter(({ member }) => stewards.some(({ slot }) => slot === member))
      .map(({ principal }) => principal),
  );
  const lines = quotaLines(table, roster.principals, roster.usage, client.geometry.pageSize, exempt);
  return lines.map((line) => {
    const { member } = roster.principals.find(({ principal }) => principal === line.principal)!;
    return { ...line, name: roster.members[member]?.label ?? '' };
  });
}

/** Those that have a quota. A table that is none limits nobody. */
export async function quotasOf(client: Client, roster: Roster): Promise<NamedQuota[]> {
  let table: QuotaTable;
  try {
    table = await client.quotas.get();
  } catch (error) {
    if (isExomemError(error, 'Damaged') || isExomemError(error, 'StaleHandle')) return [];
    throw error;
  }
  return namedQuotas(client, roster, table).filter(({ limit }) => limit !== undefined);
}

export function quotaText({ principal, name, used, limit, over }: NamedQuota): string {
  const whose = name === '' ? `principal ${principal}` : `principal ${principal} (${printable(name)})`;
  return `${whose} uses ${formatSize(used)} of its quota of ${formatSize(limit!)}${over ? ': over' : ''}`;
}
