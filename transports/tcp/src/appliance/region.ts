import type { RegionMemory } from '@exomem/core';
import { ExomemError } from '@exomem/core';

/** The lane of a client that is open now: what a region must be able to do to a connection. */
export interface Lane {
  readonly epoch: number;
  /** The member that it is bound to. */
  readonly binding: { readonly slot: number; readonly incarnation: number } | undefined;
  /** A later epoch begins: nothing that this one has not applied yet may be applied. */
  supersede(epoch: number): void;
  /** Every later step is refused. */
  fence(why: string): void;
}

/** Member slots and incarnations have 16 and 20 bits in the words that refer to them. */
const slots = 65_536;
const incarnations = 1_048_576;
/** Lanes whose last epoch is kept. */
const remembered = 4096;
const JOINING = 1;
const ACTIVE = 2;

/** A region that an appliance exposes: its memory, who is connected to it by which lane, and who was shut out. */
export class ExposedRegion {
  readonly name: string;
  readonly memory: RegionMemory;
  readonly #lanes = new Map<string, Lane>();
  /**
   * The last epoch of lanes that are open no longer, the latest behind. It may forget: a lane without a connection has
   * nothing left that could land, and whoever lost it is only spared being taken for the next one.
   */
  readonly #past = new Map<string, number>();
  /** By slot, one more than the highest incarnation that was revoked. Kept as long as the region is exposed. */
  #revoked: Uint32Array | undefined;

  constructor(name: string, memory: RegionMemory) {
    this.name = name;
    this.memory = memory;
  }

  get lanes(): number {
    return this.#lanes.size;
  }

  /** The epoch of a lane that is open or was last, 0 if that is not known. */
  epochOf(key: string): number {
    return this.#lanes.get(key)?.epoch ?? this.#past.get(key) ?? 0;
  }

  /** Begins an epoch that is higher than the one that is open; when it returns, the earlier one is fenced. */
  enter(key: string, lane: Lane): void {
    this.#lanes.get(key)?.supersede(lane.epoch);
    this.#past.delete(key);
    this.#lanes.set(key, lane);
  }

  leave(key: string, lane: Lane): void {
    if (this.#lanes.get(key) !== lane) return;
    this.#lanes.delete(key);
    this.#past.set(key, lane.epoch);
    if (this.#past.size <= remembered) return;
    const [oldest] = this.#past.keys();
    this.#past.delete(oldest!);
  }

  /** Why a lane may not be bound to a member, `undefined` if it may. `offset` is that of the member word. */
  refusal(slot: number, incarnation: number, offset: number): string | undefined {
    if ((this.#revoked?.[slot] ?? 0) > incarnation) return `member ${slot}, incarnation ${incarnation}, was revoked`;
    const word = this.memory.load(offset);
    const state = Number(word >> 60n);
    const found = Number((word >> 40n) & 0xf_ffffn);
    if ((state === JOINING || state === ACTIVE) && found === incarnation) return undefined;
    return `the word of member ${slot} shows state ${state}, incarnation ${found}, not ${incarnation} alive`;
  }

  /** Shuts the member out, up to and with that incarnation, now and for good. */
  revoke(slot: number, incarnation: number): void {
    this.#revoked ??= new Uint32Array(slots);
    if (this.#revoked[slot]! <= incarnation) this.#revoked[slot] = incarnation + 1;
    for (const lane of this.#lanes.values()) {
      if (lane.binding?.slot === slot && lane.binding.incarnation <= incarnation) {
        lane.fence(`member ${slot}, incarnation ${lane.binding.incarnation}, was revoked`);
      }
    }
  }
}

/** What is wrong with a member's name. */
export function checkMember(slot: number, incarnation: number): ExomemError | undefined {
  if (slot < slots && incarnation < incarnations) return undefined;
  return new ExomemError('OutOfRange', `there is no member ${slot} with an incarnation ${incarnation}`);
}
