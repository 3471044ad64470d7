import { isExomemError } from '../errors.js';
import { surely } from '../policy/resolve.js';
import type { Superblock } from '../region/superblock.js';
import type { Capabilities, MemberBinding } from '../transport/transport.js';
import type { Protocol } from './protocol.js';

/**
 * What keeps late steps of the dead from doing harm. `revoke`: they are shut out, so any silence may be called a death.
 * `proof`: nobody is called dead before that is proven. `wait`: once an observer has waited, nothing that touches data is
 * under way any more, and a late compareExchange leaves at most a word to be found by `scrub`. `none`: nobody is ever
 * declared dead.
 */
export type Exclusion = 'revoke' | 'proof' | 'wait' | 'none';

export function exclusionOf(
  { revoke, mapped, maxDelay }: Capabilities,
  { lease, delay, drift, wait }: Pick<Superblock, 'lease' | 'delay' | 'drift' | 'wait'>,
): Exclusion {
  if (revoke !== 'none') return revoke === 'immediate' ? 'revoke' : 'proof';
  // Stores into mapped memory come without any delay that one could wait for.
  if (mapped || maxDelay === undefined || maxDelay > delay) return 'none';
  return wait >= ((lease + delay) * (1_000_000 + drift)) / 1_000_000 ? 'wait' : 'none';
}

/**
 * Shuts out a member that is FENCED, as far as that can be done. False: it may still act, since its end is not proven;
 * nothing of it is to be judged yet.
 */
export function* shutOut(member: MemberBinding): Protocol<boolean> {
  try {
    yield* surely({ op: 'revoke', member });
    return true;
  } catch (error) {
    if (!isExomemError(error, 'Unproven')) throw error;
    return false;
  }
}
