import { readFileSync, writeFileSync } from 'node:fs';
import type { Exhausted } from '@exomem/conformance/simulator';
import { explore, type Subject } from './subject.js';

/** Where it is written down what was searched. */
const file = new URL('../../../../docs/proofs.md', import.meta.url);

/** The cells of a row: name, what happens, what may go wrong, states, histories, ends, steps, sample, how far. */
export type Row = readonly string[];

/** A search that comes to its end within so many states is gone as a whole where a row is held against the code. */
const smallSearch = 3000;
/** States of any other that are seen then. */
const sampleStates = 1000;

/** How much may go wrong in a search, in words. */
export function boundOf({ bound }: Subject): string {
  const { crashes, losses, aborts = 0, restarts = 0, ticks = 0, expiries = 0 } = bound;
  const parts: [number, string, string][] = [
    [crashes, 'death', 'deaths'],
    [losses, 'lost reply', 'lost replies'],
    [aborts, 'given up', 'given up'],
    [restarts, 'restart', 'restarts'],
    [ticks, 'tick', 'ticks'],
    [expiries, 'passed over', 'passed over'],
  ];
  const some = parts.filter(([count]) => count > 0);
  return some.length === 0
    ? 'nothing'
    : some.map(([count, one, more]) => `${count} ${count === 1 ? one : more}`).join(', ');
}

/** The row of a search that was gone through just now. */
export function rowOf(subject: Subject, { states, histories, ends, depth, complete }: Exhausted): Row {
  const counts = [states, histories, ends, depth].map(grouped);
  const sample = complete && states <= smallSearch ? '' : sampleOf(subject);
  return [...headOf(subject), ...counts, sample, complete ? 'complete' : 'bounded'];
}

/** What a row says of a search that is not counted, but chosen. */
function headOf(subject: Subject): Row {
  return [`\`${subject.name}\``, subject.what, boundOf(subject)];
}

/** What its first states cost, in an order that goes everywhere: it is another when the code takes other steps. */
function sampleOf(subject: Subject): string {
  const { searched, found } = explore(subject, { limit: sampleStates, order: 'scattered' });
  if (found !== undefined) throw found;
  return `${grouped(searched!.steps)} / ${grouped(searched!.histories)}`;
}

/** Whether a search comes to what its row says, as far as that can be told in a moment. @throws what it finds */
export function isTrue(subject: Subject, row: Row | undefined): boolean {
  if (row === undefined || headOf(subject).some((cell, at) => cell !== row[at])) return false;
  const sample = row[7];
  if (sample !== '') return sampleOf(subject) === sample;
  const { searched, found } = explore(subject, { limit: smallSearch });
  if (found !== undefined) throw found;
  return rowOf(subject, searched!).every((cell, at) => cell === row[at]);
}

/** The rows of `docs/proofs.md`, by the names of their searches. */
export function readRecord(): Map<string, Row> {
  const rows = readFileSync(file, 'utf8').split('\n').filter(isRow).map(cellsOf);
  return new Map(rows.map((row) => [row[0]!.slice(1, -1), row]));
}

/** The faults of `docs/proofs.md`: what is wrong, the search that finds it, as a breach of what. */
export function readFaults(): readonly Row[] {
  const all = readFileSync(file, 'utf8').split('\n').map(cellsOf);
  return all.filter(([, search, law]) => search?.startsWith('`') && /^(answer|[A-Z]\d+)$/.test(law!));
}

export function statesOf([, , , states]: Row): number {
  return Number(states!.replaceAll(',', ''));
}

/** Writes a row in the place of the one that the search had, or behind that of the search named `before`. */
export function writeRow(row: Row, before: string | undefined): void {
  const lines = readFileSync(file, 'utf8').split('\n');
  const of = (name: string): number => lines.findIndex((line) => isRow(line) && cellsOf(line)[0] === name);
  const [at, behind] = [of(row[0]!), of(`\`${before}\``)];
  if (at < 0 && behind < 0) throw new Error(`docs/proofs.md has neither a row of ${row[0]} nor one of ${before}`);
  lines.splice(at < 0 ? behind + 1 : at, at < 0 ? 0 : 1, lineOf(row));
  writeFileSync(file, aligned(lines).join('\n'));
}

const columns = 9;

function isRow(line: string): boolean {
  return line.startsWith('| `') && cellsOf(line).length === columns;
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The same lines, with the columns of each table of searches one below the other. */
function aligned(lines: readonly string[]): string[] {
  const out = [...lines];
  for (let first = 0; first < out.length; first++) {
    if (!out[first]!.startsWith('| search ')) continue;
    let end = first;
    while (out[end]?.startsWith('|')) end++;
    const table = out.slice(first, end).map(cellsOf);
    const widths = table[0]!.map((_, column) => {
      return Math.max(3, ...table.filter((_, at) => at !== 1).map((cells) => cells[column]!.length));
    });
    for (const [at, cells] of table.entries()) {
      out[first + at] = lineOf(
        cells.map((cell, column) => (at === 1 ? '-'.repeat(widths[column]!) : cell.padEnd(widths[column]!))),
      );
    }
  }
  return out;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
