import { ExomemError } from '../errors.js';
import { atomic } from '../policy/atomic.js';
import { findPolicy } from '../policy/shipped.js';
import { exclusionOf } from '../protocol/exclusion.js';
import { readSuperblock } from '../protocol/format.js';
import type { Introduction } from '../protocol/membership.js';
import { run } from '../protocol/runner.js';
import type { Superblock } from '../region/superblock.js';
import type { CallOptions, Session } from '../transport/transport.js';
import { LeasedSession } from './leased-session.js';
import { membershipOf } from './membership.js';
import type { ClientOptions } from './options.js';
import type { Basis } from './parts.js';

/** A region that was reached, and read as far as it takes to become its client. */
export interface Opened extends Basis {
  readonly superblock: Superblock;
  readonly session: Session;
  /** The same session, where writes wait for a lease: whoever has one has to be told to it. */
  readonly leased: LeasedSession | undefined;
}

/** The lanes of a client that is about to be. */
export class Opening {
  readonly clientId = new Uint8Array(16);
  readonly #options: ClientOptions;
  readonly #sessions: Session[] = [];

  constructor(options: ClientOptions) {
    this.#options = options;
    const view = new DataView(this.clientId.buffer);
    for (let at = 0; at < 16; at += 4) view.setUint32(at, options.surroundings.random(), true);
  }

  /** @throws `NotFormatted`, `Damaged`, `Incompatible`, `PermissionDenied`, and what keeps it from being reached. */
  async reach(): Promise<Opened> {
    const { url, surroundings, signal, timeout, role, member, policy, registered } = this.#options;
    const session = await this.#connect(0, { signal, timeout });
    const { block, readOnly } = await run(readSuperblock(session.size), { session, surroundings });
    const looks = role === 'observer';
    if (readOnly && !looks) {
      throw new ExomemError('PermissionDenied', 'this region uses features this version can only look at', {
        where: url,
      });
    }
    const membership = membershipOf(block);
    if (!looks) membership.admit(session, member);
    const leased = exclusionOf(session.capabilities, block) === 'wait' ? new LeasedSession(session) : undefined;
    return {
      superblock: block,
      membership,
      // Whoever only looks reads words, which are the format's, whatever policy changes them.
      policy: looks ? atomic : await findPolicy(block, policy, registered),
      session: leased ?? session,
      leased,
      connect: (lane, call) => this.#connect(lane, call),
    };
  }

  get introduction(): Introduction {
    const { role, pid = 0, label = '' } = this.#options;
    return { clientId: this.clientId, steward: role === 'steward', pid, label };
  }

  async #connect(lane: number, call: CallOptions = {}): Promise<Session> {
    const { transport, url, silence } = this.#options;
    const session = await transport.connect(url, { clientId: this.clientId, lane, silence, ...call });
    this.#sessions.push(session);
    return session;
  }

  /** Nothing came of it. */
  async abandon(): Promise<void> {
    for (const session of this.#sessions) await session.close();
  }
}
