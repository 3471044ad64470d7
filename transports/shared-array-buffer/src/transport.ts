import type { ConnectOptions, Transport } from '@exomem/core';
import { ExomemError, RegionMemory } from '@exomem/core';
import { SharedArrayBufferSession } from './session.js';

/** The buffers of each region by its name, as {@link createRegion} gives them. */
export type Regions = Readonly<Record<string, SharedArrayBuffer | readonly SharedArrayBuffer[]>>;

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
  const memories = new Map<string, RegionMemory>();
  for (const [name, buffers] of Object.entries(regions)) {
    memories.set(name, new RegionMemory(buffers instanceof SharedArrayBuffer ? [buffers] : buffers));
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
    const memory = memories.get(name);
    if (memory === undefined) {
      throw new ExomemError('NotFound', `there is no region "${name}" in this thread`, {
        where: url,
        advice: `known here: ${[...memories.keys()].join(', ') || 'none'}`,
      });
    }
    const key = `${Buffer.from(clientId).toString('hex')}/${lane}/${name}`;
    const earlier = lanes.get(key);
    earlier?.supersede();
    const session = new SharedArrayBufferSession(memory, url, (earlier?.epoch ?? 0) + 1, (closed) => {
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
