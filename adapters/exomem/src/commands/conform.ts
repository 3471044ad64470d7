import { writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  conform,
  type Lack,
  type Law,
  mountLacks,
  type Report,
  reportJUnit,
  reportText,
  type Subject,
  SubjectUnfit,
  subjectOf,
  unfitReport,
  type Verdict,
  verdictLine,
} from '@exomem/conformance';
import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { exitCodes } from '../command/exit-code.js';
import { sentenceOf } from '../command/failure.js';
import { type Output, paint, printable } from '../command/output.js';
import { parseDuration } from '../command/quantity.js';
import { localFailure } from './local.js';

export interface ConformFlags {
  readonly mount?: string[];
  readonly live?: boolean;
  readonly lacks?: string[];
  readonly law?: string[];
  readonly seed?: string;
  readonly path?: string;
  readonly budget?: string;
  readonly patience?: string;
  readonly junit?: string;
}

/** Loads a module, or takes directories, holds what it exports or they show to the laws, and reports. */
export async function conformModule(
  context: Context,
  module: string | undefined,
  flags: ConformFlags,
): Promise<number> {
  const { output, signal } = context;
  const seed = parseSeed(flags.seed);
  checkReplay(flags);
  const specifier = checkSubject(module, flags);
  const patience = flags.patience === undefined ? undefined : parseDuration(flags.patience);
  const budget = flags.budget === undefined ? undefined : parseDuration(flags.budget);
  const tell = (report: Report): void => {
    if (output.json) output.value(report);
    if (flags.junit !== undefined) write(flags.junit, reportJUnit(report));
  };
  const unfit = (why: string): void => tell(unfitReport(specifier, why, `exomem conform ${specifier}`));
  const stopGuarding = guardEnd(context, unfit);
  let report: Report;
  try {
    const subject = module === undefined ? mounted(flags) : await load(module, patience);
    report = await conform(subject, {
      ...(flags.law === undefined ? {} : { laws: flags.law }),
      ...(seed === undefined ? {} : { seed }),
      ...(flags.path === undefined ? {} : { path: flags.path }),
      ...(budget === undefined ? {} : { budget }),
      ...(patience === undefined ? {} : { patience }),
      command: (found) => {
        const where = 'seed' in found ? ` --seed ${found.seed} --path ${found.path}` : '';
        return `exomem conform ${specifier} --law ${found.law}${where}`;
      },
      signal,
      ...teller(output),
    });
  } catch (error) {
    if (signal.aborted) throw error;
    const failure = failureOf(error, specifier);
    // Who reads the file or the JSON alone is told, too.
    unfit(sentenceOf(failure));
    endAnyway(output);
    throw failure;
  } finally {
    stopGuarding();
  }
  if (!output.json) output.line(`\n${printableLines(reportText(report))}`);
  tell(report);
  endAnyway(output);
  return report.failed > 0 ? exitCodes.broken[0] : exitCodes.ok[0];
}

/** That nothing can be said about a subject, as the command tells it. */
function failureOf(error: unknown, specifier: string): unknown {
  if (!(error instanceof SubjectUnfit)) return error;
  return new ExomemError('InvalidArgument', error.message, {
    where: specifier,
    advice: '`exomem conform --help` says where that is explained',
    cause: error,
  });
}

/** A module that ends the process, or awaits what never comes, must not look like one that keeps the laws. */
function guardEnd({ output, signal }: Context, unfit: (why: string) => void): () => void {
  const ended = (): void => {
    if (signal.aborted) return;
    const why = 'the process ended before the laws were held: the module ends it, or awaits what never comes';
    process.exitCode = exitCodes.usage[0];
    output.note(`exomem: ${why}`);
    unfit(why);
  };
  process.once('exit', ended);
  return () => void process.off('exit', ended);
}

/** A subject that leaves something open would keep the command from ending. */
function endAnyway(output: Output): void {
  const end = (): never => {
    output.note(`the module leaves open: ${process.getActiveResourcesInfo().join(', ')}`);
    process.exit();
  };
  setTimeout(end, 1_000).unref();
}

