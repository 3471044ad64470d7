/**
 * The other process of benchmarks that need regions of their own: answers `{ open }` with the URL of a fresh region, known to
 * be zero, in place of the one before, and `{ cpu }` with the milliseconds of CPU that it has used. Ends with its parent.
 */
import { type FormatOptions, format, RegionMemory, runSync } from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance } from '@exomem/transport-tcp';
import { surroundings } from './surroundings.js';

export type Ask =
  | { readonly open: { readonly bytes: number; readonly options?: FormatOptions } }
  | { readonly cpu: true };
export type Answer = { readonly url: string } | { readonly cpu: number };

/** Bytes of a segment: what is not touched takes no memory. */
const span = 1024 ** 3;
const appliance = new Appliance({ limits: { connections: 1024 } });
let regions = 0;

async function open(bytes: number, options: FormatOptions = {}): Promise<Answer> {
  const segments: SharedArrayBuffer[] = [];
  for (let at = 0; at < bytes; at += span) segments.push(new SharedArrayBuffer(Math.min(span, bytes - at)));
  const session = await sharedArrayBuffer({ r: segments }).connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(bytes, { zeroed: true, ...options }), { session, surroundings });
  if (regions > 0) appliance.withdraw(`r${regions}`);
  appliance.expose(`r${++regions}`, new RegionMemory(segments));
  return { url: appliance.url(`r${regions}`) };
}

await appliance.listen('127.0.0.1:0');
process.on('message', async (ask: Ask) => {
  if ('open' in ask) process.send!(await open(ask.open.bytes, ask.open.options));
  else {
    const { user, system } = process.cpuUsage();
    process.send!({ cpu: (user + system) / 1000 });
  }
});
process.on('disconnect', () => process.exit());
process.send!({ cpu: 0 });
