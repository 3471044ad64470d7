import { isExomemError } from '../errors.js';
import { condemn } from '../protocol/adopt.js';
import { fenceMember, type MemberLine, readMembers, readPrincipals } from '../protocol/membership.js';
import { condemnStray, recoverMember, recoverPrincipals, scrub } from '../protocol/recover.js';
import { memberState, principalState } from '../region/words.js';
import type { Client } from './client.js';
import type { StewardEvent } from './steward.js';
import { type Glance, KeptVigil, Vigil } from './vigil.js';

/** Milliseconds between two searches for words that belong to nobody alive. */
const scrubInterval = 5000;

/**
 * Looks after the dead of a region: declares dead who has stood still for the wait, recovers the dead and those who left,
 * and takes over words that belong to nobody any more. Any client may; a steward does it for all.
 */
export class Guardian {
  readonly #client: Client;
  readonly #vigil = new Vigil();
  /** Who has not moved since the last look. */
  readonly #still = new Vigil();
  readonly #kept = new KeptVigil();
  #scrubbed = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  async round(tell: (event: StewardEvent) => void = () => undefined): Promise<void> {
    const client = this.#client;
    const { geometry, replica, allocator } = client;
    const recoverer = { geometry, replica, allocator };
    const now = client.surroundings.now();
    let lines = await client.run(readMembers(geometry));
    const suspects = this.#suspects(lines, { before: now, after: client.surroundings.now() });
    for (const line of suspects) {
      if (await this.#declareDead(line)) tell({ type: 'fenced', member: line });
    }
    if (suspects.length > 0) lines = await client.run(readMembers(geometry));
    for (const line of lines) {
      if (line.state !== memberState.fenced) continue;
      const recovery = await client.runOnLog(recoverMember(recoverer, line));
      if (recovery !== undefined) tell({ type: 'recovered', member: line, recovery });
    }
    const before = client.surroundings.now();
    const principals = await client.run(readPrincipals(geometry));
    // The members after them: who is not there then, in that incarnation, is dead.
    lines = await client.run(readMembers(geometry));
    const seen = { before, after: client.surroundings.now() };
    for (const line of this.#kept.observe(principals, lines, seen)) await client.run(condemn(geometry, line));
    await client.run(condemnStray(geometry));
    const dying = (await client.run(readPrincipals(geometry))).filter(({ state }) => state === principalState.dying);
    if (dying.length > 0) {
      const groups = await client.runOnLog(recoverPrincipals(recoverer, dying));
      const recovery = { principals: dying.map(({ principal }) => principal), groups };
      tell({ type: 'recovered', member: undefined, recovery });
    }
    if (now - this.#scrubbed < scrubInterval) return;
    this.#scrubbed = now;
    await client.runOnLog(scrub(recoverer));
  }

  /** Who may be dead. Who could not be kept from writing where others do is not among them, however long it is silent. */
  #suspects(lines: readonly MemberLine[], seen: Glance): MemberLine[] {
    const { exclusion, member, superblock } = this.#client;
    if (exclusion === 'none') return [];
    // One whose heart beats has a lease: it must be shut out at once, or not at all.
    const end = exclusion === 'revoke' ? this.#client.replica.index : 0;
    const silent = this.#vigil.observe(lines, member.slot, seen, superblock.wait, end);
    if (exclusion !== 'proof') return silent;
    // A proof needs no wait, and to ask for it costs little: whoever stood still between two looks. One that is joining
    // may not have been bound yet, and there is nothing to be known of its thread.
    const active = lines.filter(({ state }) => state === memberState.active);
    const joining = silent.filter(({ state }) => state === memberState.joining);
    return [...this.#still.observe(active, member.slot, seen, 0), ...joining];
  }

  async #declareDead(line: MemberLine): Promise<boolean> {
    const { geometry, exclusion } = this.#client;
    try {
      const dead = await this.#client.run(fenceMember(geometry, line, exclusion));
      if (dead && exclusion === 'revoke') this.#client.departed.shutOut(line.slot, line.incarnation);
      return dead;
    } catch (error) {
      if (!isExomemError(error, 'Unproven')) throw error;
      return false;
    }
  }
}
