import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { paint, printable } from '../command/output.js';
import { formatSize, parseSize } from '../command/quantity.js';
import { namedQuotas } from './quota-lines.js';
import { Roster } from './roster.js';

/** Shows who may have how much, and has. */
export async function showQuotas(context: Context, region: string | undefined): Promise<void> {
  const { output } = context;
  await using client = await context.look(context.region(region));
  const table = await client.quotas.get();
  const roster = await Roster.read(client);
  const lines = namedQuotas(client, roster, table);
  if (output.json) {
    output.value({ default: table.default, principals: lines });
    return;
  }
  output.line(`default: ${table.default === undefined ? 'none' : formatSize(table.default)}`);
  if (lines.length === 0) return;
  output.table(
    [
      ['PRINCIPAL', 'NAME', 'USES', 'QUOTA', ''],
      ...lines.map((line) => [
        String(line.principal),
        printable(line.name),
        formatSize(line.used),
        line.limit === undefined ? 'none' : formatSize(line.limit),
        line.over ? paint('red', 'over') : '',
      ]),
    ],
    [0, 2, 3],
  );
}

/** Sets a quota, or with `none` takes it away. */
export async function setQuota(
  context: Context,
  whom: string,
  size: string,
  region: string | undefined,
): Promise<void> {
  const bytes = size === 'none' ? undefined : size === '0' ? 0 : parseSize(size, 'quota');
  if (whom !== 'default' && !/^[1-9]\d{0,4}$/.test(whom)) {
    throw new ExomemError('InvalidArgument', `"${whom}" is no principal`, {
      advice: 'write its number, as `exomem quota show` shows it, or default',
    });
  }
  await using client = await context.join(context.region(region));
  if (whom === 'default') await client.quotas.set('default', bytes);
  else {
    const roster = await Roster.read(client);
    const line = roster.principals.find(({ principal }) => principal === Number(whom));
    if (line === undefined) {
      throw new ExomemError('NotFound', `there is no principal ${whom}`, {
        where: client.where,
        advice: '`exomem quota show` shows which there are',
      });
    }
    await client.quotas.set(line, bytes);
  }
  if (context.output.json) context.output.value({ whom, bytes });
}
