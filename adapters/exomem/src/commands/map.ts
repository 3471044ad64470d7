import {
  type Client,
  controlFields,
  decodeLock,
  loadWord,
  lockState,
  type Occupancy,
  readOccupancy,
} from '@exomem/core';
import type { Context } from '../command/context.js';
import { paint, type Style } from '../command/output.js';
import { formatSize } from '../command/quantity.js';
import { type Owner, ownersOf } from '../map/owners.js';
import { type Cell, paintCells, type Shade } from '../map/picture.js';
import { quotasOf, quotaText } from './quota-lines.js';
import { Roster } from './roster.js';

/** Rows that a picture has at most where the terminal does not say how many there are. */
const mostRows = 16;
/** Digits in front of each row. */
const margin = 10;

/** Shows who holds what, as a picture. */
export async function map(context: Context, text: string | undefined): Promise<void> {
  const { output } = context;
  const url = context.region(text);
  await using client = await context.look(url);
  const occupancy = await client.run(readOccupancy(client.geometry));
  const roster = await Roster.read(client);
  const owners = ownersOf(occupancy, roster);
  const quotas = await quotasOf(client, roster);
  if (output.json) {
    return output.value({ ...plain(url, client, occupancy, owners), lock: await lockOf(client), quotas });
  }
  const { columns = Number(process.env['COLUMNS']) || 80, rows } = process.stdout;
  const width = Math.max(8, columns - margin);
  const height = rows === undefined ? mostRows : Math.max(4, rows - owners.length - 8);
  const { cells, groupsPerCell } = paintCells(occupancy, width * height);
  const { groupPages, pageSize } = client.geometry;
  const cellBytes = groupsPerCell * groupPages * pageSize;
  const marks = new Marks(owners);
  for (let at = 0; at < cells.length; at += width) {
    const row = cells.slice(at, at + width);
    output.line(`${formatSize(at * cellBytes).padStart(margin - 1)} ${marks.row(row)}`);
  }
  output.line();
  output.table(marks.legend(occupancy, owners), [1, 2]);
  output.line();
  const { largestRun } = occupancy.usage;
  output.line(
    `utilisation ${percent(occupancy.utilisation)}, fragmentation ${percent(occupancy.fragmentation)}:` +
      ` the longest free run is ${formatSize(largestRun * pageSize)}`,
  );
  const lock = await lockOf(client);
  if (lock !== undefined) output.line(lockLine(lock));
  for (const quota of quotas) output.line(quota.over ? paint('red', quotaText(quota)) : quotaText(quota));
  output.line(
    paint('dim', `one place is ${formatSize(cellBytes)}; small letters, + and _: less than half of it in use`),
  );
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const colours: readonly Style[] = ['green', 'yellow', 'cyan', 'magenta', 'red'];

/** A mark of one place each: letters for owners, so that it says the same without colours. */
class Marks {
  readonly #letters = new Map<number, { readonly letter: string; readonly style: Style }>();

  constructor(owners: readonly Owner[]) {
    for (const [at, { principal }] of owners.filter(({ held }) => held > 0).entries()) {
      if (at < letters.length)
        this.#letters.set(principal, { letter: letters[at]!, style: colours[at % colours.length]! });
    }
  }

  #of(shade: Shade, dense: boolean): { readonly mark: string; readonly style: Style } {
    if (shade === 'free') return { mark: '.', style: 'dim' };
    if (shade === 'reserve') return { mark: '-', style: 'dim' };
    if (shade === 'snapshot') return { mark: dense ? '=' : '_', style: 'dim' };
    if (shade === 'files') return { mark: dense ? '#' : '+', style: 'blue' };
    const own = this.#letters.get(shade);
    if (own === undefined) return { mark: dense ? '*' : ':', style: 'bold' };
    return { mark: dense ? own.letter : own.letter.toLowerCase(), style: own.style };
  }

  row(cells: readonly Cell[]): string {
    let text = '';
    for (let at = 0; at < cells.length; ) {
      const { style } = this.#of(cells[at]!.shade, cells[at]!.dense);
      let piece = '';
      for (; at < cells.length; at++) {
        const next = this.#of(cells[at]!.shade, cells[at]!.dense);
        if (next.style !== style) break;
        piece += next.mark;
      }
      text += paint(style, piece);
    }
    return text;
  }

  legend({ geometry, usage }: Occupancy, owners: readonly Owner[]): string[][] {
    const { pageSize, reserveGroups, groupPages } = geometry;
    const row = (mark: string, pages: number, name: string): string[] => [
      mark,
      formatSize(pages * pageSize),
      usage.total === 0 ? '' : percent(pages / usage.total),
      name,
    ];
    const rows: string[][] = [];
    let others = 0;
    for (const { principal, held, name } of owners) {
      if (held === 0) continue;
      const own = this.#letters.get(principal);
      if (own === undefined) others += held;
      else rows.push(row(own.letter, held, name));
    }
    if (others > 0) rows.push(row('*', others, 'others'));
    const custodians = owners.filter(({ withheld }) => withheld > 0).map(({ name }) => name);
    if (usage.withheld > 0) {
      const whose = custodians.length > 3 ? `${custodians.length} custodians` : custodians.join(', ');
      rows.push(row('#', usage.withheld, `files, and what is under construction, with ${whose}`));
    }
    rows.push(row('.', usage.free, 'free'));
    if (usage.room > 0) rows.push(row(' ', usage.room, 'free, in groups of somebody'));
    rows.push(['-', formatSize(reserveGroups * groupPages * pageSize), '', 'reserve for the namespace; = is in use']);
    return rows;
  }
}

/** The lock of the table; undefined where none rules. */
async function lockOf(
  client: Client,
): Promise<{ readonly holder: number | null; readonly committed: boolean } | undefined> {
  const { geometry } = client;
  if (geometry.redoBytes === 0) return undefined;
  const { state, holder } = decodeLock(await client.run(loadWord(geometry.controlOffset + controlFields.lock)));
  return { holder: state === lockState.free ? null : holder, committed: state === lockState.commit };
}

function lockLine({ holder, committed }: NonNullable<Awaited<ReturnType<typeof lockOf>>>): string {
  if (holder === null) return 'nobody holds the lock of the table';
  return `member ${holder} holds the lock of the table${committed ? ', and has committed' : ''}`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

function plain(url: string, client: Client, occupancy: Occupancy, owners: readonly Owner[]): Record<string, unknown> {
  const { pageSize, groupPages, groupCount, reserveGroups, dataOffset } = client.geometry;
  const { principals: _, ...pages } = occupancy.usage;
  return {
    url,
    pageSize,
    groupPages,
    groupCount,
    reserveGroups,
    dataOffset,
    pages,
    utilisation: occupancy.utilisation,
    fragmentation: occupancy.fragmentation,
    owners,
    runs: [...occupancy.runs()],
  };
}
