import { ExomemError, type MemberLine } from '@exomem/core';
import type { Context } from '../command/context.js';
import { describe } from '../command/failure.js';
import { parseRegion } from '../command/location.js';
import { printable } from '../command/output.js';
import { Progress } from '../command/progress.js';
import { formatDuration, formatSize, parseDuration, parseSize, typeSize } from '../command/quantity.js';
import type { Service } from '../serving/service.js';
import type { StewardNews } from '../serving/steward-watch.js';

export interface ServeFlags {
  readonly size?: string;
  readonly listen?: string[];
  readonly name: string;
  readonly file?: string;
  readonly lease?: string;
  readonly format?: boolean;
  readonly load?: string;
  readonly save?: string;
  readonly metadata?: string;
  readonly raw?: boolean;
  readonly configured?: boolean;
  readonly initialise?: string;
  readonly scrub?: boolean;
  readonly clean?: string;
}

export async function serve(context: Context, flags: ServeFlags): Promise<void> {
  if (flags.raw) return (await import('./serve-raw.js')).serveRaw(context, flags);
  const size = flags.size === undefined ? undefined : parseSize(flags.size);
  const lease = flags.lease === undefined ? undefined : parseDuration(flags.lease, 'lease');
  const clean = flags.clean === undefined ? undefined : parseRate(flags.clean);
  const initialise = parseInitialise(flags.initialise);
  if (flags.scrub && initialise === 'lazily') {
    throw new ExomemError('InvalidArgument', '--scrub zeroes pages before they are free', {
      advice: 'leave --initialise out',
    });
  }
  const { output, interrupt } = context;
  const { Service } = await import('../serving/service.js');
  const { file, load, save } = flags;
  const progress = new Progress(load === undefined ? 'setting memory aside' : `loading ${load}`);
  const saving = new Progress(`saving ${save}`);
  await using service = await Service.start({
    size,
    lease,
    file,
    listen: flags.listen,
    name: flags.name,
    format: flags.format,
    load,
    save,
    policy: context.given.policy,
    placement: context.given.placement,
    plugins: await context.plugins(),
    metadata: parseMetadata(flags.metadata),
    configured: flags.configured,
    initialise,
    scrub: flags.scrub,
    clean,
    onSave: (done, total) => saving.update(done, total),
    signal: context.signal,
    onProgress: (done, total) => progress.update(done, total),
    onSteward: (news) => tellNews(context, news),
  }).finally(() => progress.end());
  const { geometry, lease: heartbeat } = service.superblock;
  if (output.json) {
    output.value({ url: service.urls[0], urls: service.urls, size: service.size, created: service.created, file });
  } else {
    const where = file === undefined ? 'of memory' : `in ${file}`;
    const what = load === undefined ? 'The region' : `The region of ${load}`;
    output.line(`${service.created ? 'A new region' : what}: ${formatSize(service.size)} ${where},`);
    output.line(
      `  ${geometry.groupCount * geometry.groupPages} pages of ${formatSize(geometry.pageSize)},` +
        ` up to ${geometry.memberSlots} members, lease ${formatDuration(heartbeat)}`,
    );
    for (const url of service.urls) output.line(`  ${url}`);
    tellPolicy(context, service);
    output.line(
      service.superblock.configured
        ? `Programs open it with { member: NUMBER }, from 1 to ${geometry.memberSlots - 1}, each another. Try: exomem members '${service.urls[0]}'`
        : `Try: EXOMEM_URL='${service.urls[0]}' exomem ls -l`,
    );
    output.line('Ctrl-C ends it.');
  }
  warnOfOthers(context, service.urls);
  await interrupt.wait();
  if (save !== undefined) await saved(context, service, save, saving);
  if (output.json || save !== undefined) return;
  if (file === undefined) output.note(`exomem: it ends; what was in the region is lost`);
  else {
    output.note(
      `exomem: it ends; ${file} keeps the region: exomem serve --file ${file} --size ${typeSize(service.size)} serves it again`,
    );
  }
}

/** Who joins a region of a policy that is none of exomem brings it. */
export function tellPolicy({ output, given: { policy } }: Context, { superblock }: Service): void {
  if (superblock.policy === undefined) return;
  const option = policy === undefined ? '' : `: --policy ${policy} brings it to other commands`;
  output.line(`  its policy is ${superblock.policy}${option}`);
}

/** A size, or the URL of a region. @throws `OutOfRange`, `InvalidArgument` */
export function parseMetadata(text: string | undefined): number | string | undefined {
  if (text === undefined) return undefined;
  return /^[a-z][a-z0-9+.-]*:/i.test(text) ? parseRegion(text) : parseSize(text, 'size of the metadata');
}

function parseInitialise(text: string | undefined): 'lazily' | 'before' | undefined {
  if (text === undefined || text === 'lazily' || text === 'before') return text;
  throw new ExomemError('InvalidArgument', `pages cannot be initialised "${text}"`, {
    advice: 'say --initialise lazily, or before',
  });
}

/** Bytes in a second; 0 is allowed. */
function parseRate(text: string): number {
  return text === '0' ? 0 : parseSize(text);
}

/** Ends the service, which saves what is in the region, and says so. */
export async function saved({ output }: Context, service: Service, path: string, progress: Progress): Promise<void> {
  try {
    await service.close();
  } finally {
    progress.end();
  }
  if (!output.json) output.note(`exomem: ${path} has the region: exomem serve --load ${path} brings it back`);
}

/** What happened to members and to the steward. What it does day by day is nobody's concern. */
export function tellNews({ output, signal }: Context, news: StewardNews): void {
  if (signal.aborted) return;
  const who = ({ slot, label, pid }: MemberLine): string =>
    `member ${slot} (${printable(label) || 'no name'}, process ${pid})`;
  if (news.type === 'absent') {
    output.note(`${describe(news.error)}; until there is a steward, what others leave behind waits`);
  } else if (news.type === 'fenced') output.note(`exomem: ${who(news.member)} is silent, and was declared dead`);
  else if (news.type === 'recovered' && news.member !== undefined && news.recovery.principals.length > 0) {
    output.note(`exomem: what ${who(news.member)} held was recovered: ${news.recovery.groups} groups of pages`);
  } else if (news.type === 'failed' && process.env['EXOMEM_DEBUG']) output.note(describe(news.error));
}

/** Whether nobody but this machine reaches an address that is listened on. */
export function isLocal(url: string): boolean {
  if (url.startsWith('unix:')) return true;
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Says so where others than this machine can join. */
export function warnOfOthers({ output }: Context, urls: readonly string[]): void {
  for (const url of urls) {
    if (isLocal(url)) continue;
    output.note(`exomem: whoever reaches ${url} can join and write: there are no passwords, and nothing is encrypted`);
  }
}
