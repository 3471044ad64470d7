import { channel } from 'node:diagnostics_channel';
import { opNames, op as ops } from './format.js';

/** What is published on the channel `exomem:tcp:frame` for each frame, if anybody listens. */
export interface FrameTrace {
  readonly side: 'client' | 'appliance';
  readonly direction: 'in' | 'out';
  readonly op: string;
  /** The request that it is, or that it answers. */
  readonly id: number;
  /** Bytes of the frame, header included. */
  readonly length: number;
  /** 0 is success; of a request always 0. */
  readonly status: number;
  /** The peer: an address, or the URL of the region. */
  readonly where: string;
}

export const frameChannel = channel('exomem:tcp:frame');

/** Call it only where `frameChannel.hasSubscribers`. */
export function traceFrame(
  side: FrameTrace['side'],
  direction: FrameTrace['direction'],
  operation: number,
  id: number,
  length: number,
  status: number,
  where: string,
): void {
  const name = operation === ops.goodbye ? 'goodbye' : (opNames[operation] ?? String(operation));
  const trace: FrameTrace = { side, direction, op: name, id, length, status, where };
  frameChannel.publish(trace);
}
