import { condemn } from '../protocol/adopt.js';
import { fenceMember, readMembers, readPrincipals } from '../protocol/membership.js';
import { condemnStray, recoverMember, recoverPrincipals, scrub } from '../protocol/recover.js';
import { memberState, principalState } from '../region/words.js';
import type { Client } from './client.js';
import type { StewardEvent } from './steward.js';
import { KeptVigil, Vigil } from './vigil.js';

/** Milliseconds between two searches for words that belong to nobody alive. */
const scrubInterval = 5000;

/**
 * Looks after the dead of a region: declares dead who has stood still for the wait, recovers the dead and those who left,
 * and takes over words that belong to nobody any more. Any client may; a steward does it for all.
 */
export class Guardian {
  readonly #client: Client;
  readonly #vigil = new Vigil();
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
    // Without a way to shut it out, a member that only slept could still write where others do.
    if (client.session.capabilities.revoke) {
      const silent = this.#vigil.observe(lines, client.member.slot, now, client.superblock.wait);
      for (const line of silent) {
        if (await client.run(fenceMember(geometry, line))) tell({ type: 'fenced', member: line });
      }
      if (silent.length > 0) lines = await client.run(readMembers(geometry));
    }
    for (const line of lines) {
      if (line.state !== memberState.fenced) continue;
      tell({ type: 'recovered', member: line, recovery: await client.runOnLog(recoverMember(recoverer, line)) });
    }
    const principals = await client.run(readPrincipals(geometry));
    // The members after them: who is not there then, in that incarnation, is dead.
    lines = await client.run(readMembers(geometry));
    for (const line of this.#kept.observe(principals, lines, now)) await client.run(condemn(geometry, line));
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
}
