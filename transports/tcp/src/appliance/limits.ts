import { ExomemError } from '@exomem/core';

/** What peers can make an appliance hold, and for how long. */
export interface ApplianceLimits {
  /** Connections at a time, of all regions. */
  readonly connections: number;
  /** Bytes of answers that one connection may leave unread before the appliance stops serving it. */
  readonly queued: number;
  /** Bytes of answers in large buffers over all connections; beyond it each connection gets `frugal` alone. */
  readonly queuedTotal: number;
  /** Bytes of unread answers per connection once `queuedTotal` is used up. */
  readonly frugal: number;
  /** Bytes of unfinished frames over all connections; beyond it the oldest of them loses its connection. */
  readonly unfinished: number;
  /** Milliseconds from the connection to a whole HELLO. */
  readonly hello: number;
  /** Milliseconds without a byte from the peer until its connection is closed. */
  readonly idle: number;
  /** Operations of one connection before the others get their turn. */
  readonly turn: number;
}

export const defaultLimits: ApplianceLimits = {
  connections: 256,
  queued: 1_048_576,
  queuedTotal: 8_388_608,
  frugal: 32_768,
  unfinished: 8_388_608,
  hello: 5_000,
  idle: 60_000,
  turn: 512,
};

/** @throws `InvalidArgument` if a limit is no positive whole number. */
export function completeLimits(limits: Partial<ApplianceLimits> = {}): ApplianceLimits {
  const complete = { ...defaultLimits, ...limits };
  for (const [name, value] of Object.entries(complete)) {
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new ExomemError('InvalidArgument', `the limit "${name}" cannot be ${value}`, {
        advice: 'give a positive whole number',
      });
    }
  }
  return complete;
}
