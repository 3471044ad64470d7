/**
 * Memory that this program fills through the library, a Python program changes through `mmap`, and this program reads
 * again: the same bytes, in the memory of an appliance.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { format, runAsync } from '@exomem/core';
import { superviseMount } from '@exomem/mount';
import { Appliance, setAside, tcp } from '@exomem/transport-tcp';
import { MiB, open, surroundings } from 'exomem';

const run = promisify(execFile);

// The appliance: `exomem serve --size 64M` does the same in a process of its own.
const backing = await setAside({ size: 64 * MiB });
const appliance = new Appliance();
appliance.expose('example', backing.memory);
await appliance.listen('127.0.0.1:0');
const url = appliance.url('example');
const session = await tcp().connect(url, { clientId: randomBytes(16), lane: 0 });
await runAsync(format(session.size, { zeroed: true }), { session, surroundings });
await session.close();

// The directory: `exomem mount URL DIRECTORY`.
const dir = await mkdtemp(join(tmpdir(), 'exomem-example-'));
const mount = superviseMount({ dir, args: [fileURLToPath(new URL('./serve-mount.js', import.meta.url)), url, dir] });
try {
  await mount.ready;
  const memory = await open(url);

  const picture = await memory.allocate(8 * MiB, { name: '/picture' });
  await picture.write(
    0,
    Uint8Array.from({ length: 8 * MiB }, (_, index) => index),
  );

  const program = fileURLToPath(new URL('../../../mmap-from-python/invert.py', import.meta.url));
  const { stdout } = await run('python3', [program, join(dir, 'picture')]);
  console.log(`Python: ${stdout.trim()}`);

  const bytes = new Uint8Array(4);
  await picture.read(8 * MiB - 4, bytes);
  console.log(`the last four bytes are ${bytes.join(' ')}`);
  await memory.close();
} finally {
  await mount.stop();
  await rmdir(dir);
  await appliance.close();
  await backing.close();
}
