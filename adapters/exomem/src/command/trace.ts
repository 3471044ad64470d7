import { subscribe } from 'node:diagnostics_channel';
import { ExomemError } from '@exomem/core';
import type { FrameTrace } from '@exomem/transport-tcp';

/** EXOMEM_TRACE: what is written to stderr as it happens. @throws `InvalidArgument` */
export function trace(what: string): void {
  if (what !== 'wire') {
    throw new ExomemError('InvalidArgument', `EXOMEM_TRACE=${what} traces nothing`, {
      advice: 'EXOMEM_TRACE=wire does',
    });
  }
  subscribe('exomem:tcp:frame', (message) => {
    const { side, direction, op, id, length, status, where } = message as FrameTrace;
    const at = performance.now().toFixed(3).padStart(10);
    const arrow = direction === 'in' ? '<-' : '->';
    const failed = status === 0 ? '' : ` status ${status}`;
    process.stderr.write(`${at} ${side} ${arrow} ${op} #${id} ${length} B${failed} ${where}\n`);
  });
}
