// The process that serves a mount. Its one argument is a MountRequest.
import { runMountChild } from '@exomem/mount';
import { Composition } from '../composition/composition.js';
import { loadPlugin } from '../composition/plugin.js';
import { join } from '../open.js';
import type { MountRequest } from './supervise.js';

const request = JSON.parse(process.argv[2]!) as MountRequest;
const { url, dir, host, ioTimeout = 10_000, allowOther, plugins, policy, placement } = request;
const composition = new Composition();
for (const specifier of plugins) composition.add(await loadPlugin(specifier), specifier);
await runMountChild({
  dir,
  ioTimeout,
  allowOther,
  host: await composition.host(host),
  // A connection that says nothing for half of that time is given up, so that there is time for another one.
  open: () =>
    join(url, { label: 'mount', silence: ioTimeout / 2, heartbeat: 'thread', policy, placement }, composition),
});
