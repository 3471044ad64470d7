import { ExomemError } from '@exomem/core';

/**
 * What goes wrong, and when: plain data, which can be kept in a file, printed, and made smaller. All of it is within the
 * contract of transports: a program that breaks under a plan breaks over some network, too.
 */
export interface FaultPlan {
  /** Single faults, each at one call of one session. */
  readonly faults?: readonly PlannedFault[];
  /** Faults at random, beside those. */
  readonly weather?: Weather;
}

/** A fault, and the call that meets it. */
export interface PlannedFault {
  /** Which session, in the order in which they were opened, from 0. */
  readonly session: number;
  /** Which call of that session that goes to the appliance, from 0. */
  readonly call: number;
  readonly kind: FaultKind;
  /** How much of it; 1 unless given. What is counted, {@link faultKinds} says. */
  readonly amount?: number;
}

/** Each call of each session meets a fault with this chance. */
export interface Weather {
  /** A whole number, where chance begins. */
  readonly seed: number;
  /** From 0 to 1. */
  readonly rate: number;
  /** Which there are; {@link rough} unless given. */
  readonly kinds?: readonly FaultKind[];
}

/** Every fault there is; `amount` counts turns of the event loop where nothing else is said. */
export const faultKinds = {
  delay: 'the call arrives that many turns later, and so do those behind it',
  slow: 'from now on a call takes a turn for each so many bytes (`amount`) that it carries',
  tear: 'the call takes effect in so many pieces, whole words and whole steps, and others come in between',
  cut: 'the call never arrives, and the connection is lost',
  loseReply: 'the call takes effect; its answer, and the connection with it, are lost',
  part: 'so many words of a write, or steps of a batch, take effect, then the connection is lost',
  late: 'the connection is lost, and the call arrives that many turns later, unless a new epoch has begun by then',
  silence: 'nothing passes any more, and nobody is told: the connection counts as lost after the silence agreed on',
  duplicate: 'somebody opens the same lane of the same client again, and this session is shut out',
  fence: 'the member that the lane is bound to is revoked; a lane that is not bound is shut out until it is bound anew',
} as const;

export type FaultKind = keyof typeof faultKinds;

/** What weather brings unless told otherwise: whatever a session survives. */
export const rough: readonly FaultKind[] = ['delay', 'tear', 'cut', 'loseReply', 'part', 'late'];

/** The most of anything that a plan may ask for. */
const most = 1_000_000;

/** Holds a value against what a plan is. @throws `InvalidArgument` */
export function checkFaultPlan(value: unknown): FaultPlan {
  const plan = value as FaultPlan;
  if (typeof value !== 'object' || value === null) throw wrong(`it is ${String(value)}`);
  for (const key of Object.keys(plan)) if (key !== 'faults' && key !== 'weather') throw wrong(`it has "${key}"`);
  if (plan.faults !== undefined && !Array.isArray(plan.faults)) throw wrong('its faults are no array');
  for (const [at, fault] of (plan.faults ?? []).entries()) {
    if (typeof fault !== 'object' || fault === null) throw wrong(`fault ${at} is ${String(fault)}`);
    checkKind(fault.kind);
    for (const [key, least] of [
      ['session', 0],
      ['call', 0],
      ['amount', 1],
    ] as const) {
      const number = fault[key];
      if (number === undefined && key === 'amount') continue;
      if (Number.isInteger(number) && number! >= least && number! <= most) continue;
      throw wrong(`the ${key} of fault ${at} is ${String(number)}`);
    }
  }
  if (plan.weather !== undefined) {
    const { seed, rate, kinds = rough } = plan.weather;
    if (!Number.isInteger(seed)) throw wrong(`the seed of its weather is ${String(seed)}`);
    if (!(rate >= 0 && rate <= 1)) throw wrong(`the rate of its weather is ${String(rate)}`);
    if (!Array.isArray(kinds) || kinds.length === 0) throw wrong('its weather has no kinds');
    for (const kind of kinds) checkKind(kind);
  }
  return plan;
}

function checkKind(kind: FaultKind): void {
  if (!Object.hasOwn(faultKinds, kind)) throw wrong(`there is no fault "${String(kind)}"`);
}

function wrong(what: string): ExomemError {
  return new ExomemError('InvalidArgument', `this is no plan of faults: ${what}`, {
    advice: `write { faults: [{ session, call, kind, amount }], weather: { seed, rate, kinds } }; kinds are ${Object.keys(faultKinds).join(', ')}`,
  });
}

/** Chance that begins at a seed: from 0 up to, not including, 1. (mulberry32) */
export function chanceFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The faults of one session, call by call. */
export class Fates {
  readonly #planned = new Map<number, PlannedFault[]>();
  readonly #chance: () => number;
  readonly #session: number;
  readonly #weather: Weather | undefined;
  #call = 0;

  constructor(plan: FaultPlan, session: number) {
    this.#session = session;
    for (const fault of plan.faults ?? []) {
      if (fault.session !== session) continue;
      const there = this.#planned.get(fault.call);
      if (there === undefined) this.#planned.set(fault.call, [fault]);
      else there.push(fault);
    }
    this.#weather = plan.weather;
    this.#chance = chanceFrom((plan.weather?.seed ?? 0) + session * 0x9e3779b1);
  }

  /** What the next call meets; nothing while it is calm, and calls count all the same. */
  next(calm: boolean): readonly PlannedFault[] {
    const call = this.#call;
    this.#call += 1;
    const planned = this.#planned.get(call) ?? [];
    if (calm) return [];
    if (this.#weather === undefined || this.#chance() >= this.#weather.rate) return planned;
    const { kinds = rough } = this.#weather;
    const kind = kinds[Math.floor(this.#chance() * kinds.length)]!;
    return [...planned, { session: this.#session, call, kind, amount: 1 + Math.floor(this.#chance() * 6) }];
  }
}
