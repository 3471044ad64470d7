/** What serves the directory, in a process of its own: `serve-mount.js URL DIRECTORY`. */
import { Client } from '@exomem/core';
import { runMountChild } from '@exomem/mount';
import { tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';

const [url, dir] = process.argv.slice(2);
await runMountChild({
  dir: dir!,
  open: () => Client.open({ transport: tcp(), url: url!, surroundings, label: 'mount', pid: process.pid }),
});
