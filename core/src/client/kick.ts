import { ExomemError } from '../errors.js';
import { fenceMember, readMembers } from '../protocol/membership.js';
import { memberState } from '../region/words.js';
import type { Client } from './client.js';

/** See {@link Client.kick}. */
export async function kick(client: Client, slot: number, incarnation: number | undefined): Promise<boolean> {
  const { exclusion, geometry, where, superblock } = client;
  if (exclusion === 'none') {
    throw new ExomemError('UnsupportedCapability', 'over this transport nobody can be shut out', { where });
  }
  if (exclusion === 'wait') {
    throw new ExomemError('Unproven', `member ${slot} cannot be shut out at once: steps of it may be under way`, {
      where,
      advice: `wait: it is declared dead when its heart has stood still for ${superblock.wait} ms`,
    });
  }
  const look = async () => (await client.run(readMembers(geometry)))[slot];
  const seen = await look();
  // A heartbeat may fall between the look and the exchange: then the word is another, and the member the same.
  for (let line = seen; line !== undefined; line = await look()) {
    const alive = line.state === memberState.active || line.state === memberState.joining;
    if (!alive || line.incarnation !== (incarnation ?? seen!.incarnation)) return false;
    if (!(await client.run(fenceMember(geometry, line, exclusion)))) continue;
    if (exclusion === 'revoke') client.departed.shutOut(line.slot, line.incarnation);
    return true;
  }
  return false;
}
