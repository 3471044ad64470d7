import { randomBytes } from 'node:crypto';
import { ExomemError, memberState, run, type Session } from '@exomem/core';
import { type Audit, auditRegion, type Finding, oracles, type Severity } from '@exomem/core/audit';
import type { Context } from '../command/context.js';
import { exitCodes } from '../command/exit-code.js';
import { parseRegion } from '../command/location.js';
import { type Output, paint, printable } from '../command/output.js';
import { FileSession } from '../image/file-session.js';
import { fileImage } from '../image/region-image.js';
import { surroundings } from '../surroundings.js';
import { localFailure } from './local.js';

export interface FsckFlags {
  readonly atRest?: boolean;
}

/** Reads a region, holds its bytes against everything that is always true of one, and says what is not. */
export async function fsck(context: Context, text: string | undefined, flags: FsckFlags): Promise<number> {
  const { output, signal } = context;
  const session = await open(context, text);
  const end = (): void => void session.close();
  signal.addEventListener('abort', end, { once: true });
  try {
    const audit = await run(auditRegion(session.size, { atRest: flags.atRest }), { session, surroundings });
    const { problem } = audit.image.superblock.main;
    if (audit.image.tables === undefined && problem !== undefined)
      throw new ExomemError(problem.code, problem.message, { where: session.where, advice: problem.advice });
    if (output.json) output.value(plain(audit, session.where));
    else report(audit, output);
    return audit.damaged ? exitCodes.unusable[0] : exitCodes.ok[0];
  } finally {
    signal.removeEventListener('abort', end);
    await session.close();
  }
}

/** A URL names a served region, everything else a file. Neither is joined nor written to. */
async function open(context: Context, text: string | undefined): Promise<Session> {
  if (text === undefined || /^[a-z][a-z0-9+.-]*:/i.test(text)) {
    const url = text === undefined ? context.region() : parseRegion(text);
    const transport = await (await context.composition()).transport(url);
    return transport.connect(url, { clientId: randomBytes(16), lane: 0, signal: context.signal });
  }
  try {
    return new FileSession(await fileImage(text));
  } catch (error) {
    throw localFailure(error, text);
  }
}

function plain({ image, findings, damaged }: Audit, where: string) {
  const { members, log, counts } = image.tables!;
  return {
    where,
    damaged,
    members: members.filter(({ state }) => state !== memberState.free).length,
    inodes: log.state.inodes.size,
    log: { begin: log.begin, end: log.end },
    counts,
    findings,
  };
}

function report({ image, findings, damaged }: Audit, output: Output): void {
  const { members, log, counts } = image.tables!;
  const damage = findings.filter(({ severity }) => severity === 'damage').length;
  const verdict = damaged ? paint('red', `damaged: ${number(damage)} found`) : paint('green', 'clean');
  const joined = members.filter(({ state }) => state === memberState.joining || state === memberState.active).length;
  output.line(`${verdict}; ${number(joined)} joined, ${number(log.state.inodes.size)} inodes, ${logRange(log)}`);
  const { total, free, room, held, withheld, named } = counts;
  const rest = withheld > named ? `, ${number(withheld - named)} without a name` : '';
  output.line(
    `${number(total)} pages: ${number(free + room)} free, ${number(held)} held, ${number(named)} in files${rest}`,
  );
  list(output, findings, 'damage');
  list(output, findings, 'note');
}

/** What was found, by oracle: the sentence that does not hold, and what contradicts it. */
function list(output: Output, findings: readonly Finding[], severity: Severity): void {
  const found = findings.filter((finding) => finding.severity === severity);
  if (found.length === 0) return;
  output.line();
  if (severity === 'note') output.line('Notes: legal as they are');
  for (const { id, sentence } of oracles) {
    const own = found.filter(({ oracle }) => oracle === id);
    if (own.length === 0) continue;
    if (severity === 'damage') output.line(`${paint('bold', id)}  ${paint('dim', sentence)}`);
    for (const { what, where } of own)
      output.line(`  ${printable(what)}${where === 0 ? '' : paint('dim', ` (offset ${where})`)}`);
  }
}

function logRange({ begin, end }: { begin: number | undefined; end: number }): string {
  if (begin === undefined) return 'the log cannot be read';
  return begin === end ? `no record behind index ${end - 1}` : `records ${begin} to ${end - 1}`;
}
function number(value: number): string {
  return value.toLocaleString('en-US');
}
