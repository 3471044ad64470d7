import type { ConnectOptions, MemberBinding, Session, Transport } from '@exomem/core';
import { ExomemError } from '@exomem/core';
import { checkFaultPlan, Fates, type FaultPlan, type PlannedFault } from './plan.js';
import { FaultySession } from './session.js';

export interface FaultyOptions {
  /**
   * Lets sessions revoke members at once although the transport cannot: all lanes go through here, so those of a member can be shut
   * out here. Holds for the sessions of this one object alone. Default: what the transport itself declares.
   */
  readonly revoke?: boolean;
}

/** How many faults are remembered. */
const remembered = 10_000;

/** What all sessions of a faulty transport share. */
export class Lanes {
  readonly sessions = new Set<FaultySession>();
  readonly #revoked = new Map<string, number>();

  revoke(url: string, { slot, incarnation }: MemberBinding): FaultySession[] {
    const key = `${slot} ${url}`;
    this.#revoked.set(key, Math.max(incarnation, this.#revoked.get(key) ?? -1));
    return [...this.sessions].filter((session) => session.where === url && session.bound?.slot === slot);
  }

  isRevoked(url: string, { slot, incarnation }: MemberBinding): boolean {
    return (this.#revoked.get(`${slot} ${url}`) ?? -1) >= incarnation;
  }
}

/**
 * A transport whose sessions meet the faults of a plan: see {@link faulty}. It keeps the contract of transports, and its
 * sessions can be cut, held and silenced by hand as well.
 */
export class FaultyTransport implements Transport {
  readonly name: string;
  readonly schemes: readonly string[];
  readonly apiVersion = 1;
  /** The faults that took place so far, the last 10,000: what weather brought can be planned by name. */
  readonly happened: PlannedFault[] = [];
  /** While it is set nothing of the plan takes place. */
  calm = false;
  readonly #inner: Transport;
  readonly #plan: FaultPlan;
  readonly #options: FaultyOptions;
  readonly #lanes: Lanes;
  #opened = 0;

  constructor(inner: Transport, plan: FaultPlan, options: FaultyOptions = {}, lanes = new Lanes()) {
    this.name = `faulty ${inner.name}`;
    this.schemes = inner.schemes;
    this.#inner = inner;
    this.#plan = checkFaultPlan(plan);
    this.#options = options;
    this.#lanes = lanes;
  }

  async connect(url: string, options: ConnectOptions): Promise<FaultySession> {
    const number = this.#opened;
    this.#opened += 1;
    const session = await this.#inner.connect(url, options);
    const { revoke } = this.#options;
    const { clientId, lane, silence } = options;
    const faulty: FaultySession = new FaultySession(session, {
      lanes: this.#lanes,
      url,
      clientId,
      silence: silence ?? 10_000,
      emulatesRevoke: revoke === true && session.capabilities.revoke !== 'immediate',
      fates: new Fates(this.#plan, number),
      isCalm: () => this.calm,
      note: (fault) => {
        this.happened.push(fault);
        if (this.happened.length > remembered) this.happened.shift();
      },
      reconnect: () => this.#inner.connect(url, { clientId, lane, ...(silence === undefined ? {} : { silence }) }),
    });
    return faulty;
  }

  /** The same without any fault; members that are revoked through one are revoked through the other. */
  steady(): FaultyTransport {
    return new FaultyTransport(this.#inner, {}, this.#options, this.#lanes);
  }

  /** Ends a client as SIGKILL does, all its lanes, between two steps or in the middle of one. */
  kill(session: Session): void {
    if (!(session instanceof FaultySession)) {
      throw new ExomemError('InvalidArgument', 'this session is none of a faulty transport');
    }
    for (const lane of this.#lanes.sessions) if (lane.isLaneOf(session)) lane.kill();
  }
}

/**
 * Wraps a transport and lets go wrong what the plan says.
 *
 * ```ts
 * const transport = faulty(tcp(), { faults: [{ session: 0, call: 3, kind: 'loseReply' }] });
 * const rough = faulty(tcp(), { weather: { seed: 7, rate: 0.05 } });
 * ```
 *
 * Its sessions are asynchronous and share no memory, whatever those of the transport are.
 * @throws `InvalidArgument` if the plan is none
 */
export function faulty(transport: Transport, plan: FaultPlan, options?: FaultyOptions): FaultyTransport {
  return new FaultyTransport(transport, plan, options);
}