/** What is named, as a command line has it. */
function checkSubject(module: string | undefined, { mount, live, lacks }: ConformFlags): string {
  const wrong = (what: string, advice: string): ExomemError => new ExomemError('InvalidArgument', what, { advice });
  if ((module === undefined) === (mount === undefined)) {
    const what =
      module === undefined
        ? 'nothing is named that could be held to laws'
        : 'a module and directories are two subjects';
    throw wrong(
      what,
      'name a module, as in exomem conform ./mine.js, or directories, as in exomem conform --mount DIR',
    );
  }
  if (mount === undefined && (live || lacks !== undefined))
    throw wrong('--live and --lacks are about directories', 'add --mount DIR');
  if (mount === undefined) return module!;
  if (mount.length > 2) throw wrong(`${mount.length} directories are named`, 'name one, or the same one by two mounts');
  const unknown = lacks?.find((lack) => !Object.hasOwn(mountLacks, lack));
  if (unknown !== undefined) {
    const all = Object.entries(mountLacks).map(([name, what]) => `${name} (${what})`);
    throw wrong(`nothing is called ${unknown}`, `there are ${all.join(', ')}`);
  }
  const declared = [...(live ? ['--live'] : []), ...(lacks ?? []).map((lack) => `--lacks ${lack}`)];
  return ['--mount', ...mount, ...declared].join(' ');
}

function mounted({ mount, live, lacks }: ConformFlags): Subject {
  const [dir, dir2] = mount!;
  const declared = { ...(live ? { live } : {}), ...(lacks === undefined ? {} : { lacks: lacks as Lack[] }) };
  return { kind: 'mount', mount: { dir: dir!, ...(dir2 === undefined ? {} : { dir2 }), ...declared } };
}

async function load(specifier: string, patience: number | undefined): Promise<Subject> {
  const isPath = /^\.{0,2}\//.test(specifier) || /\.[cm]?js$/.test(specifier);
  let module: Record<string, unknown>;
  try {
    module = await import(isPath ? pathToFileURL(resolve(specifier)).href : specifier);
  } catch (cause) {
    const missing = ['ERR_MODULE_NOT_FOUND', 'ENOENT'].includes((cause as NodeJS.ErrnoException).code ?? '');
    const [what] = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1);
    const advice =
      cause instanceof SyntaxError
        ? `\`node --check ${specifier}\` says where`
        : 'name a module, as in exomem conform ./mine.js';
    throw new ExomemError(missing ? 'NotFound' : 'InvalidArgument', `this module cannot be loaded: ${what}`, {
      where: specifier,
      advice,
      cause,
    });
  }
  return subjectOf(module['default'], basename(specifier), patience);
}

/** Where somebody looks on, the law under way shows; each verdict is a line. Results for programs are left alone. */
function teller(output: Output): {
  onLaw(law: Law, at: number, of: number, round: number): void;
  onVerdict(verdict: Verdict): void;
} {
  const live = process.stderr.isTTY;
  const clear = live ? '\r\x1b[K' : '';
  return {
    onLaw: ({ id, skip }, at, of, round) => {
      if (!live || skip !== undefined) return;
      const again = round === 0 ? '' : `, round ${round + 1}`;
      process.stderr.write(`${clear}[${at + 1}/${of}${again}] ${id} ...`);
    },
    onVerdict: (verdict) => {
      if (clear !== '') process.stderr.write(clear);
      const line = printable(verdictLine(verdict));
      if (output.json) output.note(line);
      else output.line(styled(verdict, line));
    },
  };
}

function styled({ status }: Verdict, line: string): string {
  return paint(status === 'passed' ? 'green' : status === 'failed' ? 'red' : 'dim', line);
}

const printableLines = (text: string): string => text.split('\n').map(printable).join('\n');

function parseSeed(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seed = Number(text);
  if (text.trim() !== '' && Number.isInteger(seed) && Math.abs(seed) < 2 ** 31) return seed;
  throw new ExomemError('InvalidArgument', `no seed: ${text}`, { advice: 'give a whole number, as a report has it' });
}

function checkReplay({ law, seed, path }: ConformFlags): void {
  if (path === undefined) return;
  if (law?.length === 1 && seed !== undefined && /^[0-9:]*$/.test(path)) return;
  throw new ExomemError('InvalidArgument', `--path ${path} says nothing by itself`, {
    advice: 'copy the whole line from a report: --law ID --seed S --path P',
  });
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw localFailure(error, path);
  }
}
