import type { Context } from '../command/context.js';
import { describe } from '../command/failure.js';
import { Progress } from '../command/progress.js';
import { formatDuration, formatSize, parseDuration, parseSize, typeSize } from '../command/quantity.js';
import type { StewardNews } from '../serving/steward-watch.js';

export interface ServeFlags {
  readonly size?: string;
  readonly listen?: string[];
  readonly name: string;
  readonly file?: string;
  readonly lease?: string;
  readonly format?: boolean;
}

export async function serve(context: Context, flags: ServeFlags): Promise<void> {
  const size = flags.size === undefined ? undefined : parseSize(flags.size);
  const lease = flags.lease === undefined ? undefined : parseDuration(flags.lease, 'lease');
  const { output, interrupt } = context;
  const { Service } = await import('../serving/service.js');
  const progress = new Progress('setting memory aside');
  const { file } = flags;
  await using service = await Service.start({
    size,
    lease,
    file,
    listen: flags.listen,
    name: flags.name,
    format: flags.format,
    signal: context.signal,
    onProgress: (done, total) => progress.update(done, total),
    onSteward: (news) => tellNews(context, news),
  }).finally(() => progress.end());
  const { geometry, lease: heartbeat } = service.superblock;
  if (output.json) {
    output.value({ url: service.urls[0], urls: service.urls, size: service.size, created: service.created, file });
  } else {
    const where = file === undefined ? 'of memory' : `in ${file}`;
    output.line(`${service.created ? 'A new region' : 'The region'}: ${formatSize(service.size)} ${where},`);
    output.line(
      `  ${geometry.groupCount * geometry.groupPages} pages of ${formatSize(geometry.pageSize)},` +
        ` up to ${geometry.memberSlots} members, lease ${formatDuration(heartbeat)}`,
    );
    for (const url of service.urls) output.line(`  ${url}`);
    output.line(`Try: EXOMEM_URL=${service.urls[0]} exomem ls -l`);
    output.line('Ctrl-C ends it.');
  }
  await interrupt.wait();
  if (output.json) return;
  if (file === undefined) output.note(`exomem: it ends; what was in the region is lost`);
  else {
    output.note(
      `exomem: it ends; ${file} keeps the region: exomem serve --file ${file} --size ${typeSize(service.size)} serves it again`,
    );
  }
}

/** What went wrong with the steward. What it does well is nobody's concern. */
export function tellNews({ output, signal }: Context, news: StewardNews): void {
  if (signal.aborted) return;
  if (news.type === 'absent') output.note(`${describe(news.error)}; until there is a steward, what others leave waits`);
  else if (news.type === 'fenced') {
    const { slot, label, pid } = news.member;
    output.note(`exomem: member ${slot} (${label || 'no name'}, process ${pid}) is silent, and was declared dead`);
  }
}
