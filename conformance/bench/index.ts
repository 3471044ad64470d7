/**
 * The benchmark: a table for people, JSON with `--json`. Each figure stands beside a baseline that ran in turn with it, so
 * the ratio means something on a machine that is shared; the absolute values mean little.
 *
 * `npm run bench -- [--json] [GROUP ...] [--trace FILE ...]`; groups: allocate, many, placement, round-trips,
 * scan, room, tcp, mount, recovery, migrate. A trace is a file of allocations for `placement`.
 */
import { access } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { Row } from './row.js';

const groups = ['allocate', 'many', 'placement', 'round-trips', 'scan', 'room', 'tcp', 'mount', 'recovery', 'migrate'];
const { values, positionals: wanted } = parseArgs({
  options: { json: { type: 'boolean', default: false }, trace: { type: 'string', multiple: true, default: [] } },
  allowPositionals: true,
});
const unknown = wanted.find((name) => !groups.includes(name));
if (unknown !== undefined) throw new Error(`there is no group ${unknown}, only ${groups.join(', ')}`);
const { json, trace: traces } = values;
const rows: Row[] = [];
for (const group of groups) {
  if (wanted.length > 0 && !wanted.includes(group)) continue;
  const file = new URL(`./${group}.js`, import.meta.url);
  await access(file);
  if (!json) process.stderr.write(`measuring ${group} ...\n`);
  const { run } = (await import(file.href)) as { run(traces: readonly string[]): Promise<Row[]> };
  rows.push(...(await run(traces)));
}
if (json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
else print(rows);

function print(all: readonly Row[]): void {
  const lines = [['figure', 'median', 'least', 'most', 'unit', 'ratio', 'beside', 'aim']];
  for (const row of all) {
    const { name, unit, baseline, aim } = row;
    lines.push([
      `${row.group}: ${name}`,
      number(row.median),
      number(row.least),
      number(row.most),
      unit,
      row.ratio.toFixed(2),
      `${baseline} (${number(row.baselineMedian)})`,
      aim ?? '',
    ]);
  }
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  for (const line of lines) {
    process.stdout.write(
      `${line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

function number(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);
}
