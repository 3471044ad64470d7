import { randomBytes } from 'node:crypto';
import {
  countUsage,
  decodePrincipal,
  type ErrorCode,
  ExomemError,
  errorTable,
  formatPairUrl,
  isExomemError,
  memberState,
  mostQuotaBytes,
  pageOffset,
  pairTransport,
  parseQuotas,
  principalState,
  type QuotaLine,
  type QuotaTable,
  quotaInode,
  quotaLines,
  quotaPath,
  run,
  type Session,
  type Transport,
} from '@exomem/core';
import {
  type Audit,
  auditRegion,
  type Finding,
  type Mend,
  oracles,
  type RegionImage,
  type Repair,
  repairRegion,
  type Severity,
} from '@exomem/core/audit';
import type { Context } from '../command/context.js';
import { exitCodes } from '../command/exit-code.js';
import { parseRegion } from '../command/location.js';
import { type Output, paint, printable } from '../command/output.js';
import { Progress } from '../command/progress.js';
import { formatSize } from '../command/quantity.js';
import { FileSession } from '../image/file-session.js';
import { MemorySession } from '../image/memory-session.js';
import { fileImage } from '../image/region-image.js';
import { surroundings } from '../surroundings.js';
import { localFailure } from './local.js';

export interface FsckFlags {
  readonly atRest?: boolean;
  readonly repair?: boolean;
  readonly dryRun?: boolean;
  readonly acceptLoss?: boolean;
}

/** What to do about a region of which no superblock says what it is. */
const unreadable: Partial<Record<ErrorCode, string>> = {
  NotFormatted:
    'is it this file? If a region was here, its superblock and the copy of that are gone, and only an image brings it back: exomem serve --load IMAGE',
  Damaged: 'nothing here can be repaired; an image brings it back: exomem serve --load IMAGE',
};

/** Something was damaged, and nothing is any more: as e2fsck has it. */
const repaired = 1;

/** Reads a region, holds its bytes against everything that is always true of one, and says what is not; or repairs it. */
export async function fsck(context: Context, text: string | undefined, flags: FsckFlags): Promise<number> {
  const { output, signal } = context;
  if (!flags.repair && (flags.dryRun || flags.acceptLoss)) {
    throw new ExomemError('InvalidArgument', 'without --repair nothing is changed anyway', {
      advice: `write --repair ${flags.acceptLoss ? '--accept-loss ' : ''}--dry-run to see what it would change`,
    });
  }
  const writes = flags.repair === true && !flags.dryRun;
  const session = await open(context, text, writes);
  const end = (): void => void session.close();
  signal.addEventListener('abort', end, { once: true });
  try {
    const bench = { session, surroundings };
    const options = { atRest: flags.atRest };
    const repair = flags.repair
      ? await run(repairRegion(session.size, { ...options, dryRun: flags.dryRun, acceptLoss: flags.acceptLoss }), bench)
      : undefined;
    const audit = repair?.after ?? (await run(auditRegion(session.size, options), bench));
    const { problem } = audit.image.superblock.main;
    if (audit.image.tables === undefined && problem !== undefined) {
      // Who repairs a region is not told to format it, nor not to write to it.
      const usual = problem.advice === errorTable[problem.code].advice;
      const advice = (usual ? unreadable[problem.code] : undefined) ?? problem.advice;
      throw new ExomemError(problem.code, problem.message, { where: session.where, advice });
    }
    const over = await overQuota(session, audit.image);
    if (output.json) {
      output.value({
        ...plain(audit, session.where),
        overQuota: over ?? null,
        ...(repair && plainRepair(repair, flags)),
      });
    } else {
      if (repair !== undefined) tellRepair(repair, flags, output);
      report(audit, output);
      if (over === undefined) output.line(`\n${quotaPath} is no table of quotas: it limits nobody`);
      for (const { principal, used, limit } of over ?? []) {
        output.line(`\nprincipal ${principal} uses ${formatSize(used)}, and its quota is ${formatSize(limit!)}`);
      }
      if (audit.damaged) advise(audit.findings, flags, output);
    }
    if (audit.damaged) return exitCodes.unusable[0];
    return repair?.before.damaged ? repaired : exitCodes.ok[0];
  } finally {
    signal.removeEventListener('abort', end);
    await session.close();
  }
}

