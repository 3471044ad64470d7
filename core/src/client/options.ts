import type { Placement } from '../policy/placement.js';
import type { AllocationPolicy } from '../policy/policy.js';
import type { Surroundings } from '../protocol/runner.js';
import type { CallOptions, Transport } from '../transport/transport.js';
import type { HeartbeatMaker } from './heartbeat.js';

/** What a client is for. `observer` joins nothing and only looks at tables and names. */
export type Role = 'member' | 'steward' | 'observer';

export interface ClientOptions extends CallOptions {
  readonly transport: Transport;
  readonly url: string;
  readonly surroundings: Surroundings;
  /** How space is coordinated. Default: what the region says; if that is none of this package, `registered` has to have it. */
  readonly policy?: AllocationPolicy;
  /** Finds the policy of that name, for a region that such a one rules. */
  readonly registered?: (name: string) => Promise<AllocationPolicy | undefined>;
  /** Where allocations go. Default `low-fragmentation`. */
  readonly placement?: Placement;
  /** `member` (default) reads, writes and allocates; `observer` joins nothing and only looks at tables and names. */
  readonly role?: Role;
  /** What `exomem members` shows; at most 32 bytes of UTF-8. */
  readonly label?: string;
  readonly pid?: number;
  /**
   * The member number that this program is configured to be, where they are configured: another for each; 0 coordinates. Not to
   * be given where they are won.
   */
  readonly member?: number;
  /** Milliseconds of silence after which a connection counts as lost. */
  readonly silence?: number;
  /** Milliseconds that an allocation waits for space that others may give back, before it says RegionFull. Default 1,500. */
  readonly patience?: number;
  /** Who beats once the client has joined. Default: the thread that it lives in, which must not be blocked for long. */
  readonly heartbeat?: HeartbeatMaker;
}
