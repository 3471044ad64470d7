import type { Session } from '@exomem/core';
import { type Regions, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';

/** Opens a session in a thread: what `hammerThreads` is given unless it is given something else. */
export function open(region: Regions[string], number: number): Session {
  const clientId = new Uint8Array(16).fill(number);
  return sharedArrayBuffer({ region }).open('sab:region', { clientId, lane: 0 });
}
