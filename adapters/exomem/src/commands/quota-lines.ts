import { type Client, isExomemError, type QuotaLine, type QuotaTable, quotaLines } from '@exomem/core';
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
  const { members, principals, usage } = roster;
  return quotaLines(table, members, principals, usage, client.geometry.pageSize).map((line, at) => {
    const { member, memberIncarnation } = principals[at]!;
    const named = members[member];
    return { ...line, name: named?.incarnation === memberIncarnation ? named.label : '' };
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
