/**
 * The benchmark: a table for people, JSON with `--json`. Each figure stands beside a baseline that ran in turn with it, so
 * the ratio means something on a machine that is shared; the absolute values mean little.
 *
 * `npm run bench -- [--json] [GROUP ...]`; groups: allocate, round-trips, room, tcp, mount, recovery, migrate.
 */
import { access } from 'node:fs/promises';
import type { Row } from './row.js';

const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const rows: Row[] = [];
for (const group of ['allocate', 'round-trips', 'room', 'tcp', 'mount', 'recovery', 'migrate']) {
  if (wanted.length > 0 && !wanted.includes(group)) continue;
  const file = new URL(`./${group}.js`, import.meta.url);
  await access(file);
  if (!json) process.stderr.write(`measuring ${group} ...\n`);
  const { run } = (await import(file.href)) as { run(): Promise<Row[]> };
  rows.push(...(await run()));
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
