import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { run } from '../protocol/runner.js';
import { decodeMember, encodeMember, memberState } from '../region/words.js';
import { compareExchange, load } from '../transport/step.js';
import type { Awaitable, Session } from '../transport/transport.js';

// A data region has no member table, and whoever serves it must be able to say on its own whether a lane may be bound to a
// member: also after it was started again, and has forgotten whom it shut out. So there is a word for each member slot, its
// gate, of the form of a member word: {JOINING, incarnation} once a lane of that incarnation was to be bound, {FENCED,
// incarnation} once it was shut out. Incarnations only grow, and FENCED is the last word on one.

/**
 * Lets lanes of that incarnation be bound. To be called when the member's own word has shown it alive.
 * @throws `Fenced`: it was shut out, or a later one has the slot
 */
export function* openGate(offset: number, incarnation: number): Protocol<void> {
  for (let word = (yield load(offset)) as bigint; ; ) {
    const found = decodeMember(word);
    if (found.incarnation > incarnation || (found.incarnation === incarnation && found.state === memberState.fenced)) {
      throw new ExomemError('Fenced', `the data region shows incarnation ${found.incarnation} in the place of ours`);
    }
    if (found.incarnation === incarnation && found.state === memberState.joining) return;
    const open = encodeMember({ state: memberState.joining, incarnation, beat: 0 });
    const observed = (yield compareExchange(offset, word, open)) as bigint;
    if (observed === word) return;
    word = observed;
  }
}

/** Has no lane of that incarnation bound from now on, whoever serves the data region. */
export function* closeGate(offset: number, incarnation: number): Protocol<void> {
  for (let word = (yield load(offset)) as bigint; ; ) {
    const found = decodeMember(word);
    if (found.incarnation > incarnation) return;
    if (found.incarnation === incarnation && found.state === memberState.fenced) return;
    const closed = encodeMember({ state: memberState.fenced, incarnation, beat: 0 });
    const observed = (yield compareExchange(offset, word, closed)) as bigint;
    if (observed === word) return;
    word = observed;
  }
}

/** Runs what needs nothing but a session. */
export function atGate(protocol: Protocol<void>, session: Session): Awaitable<void> {
  return run(protocol, { session, surroundings: nothing });
}

const never = (): never => {
  throw new ExomemError('UnsupportedCapability', 'a gate needs neither time nor chance');
};
const nothing = { now: never, wallClock: never, random: never, sleep: never, sleepSync: never };
