/** The benchmark: a table for people, JSON with `--json`; `npm run bench -- --help` says what there is. */
import { parseArgs } from 'node:util';
import type { Row } from './row.js';

/** What is measured, in this order. */
const groups: Record<string, string> = {
  allocate:
    'pairs of allocate and free over shared memory, by one thread and by two; by CPU, too, where others keep it busy',
  many: 'units of a reservation, and many pages at once over TCP',
  placement:
    'utilisation and fragmentation of each placement, over courses of allocations made here or read from --trace',
  'round-trips': 'round trips of each operation, counted',
  scan: 'reading the structure of a region of 1 TiB',
  room: 'an allocation where everything is taken, until another gives room for it',
  tcp: 'steps, reads and writes over TCP on loopback',
  mount: 'files of a mount, beside those of the kernel in memory',
  recovery: 'what the dead held, until others have it; what clients cost that do nothing',
  migrate: 'an application moves to another client, with little memory and with much',
};

const usage = `npm run bench -- [--json] [GROUP ...] [--trace FILE ...]

Each figure stands beside a baseline that ran in turn with it. The ratio, figure over baseline, says something on a machine
that is shared; absolute values say little there. median, least and most are of several rounds.

${Object.entries(groups)
  .map(([name, what]) => `  ${name.padEnd(12)} ${what}`)
  .join('\n')}

  --json         the same as an array of objects
  --trace FILE   for placement: lines "a ID BYTES" and "f ID" in the order of time, perhaps gzipped; a course of half a million
                 takes minutes
`;

const {
  values: { help, json, trace: traces },
  positionals: wanted,
} = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    trace: { type: 'string', multiple: true, default: [] },
  },
  allowPositionals: true,
});
const unknown = wanted.find((name) => !Object.hasOwn(groups, name));
if (help) {
  process.stdout.write(usage);
  process.exit();
}
if (unknown !== undefined) {
  process.stderr.write(`there is no group ${unknown}\n\n${usage}`);
  process.exit(2);
}
const rows: Row[] = [];
for (const group of Object.keys(groups)) {
  if (wanted.length > 0 && !wanted.includes(group)) continue;
  const file = new URL(`./${group}.js`, import.meta.url);
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