/** Who has more than its quota; undefined: the file of quotas is there, and is none. */
async function overQuota(session: Session, { tables }: RegionImage): Promise<QuotaLine[] | undefined> {
  if (tables?.log.begin === undefined) return [];
  const { geometry, log, members, principals } = tables;
  const inode = quotaInode(log.state);
  const file = inode === undefined ? undefined : log.state.inodes.get(inode);
  if (file === undefined) return [];
  if (file.size > mostQuotaBytes) return undefined;
  const bytes = new Uint8Array(file.size);
  for (const { at, page, pages } of file.extents) {
    const part = bytes.subarray(at * geometry.pageSize, (at + pages) * geometry.pageSize);
    if (part.length > 0) await session.read(pageOffset(geometry, page), part);
  }
  let table: QuotaTable;
  try {
    table = parseQuotas(bytes);
  } catch (error) {
    if (isExomemError(error, 'Damaged')) return undefined;
    throw error;
  }
  const lines = Array.from(principals, (word, principal) => ({ principal, ...decodePrincipal(word) })).filter(
    ({ state }) => state === principalState.active,
  );
  const named = members.map(({ state, incarnation, introduction }) => {
    const own = introduction.whole && introduction.incarnation === incarnation;
    return { state, incarnation, steward: own && introduction.steward };
  });
  const usage = countUsage(tables.words.subarray(0, (2 * tables.userPages) / geometry.groupPages), geometry.groupPages);
  return quotaLines(table, named, lines, usage, geometry.pageSize).filter(({ over }) => over);
}

/** A URL names a served region, everything else a file. Neither is joined; a file is locked while it is repaired. */
async function open(context: Context, text: string | undefined, writes: boolean): Promise<Session> {
  if (text === undefined || /^[a-z][a-z0-9+.-]*:/i.test(text)) {
    const url = text === undefined ? context.region() : parseRegion(text);
    if (writes && /^file:/i.test(url)) {
      throw new ExomemError('PermissionDenied', 'a region named like this is only looked at', {
        where: url,
        advice: 'name the file by its path to repair it',
      });
    }
    const transport = await (await context.composition()).transport(url);
    return transport.connect(url, { clientId: randomBytes(16), lane: 0, signal: context.signal });
  }
  try {
    const { hasMetadataBeside, metadataFile } = await import('../serving/metadata.js');
    if (!(await hasMetadataBeside(text))) return await openFile(context, text, writes);
    const part = (path: string): Transport => ({
      name: 'file',
      schemes: [],
      apiVersion: 1,
      connect: () => openFile(context, path, writes),
    });
    const metadata = metadataFile(text);
    const url = formatPairUrl({ data: text, metadata });
    return await pairTransport({ data: part(text), metadata: part(metadata) }).connect(url, {
      clientId: randomBytes(16),
      lane: 0,
    });
  } catch (error) {
    throw localFailure(error, text);
  }
}

