import type { ConnectOptions, Session, Transport } from '@exomem/core';
import { ExomemError } from '@exomem/core';
import { parseUrl } from '../address.js';
import { TcpSession } from './session.js';

export interface TcpOptions {
  /** Milliseconds that connecting may take, HELLO included; also for each new epoch. Default 10,000. */
  readonly connectTimeout?: number;
  /** Milliseconds without a byte, with something in flight, until a connection counts as lost. Default 10,000. */
  readonly silence?: number;
}

/**
 * The transport to appliances over TCP and over sockets of the file system: `tcp://HOST[:PORT][/REGION]` and
 * `unix:PATH[?region=REGION]`.
 */
export function tcp(options: TcpOptions = {}): Transport {
  return {
    name: 'tcp',
    schemes: ['tcp', 'unix'],
    apiVersion: 1,
    connect: (url, connectOptions) => open(url, connectOptions, options),
  };
}

async function open(url: string, options: ConnectOptions, defaults: TcpOptions): Promise<Session> {
  const { clientId, lane, signal, timeout } = options;
  if (signal?.aborted)
    throw new ExomemError('Aborted', 'aborted before it began', { where: url, cause: signal.reason });
  if (timeout !== undefined && !(timeout > 0)) {
    throw new ExomemError('DeadlineExceeded', `a deadline of ${timeout} ms is over at once`, { where: url });
  }
  if (clientId.byteLength !== 16) {
    throw new ExomemError('InvalidArgument', `a client id has 16 bytes, not ${clientId.byteLength}`, { where: url });
  }
  if (!Number.isInteger(lane) || lane < 0 || lane > 0xffff_ffff) {
    throw new ExomemError('InvalidArgument', `there is no lane ${lane}`, {
      where: url,
      advice: 'lanes are 0 to 2^32 - 1',
    });
  }
  const patience = {
    connect: milliseconds(defaults.connectTimeout ?? 10_000, 'connectTimeout'),
    silence: milliseconds(options.silence ?? defaults.silence ?? 10_000, 'silence'),
  };
  const target = parseUrl(url);
  if (timeout === undefined || timeout >= 2 ** 31) return TcpSession.open(target, url, options, patience, signal);
  const deadline = AbortSignal.timeout(Math.ceil(timeout));
  try {
    return await TcpSession.open(
      target,
      url,
      options,
      patience,
      signal ? AbortSignal.any([signal, deadline]) : deadline,
    );
  } catch (error) {
    if (!deadline.aborted || signal?.aborted) throw error;
    throw new ExomemError('DeadlineExceeded', `no connection within ${timeout} ms`, { where: url, cause: error });
  }
}

/** Timers count to 2^31. */
function milliseconds(value: number, name: string): number {
  if (value > 0 && !Number.isNaN(value)) return Math.min(value, 2 ** 31 - 1);
  throw new ExomemError('InvalidArgument', `"${name}" cannot be ${value} ms`, { advice: 'give a positive number' });
}
