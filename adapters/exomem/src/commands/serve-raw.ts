import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { Progress } from '../command/progress.js';
import { formatSize, parseSize } from '../command/quantity.js';
import { Scope } from '../composition/scope.js';
import type { ServeFlags } from './serve.js';
import { warnOfOthers } from './serve.js';

/** Options that say something about a region that is formatted. */
const others = [
  ...(['lease', 'format', 'load', 'save', 'metadata'] as const),
  ...(['configured', 'initialise', 'scrub', 'clean'] as const),
];

/** Sets memory aside and exposes it as it is: for another appliance, which puts the metadata of its region there. */
export async function serveRaw(context: Context, flags: ServeFlags): Promise<void> {
  const wrong = others.find((name) => flags[name] !== undefined);
  if (wrong !== undefined) {
    throw new ExomemError('InvalidArgument', `--${wrong} says nothing about memory that is only set aside`, {
      advice: `give --${wrong} to the exomem that serves the data`,
    });
  }
  const size = flags.size === undefined ? undefined : parseSize(flags.size);
  const { Appliance, checkRegionName, formatUrl, setAside } = await import('@exomem/transport-tcp');
  checkRegionName(flags.name);
  const { output, interrupt } = context;
  const scope = new Scope();
  try {
    const appliance = scope.use(new Appliance());
    const urls: string[] = [];
    for (const place of flags.listen ?? ['127.0.0.1:7070'])
      urls.push(formatUrl(await appliance.listen(place), flags.name));
    const progress = new Progress('setting memory aside');
    const onProgress = (done: number, total: number): void => progress.update(done, total);
    const backing = await setAside({ size, file: flags.file, signal: context.signal, onProgress }).finally(() =>
      progress.end(),
    );
    scope.defer(() => backing.close());
    // Before the memory ends, so do those who use it.
    scope.defer(() => appliance.close());
    appliance.expose(flags.name, backing.memory);
    const { size: bytes } = backing.memory;
    if (output.json) output.value({ url: urls[0], urls, size: bytes, created: backing.created, file: flags.file });
    else {
      output.line(`${formatSize(bytes)} are set aside, and not formatted:`);
      for (const url of urls) output.line(`  ${url}`);
      output.line(`Elsewhere: exomem serve --size SIZE --metadata ${urls[0]}`);
      output.line('Ctrl-C ends it.');
    }
    warnOfOthers(context, urls);
    await interrupt.wait();
  } finally {
    await scope.close();
  }
}
