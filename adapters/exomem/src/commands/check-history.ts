import { readFile } from 'node:fs/promises';
import { checkHistory, type HistoryReport } from '@exomem/conformance';
import type { Context } from '../command/context.js';
import { exitCodes } from '../command/exit-code.js';
import { paint, printable } from '../command/output.js';
import { localFailure } from './local.js';

/** Holds a history in a file, or from stdin, against linearizability. */
export async function checkHistoryFile({ output }: Context, path: string): Promise<number> {
  const report = checkHistory(await read(path));
  if (output.json) output.value(report);
  else {
    for (const { message } of report.violations) output.line(`${message.split('\n').map(printable).join('\n')}\n`);
    for (const object of report.undecided) output.line(`${object}: the search went too far, and was given up`);
    output.line(summary(report));
  }
  return report.linearizable ? exitCodes.ok[0] : exitCodes.broken[0];
}

function summary({ linearizable, events, unknown, words, pieces, violations, undecided }: HistoryReport): string {
  const verdict = linearizable
    ? paint('green', 'linearizable')
    : paint('red', `not linearizable: ${violations.length} contradictions, ${undecided.length} undecided`);
  return `${verdict}; ${events} events, of ${unknown} nobody knows the outcome; ${words} words, ${pieces} pieces of memory`;
}

async function read(path: string): Promise<string> {
  try {
    if (path !== '-') return await readFile(path, 'utf8');
    const parts: Buffer[] = [];
    for await (const part of process.stdin) parts.push(part as Buffer);
    return Buffer.concat(parts).toString('utf8');
  } catch (error) {
    throw localFailure(error, path);
  }
}
