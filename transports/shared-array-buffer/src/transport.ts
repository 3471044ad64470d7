import type { ConnectOptions, Transport } from '@exomem/core';
import { ExomemError, RegionMemory } from '@exomem/core';
import type { SharedRegion } from './region.js';
import { Roster } from './roster.js';
import { SharedArrayBufferSession } from './session.js';

/** Each region by its name: as {@link createRegion} gives it, or bare buffers, which have no roster. */
export type Regions = Readonly<Record<string, SharedRegion | SharedArrayBuffer | readonly SharedArrayBuffer[]>>;

/** The transport of regions that this thread shares. */
export interface SharedArrayBufferTransport extends Transport {
  /** {@link Transport.connect} without the promise: there is nothing to wait for. Same errors, thrown. */
  open(url: string, options: ConnectOptions): SharedArrayBufferSession;
}

/**
 * A transport to regions in SharedArrayBuffers, under URLs `sab:NAME`. Each thread makes its own, from the same
 * buffers. The lanes of one client live in one thread: there a later session of a lane fences the earlier one.
 * @throws `InvalidArgument` if a region's buffers make no region.
 */
export function sharedArrayBuffer(regions: Regions): SharedArrayBufferTransport {
  const known = new Map<string, { readonly memory: RegionMemory; readonly roster: Roster | undefined }>();
  for (const [name, given] of Object.entries(regions)) {
    const { segments, roster } = sharedRegion(given);
    known.set(name, { memory: new RegionMemory(segments), roster: roster && new Roster(roster) });
  }
  const lanes = new Map<string, SharedArrayBufferSession>();

  const open = (url: string, options: ConnectOptions): SharedArrayBufferSession => {
    const { clientId, lane, signal, timeout } = options;
    if (signal?.aborted) {
      throw new ExomemError('Aborted', 'aborted before it began', { where: url, cause: signal.reason });
    }
    if (timeout !== undefined && !(timeout > 0)) {
      throw new ExomemError('DeadlineExceeded', `a deadline of ${timeout} ms is over at once`, { where: url });
    }
    if (!url.startsWith('sab:')) {
      throw new ExomemError('InvalidArgument', `not the URL of a region in shared memory: ${url}`, {
        advice: 'write sab:NAME',
      });
    }
    if (clientId.byteLength !== 16) {
      throw new ExomemError('InvalidArgument', `a client id has 16 bytes, not ${clientId.byteLength}`, { where: url });
    }
    if (!Number.isInteger(lane) || lane < 0 || lane > 0xffff) {
      throw new ExomemError('InvalidArgument', `no such lane: ${lane}`, { where: url, advice: 'lanes are 0 to 65535' });
    }
    const name = url.slice('sab:'.length);
    const region = known.get(name);
    if (region === undefined) {
      throw new ExomemError('NotFound', `there is no region "${name}" in this thread`, {
        where: url,
        advice: `known here: ${[...known.keys()].join(', ') || 'none'}`,
      });
    }
    const key = `${Buffer.from(clientId).toString('hex')}/${lane}/${name}`;
    const earlier = lanes.get(key);
    earlier?.supersede();
    const session = new SharedArrayBufferSession(region, url, (earlier?.epoch ?? 0) + 1, (closed) => {
      if (lanes.get(key) === closed) lanes.delete(key);
    });
    lanes.set(key, session);
    return session;
  };

  return {
    name: 'shared-array-buffer',
    schemes: ['sab'],
    apiVersion: 1,
    open,
    connect: async (url, options) => open(url, options),
  };
}

function sharedRegion(given: SharedRegion | SharedArrayBuffer | readonly SharedArrayBuffer[]): SharedRegion {
  if (given instanceof SharedArrayBuffer) return { segments: [given] };
  return 'segments' in given ? given : { segments: given };
}