async function openFile(context: Context, text: string, writes: boolean): Promise<Session> {
  try {
    if (!writes) return new FileSession(await fileImage(text));
    await (await fileImage(text))[Symbol.asyncDispose]();
    const { setAside } = await import('@exomem/transport-tcp');
    const progress = new Progress(`reading ${text}`);
    const onProgress = (done: number, total: number): void => progress.update(done, total);
    const backing = await setAside({ file: text, signal: context.signal, onProgress }).finally(() => progress.end());
    return new MemorySession(backing.memory, text, () => backing.close());
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

function plainRepair({ before, mends, missed, losses, refused }: Repair, { dryRun }: FsckFlags) {
  const short = ({ oracle, what, where, changes }: Mend) => ({ oracle, what, where, words: changes.length });
  const [done, left] = [mends.map(short), missed.map(short)];
  return { before: before.findings, dryRun: dryRun ?? false, mends: done, missed: left, losses, refused };
}

/** What was wrong, and what was done about it. */
function tellRepair({ before, mends, missed, losses, refused }: Repair, { dryRun }: FsckFlags, output: Output): void {
  if (!before.damaged) return;
  output.line(paint('bold', 'Found'));
  list(output, before.findings, 'damage');
  output.line();
  if (mends.length > 0) output.line(paint('bold', dryRun ? 'Would be repaired' : 'Repaired'));
  for (const { what, where } of mends) output.line(`  ${what}${place(where)}`);
  for (const { what } of missed) {
    output.line(`  not: ${what}: somebody else has changed it meanwhile; look again`);
  }
  if (losses.length > 0) {
    output.line(`\n${paint('bold', dryRun ? 'Would be lost' : 'Lost')}`);
    for (const { what, path } of losses) output.line(`  ${printable(path === undefined ? what : `${path}: ${what}`)}`);
  }
  if (refused !== undefined) output.line(`\nThe namespace is not rebuilt: ${refused}.`);
  output.line(mends.length > 0 ? '' : 'Nothing of it can be repaired for certain.\n');
}

/** What to do about what is left, by who found it. */
const advices: readonly { readonly oracles: readonly string[]; readonly advice: string }[] = [
  {
    oracles: ['root', 'log', 'I7', 'I6', 'tree', 'files', 'owners', 'I8', 'counts'],
    advice:
      'no byte tells what is lost of the namespace. The last image has it (exomem serve --load IMAGE). To go on with what is left, end who is there, keep a copy, and see what --repair --accept-loss --dry-run would lose',
  },
  {
    oracles: ['groups', 'runs', 'reserve'],
    advice:
      'it cannot be told whose memory that is while somebody is there who may be using it: run this again when nobody is (exomem members)',
  },
  {
    oracles: ['superblock', 'gates', 'members', 'principals', 'I15', 'mail'],
    advice: 'end who is there (exomem members), and run this again; or bring back the last image',
  },
];

function advise(findings: readonly Finding[], { repair, dryRun }: FsckFlags, output: Output): void {
  output.line();
  if (!repair) {
    output.line('What can be put right for certain: run this again with --repair --dry-run, then with --repair alone.');
    return;
  }
  if (dryRun) return;
  const left = new Set(findings.filter(({ severity }) => severity === 'damage').map(({ oracle }) => oracle));
  for (const { oracles: ids, advice } of advices) {
    const own = ids.filter((id) => left.has(id));
    if (own.length > 0) output.line(`${paint('bold', own.join(', '))}: ${advice}.`);
  }
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
  if (damaged) output.line();
  list(output, findings, 'damage');
  if (findings.some(({ severity }) => severity === 'note')) output.line('\nNotes: legal as they are');
  list(output, findings, 'note');
}

/** What was found, by oracle: the sentence that does not hold, and what contradicts it. */
function list(output: Output, findings: readonly Finding[], severity: Severity): void {
  const found = findings.filter((finding) => finding.severity === severity);
  for (const { id, sentence } of oracles) {
    const own = found.filter(({ oracle }) => oracle === id);
    if (own.length === 0) continue;
    if (severity === 'damage') output.line(`${paint('bold', id)}  ${paint('dim', sentence)}`);
    for (const { what, where } of own) output.line(`  ${printable(what)}${place(where)}`);
  }
}

function place(where: number): string {
  return where === 0 ? '' : paint('dim', ` (offset ${where})`);
}
function logRange({ begin, end }: { begin: number | undefined; end: number }): string {
  if (begin === undefined) return 'the log cannot be read';
  return begin === end ? `no record behind index ${end - 1}` : `records ${begin} to ${end - 1}`;
}
function number(value: number): string {
  return value.toLocaleString('en-US');
}
