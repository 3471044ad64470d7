import type { ClientEvent, Operation } from '@exomem/core';
import { columnsOf, printable } from '../command/output.js';
import { formatDuration, formatSize } from '../command/quantity.js';
import { quotaText } from '../commands/quota-lines.js';
import type { Happening, Sample } from './sample.js';

/** A line of the view, and whether it is to be noticed. */
export interface ViewLine {
  readonly text: string;
  readonly look: 'plain' | 'title' | 'alarm' | 'faint';
}

/** Of a quota that is used up, or soon will be. */
const nearly = 0.9;

const plain = (text: string): ViewLine => ({ text, look: 'plain' });
const title = (text: string): ViewLine => ({ text, look: 'title' });

/** A sample in words, without the events. */
export function linesOf(sample: Sample, url: string): ViewLine[] {
  const { memory, rates, log, members, applications, quotas } = sample;
  const lines = [
    title(`exomem top  ${url}  ${clock(sample.at)}`),
    plain(
      `memory  ${formatSize(memory.total)}: held ${formatSize(memory.held)}, files ${formatSize(memory.withheld)},` +
        ` free ${formatSize(memory.free)}, longest run ${formatSize(memory.largestRun)},` +
        ` fragmentation ${Math.round(memory.fragmentation * 100)} %`,
    ),
    plain(
      `rates   ${rate(rates.allocations)} allocations/s, ${rate(rates.frees)} frees/s,` +
        ` ${size(rates.taken)}/s taken, ${size(rates.given)}/s given back, ${rate(rates.records)} records/s`,
    ),
    plain(`log     next index ${log.index}, ${log.index - log.snapshot} records behind the snapshot`),
  ];
  if (memory.pressure) {
    lines.push({ text: `pressure: ${formatSize(memory.free)} of ${formatSize(memory.total)} free`, look: 'alarm' });
  }
  const rows = members.map((member) => [
    String(member.slot),
    member.state,
    printable(member.label) || '-',
    member.pid === 0 ? '-' : String(member.pid),
    formatSize(member.held),
    formatSize(member.withheld),
    member.taken === 0 ? '' : `${size(member.taken)}`,
    member.given === 0 ? '' : `${size(member.given)}`,
    member.behind === 0 ? '' : String(member.behind),
    member.steward ? 'steward' : '',
  ]);
  const header = ['SLOT', 'STATE', 'NAME', 'PROCESS', 'HOLDS', 'FILES', 'TAKES/S', 'GIVES/S', 'BEHIND', ''];
  const [head, ...body] = columnsOf([header, ...rows], [0, 3, 4, 5, 6, 7, 8]);
  lines.push(plain(''), title(head!));
  for (const [at, text] of body.entries()) {
    const { state } = members[at]!;
    lines.push({ text, look: state === 'silent' ? 'alarm' : state === 'gone' ? 'faint' : 'plain' });
  }
  if (applications.length > 0) {
    const shown = applications.map(({ principal, member, keep, held }) => [
      String(principal),
      member === undefined ? 'dead' : String(member),
      formatSize(held),
      keep === 'forever' ? 'kept until adopted' : keep === 0 ? 'not kept' : `kept ${formatDuration(keep)}`,
    ]);
    const [first, ...rest] = columnsOf([['APPLICATION', 'MEMBER', 'HOLDS', ''], ...shown], [0, 1, 2]);
    lines.push(plain(''), title(first!), ...rest.map(plain));
  }
  // Who has room left in its quota need not be watched.
  const near = quotas.filter(({ used, limit }) => used >= nearly * limit!);
  if (near.length > 0) lines.push(plain(''), title('QUOTAS'));
  for (const quota of near) lines.push({ text: quotaText(quota), look: quota.over ? 'alarm' : 'plain' });
  return lines;
}

/** What is worth a line; memory that comes and goes is among the rates. */
export function eventLine({ at, event }: Happening): ViewLine | undefined {
  const text = inWords(event);
  if (text === undefined) return undefined;
  const alarm = event.type === 'silent' || event.type === 'pressure' || event.type === 'disconnected';
  return { text: `${clock(at)}  ${text}`, look: alarm ? 'alarm' : 'plain' };
}

function inWords(event: ClientEvent): string | undefined {
  switch (event.type) {
    case 'joined':
      return `member ${event.slot} (${printable(event.label) || 'no name'}) joined`;
    case 'left':
      return `member ${event.slot} (${printable(event.label) || 'no name'}) left`;
    case 'silent':
      return `member ${event.slot} (${printable(event.label) || 'no name'}) is silent for ${formatDuration(event.milliseconds)}`;
    case 'record':
      return `record ${event.index}, principal ${event.author}: ${event.operations.map(operationInWords).join('; ')}`;
    case 'pressure':
      return `only ${event.free} of ${event.total} pages are free`;
    case 'snapshot':
      return `a snapshot up to record ${event.index - 1}`;
    case 'usage':
      return undefined;
    default:
      return event.type;
  }
}

function operationInWords(operation: Operation): string {
  if (operation.op === 'rename') {
    return `rename ${printable(operation.name)} to ${printable(operation.newName)}`;
  }
  if ('name' in operation) return `${operation.op} ${printable(operation.name)}`;
  if ('inode' in operation) return `${operation.op} inode ${operation.inode}`;
  return `${operation.op} principal ${operation.principal}`;
}

function clock(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}
function rate(perSecond: number): string {
  return perSecond >= 10 || perSecond === 0 ? String(Math.round(perSecond)) : perSecond.toFixed(1);
}
function size(bytes: number): string {
  return formatSize(Math.round(bytes));
}
