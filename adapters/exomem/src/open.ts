import {
  type AllocationPolicy,
  type CallOptions,
  Client,
  ExomemError,
  type HeartbeatMaker,
  isExomemError,
  type Placement,
  type Transport,
} from '@exomem/core';
import { Composition } from './composition/composition.js';
import type { Plugin } from './composition/plugin.js';
import { noRegion } from './image/no-region.js';
import { Memory } from './memory.js';
import { surroundings } from './surroundings.js';

export interface OpenOptions extends CallOptions {
  /** `member` (default) reads, writes and allocates; `observer` joins nothing and looks at names and tables only. */
  readonly role?: 'member' | 'steward' | 'observer';
  /**
   * The number that this program is, in a region whose members are numbers (`serve --configured`): another one for each program, and
   * from 1 on, since who serves it is 0. Not to be given in any other.
   */
  readonly member?: number;
  /** What others see of this program; at most 32 bytes of UTF-8. */
  readonly label?: string;
  /** How clients coordinate: a policy, its name, or the path of the module that has it. Default: what the region was made for. */
  readonly policy?: string | AllocationPolicy;
  /** Where allocations go: a placement, its name, or the path of the module that has it. Default `low-fragmentation`. */
  readonly placement?: string | Placement;
  /** The transport itself, instead of one that is found by the URL's scheme. */
  readonly transport?: Transport;
  /** What brings more transports and policies. */
  readonly plugins?: readonly Plugin[];
  /** Milliseconds of silence after which a connection counts as lost. Default 10,000. */
  readonly silence?: number;
  /** Milliseconds that an allocation waits for space that others may give back. Default 1,500. */
  readonly patience?: number;
  /**
   * Who beats: a thread of its own, so that this one may be blocked as long as it likes (the default of `open`, for
   * transports of exomem and of plug-ins that were loaded by `loadPlugin`), or this one (`inline`; so it is, too, where a
   * transport or a plug-in was handed over as an object, which another thread cannot have).
   */
  readonly heartbeat?: 'thread' | 'inline';
}

/**
 * Joins the region that `url` names, as in `tcp://127.0.0.1:7070/default` or `unix:/run/exomem.sock`.
 * @throws `InvalidArgument` (URL), `Disconnected`, `NotFound` (no such region), `NotFormatted`, `Damaged`,
 * `Incompatible`, `Busy` (no member slot left), `Aborted`, `DeadlineExceeded`
 */
export async function open(url: string, options: OpenOptions = {}): Promise<Memory> {
  return new Memory(await join(url, { heartbeat: 'thread', ...options }, new Composition(options.plugins)));
}

/** {@link open} with parts that are put together already; beats inline unless it is told otherwise. */
export async function join(url: string, options: OpenOptions, composition: Composition): Promise<Client> {
  const { role, member, label, policy, placement, signal, timeout, silence, patience } = options;
  const transport = options.transport ?? (await composition.transport(url));
  if (transport.name === 'file' && role !== 'observer') {
    throw new ExomemError('PermissionDenied', 'a region in a file is only looked at', {
      where: url,
      advice: 'serve it to write there: exomem serve --file PATH, or --load PATH to leave the file as it is',
    });
  }
  const abroad = options.transport === undefined ? composition.abroad(url) : undefined;
  let heartbeat: HeartbeatMaker | undefined;
  if (options.heartbeat === 'thread' && role !== 'observer' && abroad !== undefined) {
    const { threadHeartbeat } = await import('./heartbeat/thread-heartbeat.js');
    heartbeat = threadHeartbeat(abroad.plugin);
  }
  const opened = Client.open({
    transport,
    heartbeat,
    url,
    surroundings,
    policy: policy === undefined ? undefined : await composition.policy(policy),
    registered: (name) => composition.registered(name),
    placement: placement === undefined ? undefined : await composition.placement(placement),
    role,
    ...(member === undefined ? {} : { member }),
    label: label ?? '',
    pid: process.pid,
    signal,
    timeout,
    silence,
    patience,
  });
  if (transport.name !== 'file') return opened;
  try {
    return await opened;
  } catch (error) {
    throw isExomemError(error, 'NotFormatted') ? noRegion(error, url) : error;
  }
}
