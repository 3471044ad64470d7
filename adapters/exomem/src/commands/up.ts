import { mkdir, mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ExomemError } from '@exomem/core';
import type { SupervisedMount } from '@exomem/mount';
import type { Context } from '../command/context.js';
import { describe } from '../command/failure.js';
import { Progress } from '../command/progress.js';
import { formatSize, parseSize, typeSize } from '../command/quantity.js';
import { Scope } from '../composition/scope.js';
import type { Service } from '../serving/service.js';
import { GiB, MiB } from '../units.js';
import { localFailure, onPath } from './local.js';
import { parseMetadata, tellNews, tellPolicy, warnOfOthers } from './serve.js';

export interface UpFlags {
  readonly size?: string;
  readonly listen?: string[];
  readonly name: string;
  readonly mount: boolean;
  readonly load?: string;
  readonly save?: string;
  readonly metadata?: string;
}

/** Appliance, steward and mount in one, until Ctrl-C. What is not given is chosen, and told. */
export async function up(context: Context, dir: string | undefined, flags: UpFlags): Promise<void> {
  const { output, interrupt } = context;
  const { load, save } = flags;
  const chosen = flags.size === undefined ? undefined : parseSize(flags.size);
  const size = chosen ?? (load === undefined ? await sensibleSize() : undefined);
  const { Service } = await import('../serving/service.js');
  const scope = new Scope();
  let service: Service | undefined;
  try {
    const progress = new Progress(load === undefined ? 'setting memory aside' : `loading ${load}`);
    const saving = new Progress(`saving ${save}`);
    service = scope.use(
      await Service.start({
        size,
        listen: flags.listen ?? '127.0.0.1:0',
        name: flags.name,
        load,
        save,
        policy: context.given.policy,
        placement: context.given.placement,
        plugins: await context.plugins(),
        metadata: parseMetadata(flags.metadata),
        onSave: (done, total) => saving.update(done, total),
        signal: context.signal,
        onProgress: (done, total) => progress.update(done, total),
        onSteward: (news) => tellNews(context, news),
      }).finally(() => progress.end()),
    );
    const mounted = flags.mount ? await mountIfPossible(context, scope, service, dir) : undefined;
    await tellAll(context, service, mounted);
    void mounted?.ended.then(({ reason }) => {
      if (reason !== 'stopped')
        output.note(`exomem: ${mounted.dir} is mounted no longer (${reason}); the appliance goes on`);
    });
    warnOfOthers(context, service.urls);
    await interrupt.wait();
    if (save !== undefined) {
      // Mounts first: what programs have written there is published when they are unmounted.
      await scope.close().finally(() => saving.end());
      if (!output.json) output.note(`exomem: ${save} has the region: exomem up --load ${save} brings it back`);
    } else if (!output.json) output.note(`exomem: it ends; ${await loss(service)}`);
  } finally {
    await scope.close();
  }
}

/** A quarter of what is free, at most 1 GiB. @throws `Unavailable` */
async function sensibleSize(): Promise<number> {
  const { memoryRoom } = await import('@exomem/transport-tcp');
  const { free, of } = memoryRoom();
  const size = Math.min(GiB, Math.floor(free / 4 / MiB) * MiB);
  if (size >= 16 * MiB) return size;
  throw new ExomemError('Unavailable', `${of} has ${formatSize(free)} free, which is too little to choose a size`, {
    advice: 'make room, or give one: exomem up --size 8M',
  });
}

/** Where mounting is impossible the rest goes on without it. */
async function mountIfPossible(
  context: Context,
  scope: Scope,
  service: Service,
  wanted: string | undefined,
): Promise<SupervisedMount | undefined> {
  const composition = await context.composition();
  const obstacle = await (await composition.host()).obstacle();
  if (obstacle !== undefined) {
    context.output.note(`exomem: no directory is mounted: ${obstacle.what}: ${obstacle.advice}`);
    return undefined;
  }
  const dir = await directory(scope, wanted);
  const { mountRegion } = await import('../mounting/supervise.js');
  const mounted = scope.use(mountRegion({ url: service.url, dir, ...context.given }));
  try {
    await Promise.race([mounted.ready, context.interrupt.wait()]);
  } catch (error) {
    // A directory that somebody chose is what he wants; one of ours is only convenient.
    if (wanted !== undefined) throw error;
    context.output.note(`${describe(error)}; the appliance goes on without a mount`);
    return undefined;
  }
  context.signal.throwIfAborted();
  return mounted;
}

/** The directory to mount on. What is made here is removed at the end. */
async function directory(scope: Scope, wanted: string | undefined): Promise<string> {
  const remove = (path: string): void => scope.defer(() => rmdir(path).catch(() => undefined));
  if (wanted === undefined) {
    const dir = await mkdtemp(join(process.env['XDG_RUNTIME_DIR'] || tmpdir(), 'exomem-up-'));
    remove(dir);
    return dir;
  }
  const dir = resolve(wanted);
  try {
    await mkdir(dir);
    remove(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw localFailure(error, dir);
  }
  return dir;
}

async function tellAll(context: Context, service: Service, mounted: SupervisedMount | undefined): Promise<void> {
  const { output } = context;
  const [url] = service.urls;
  const dir = mounted?.dir;
  if (output.json) {
    output.value({ url, urls: service.urls, size: service.size, dir, pid: mounted?.pid });
    return;
  }
  output.line(`${formatSize(service.size)} of memory, in this process until Ctrl-C:`);
  if (dir !== undefined) output.line(`  the directory  ${dir}`);
  for (const one of service.urls) output.line(`  the region     ${one}`);
  tellPolicy(context, service);
  output.line('Try, in another terminal:');
  if (dir !== undefined) {
    output.line(`  cp /etc/hostname ${dir}/ && ls -l ${dir}`);
  }
  if ((await onPath('exomem')) === undefined) output.line(`  alias exomem='node ${process.argv[1]}'`);
  output.line(`  export EXOMEM_URL='${url}'`);
  output.line('  exomem put /etc/hostname / && exomem cat /hostname');
  output.line('  exomem members');
  const keep =
    service.superblock.data === undefined
      ? '--save FILE, and --load FILE next time'
      : `exomem image save '${url}' FILE, and exomem image load FILE into the next one`;
  output.line(`Other sizes: exomem up --size ${typeSize(service.size * 2)}. To keep what is in it: ${keep}.`);
}

/** What is gone with the region. */
async function loss(service: Service): Promise<string> {
  const client = service.steward?.client;
  if (client === undefined) return 'what was in the region is lost';
  // What was named a moment ago counts, too.
  await client.refresh().catch(() => undefined);
  const { state } = client;
  let files = 0;
  for (const { kind } of state.inodes.values()) if (kind === 'file') files++;
  if (files === 0) return 'there was no file in the region that could be lost';
  const bytes = formatSize(state.pages * state.pageSize);
  return `lost with it: ${files} ${files === 1 ? 'file' : 'files'}, ${bytes}`;
}
