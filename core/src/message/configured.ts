import { ExomemError } from '../errors.js';
import type { Coordinator, Identity } from '../policy/policy.js';
import { fenced, loadSurely, surely } from '../policy/resolve.js';
import { type Exclusion, shutOut } from '../protocol/exclusion.js';
import { bindingOf, encodeIntroduction, type Introduction, type Member } from '../protocol/membership.js';
import type { Protocol, Step, StepResult } from '../protocol/protocol.js';
import { batch, interpose, random } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import {
  groupWordOffset,
  memberFields,
  memberLineOffset,
  memberStride,
  principalWordOffset,
  userGroups,
} from '../region/geometry.js';
import type { WordExchange } from '../region/mailboxes.js';
import {
  decodeMember,
  decodePrincipal,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  maxMemberIncarnation,
  maxPrincipalIncarnation,
  memberState,
  ownerOf,
  principalState,
} from '../region/words.js';
import type { BatchAnswer, MemoryStep, WordStep } from '../transport/step.js';
import { load, read, write } from '../transport/step.js';
import type { Correspondence } from './correspondence.js';
import { bytesOf } from './grantor.js';

/*
 * Members whose numbers are configured, for transports that only read and write. Each word has one writer for good: of a
 * member's line and of the principal of that number the member is, of the seat and of what belongs to nobody member 0. Nothing
 * is ever taken over: what a dead member had comes back when the same number joins again.
 */

/** @throws `UnsupportedCapability`: what it takes is not there where only own words change. */
export function needsExchange(what: string): never {
  throw new ExomemError(
    'UnsupportedCapability',
    `${what}: that takes a compareExchange, and this region does without`,
    {
      advice: 'its member numbers are configured, for transports that only read and write: format another one for this',
    },
  );
}

/**
 * Joins as that member number. Who had it before and did not leave is shut out first.
 * @throws `OutOfRange` (no such number), `Unproven` (who had it may still act), `Busy` (it has joined as often as it can).
 */
export function* joinConfigured(
  geometry: Geometry,
  number: number | undefined,
  introduction: Introduction,
  exclusion: Exclusion,
): Protocol<Member> {
  const most = Math.min(geometry.memberSlots, geometry.principalSlots);
  if (number === undefined || !Number.isInteger(number) || number < 0 || number >= most) {
    throw new ExomemError(
      'OutOfRange',
      `a member number from 0 to ${most - 1} has to be configured here, not ${number}`,
      {
        advice: 'open the region with { member: NUMBER }, another for each program; number 0 coordinates',
      },
    );
  }
  const line = memberLineOffset(geometry, number);
  const offset = line + memberFields.w0;
  const before = decodeMember(yield* loadSurely(load(offset)));
  if (before.incarnation >= maxMemberIncarnation) {
    throw new ExomemError('Busy', `member ${number} has joined as often as it can`);
  }
  if (before.state === memberState.joining || before.state === memberState.active) {
    const able = exclusion === 'revoke' || exclusion === 'proof';
    if (!able || !(yield* shutOut(bindingOf(geometry, number, before.incarnation)))) {
      throw new ExomemError('Unproven', `member ${number} has not left, and may still act`, {
        advice: 'end that program; where that cannot be proven, take another number',
      });
    }
  }
  const incarnation = before.incarnation + 1;
  const beat = ((yield random) as number) * 256 + (((yield random) as number) & 255);
  const word = encodeMember({ state: memberState.joining, incarnation, beat });
  // The states that its line would go through if others had declared it dead.
  const states = before.state === memberState.free ? [] : [memberState.fenced, memberState.free];
  const words = [...states.map((state) => encodeMember({ ...before, state })), word];
  yield* writeInTurn(offset, words);
  yield* surely({ op: 'bind', member: bindingOf(geometry, number, incarnation) });
  yield* surely(write(line + memberFields.identity, encodeIntroduction(introduction, incarnation)));
  yield* surely(write(line + memberFields.w1, bytesOf([encodeApplied(incarnation, 0)])));
  // Two programs with the same number: whoever wrote last has it.
  if ((yield* loadSurely(load(offset))) !== word) throw fenced(`another program has joined as member ${number}`);
  return { slot: number, incarnation, word, introduction };
}

/**
 * Ends the principal of that number as whoever had it before has left it, takes back what that held, and registers it anew.
 * @throws `Busy` (it has been registered as often as it can, or nobody coordinates).
 */
export function* registerConfigured(
  geometry: Geometry,
  { slot, incarnation }: Pick<Member, 'slot' | 'incarnation'>,
  correspondence: Correspondence,
): Protocol<Identity> {
  const principal = slot + 1;
  const offset = principalWordOffset(geometry, principal);
  const before = decodePrincipal(yield* loadSurely(load(offset)));
  if (before.incarnation >= maxPrincipalIncarnation) {
    throw new ExomemError('Busy', `principal ${principal} has been registered as often as it can be`);
  }
  if (before.incarnation > 0) {
    if (before.state !== principalState.free) {
      yield* surely(write(offset, bytesOf([encodePrincipal({ ...before, state: principalState.dying })])));
    }
    yield* takeBack(geometry, principal, before.incarnation, correspondence);
  }
  const none = { member: 0, memberIncarnation: 0, policy: 0 };
  const next = { incarnation: before.incarnation + 1, member: slot, memberIncarnation: incarnation, policy: 0 };
  const active = encodePrincipal({ ...next, state: principalState.active });
  const words = [encodePrincipal({ ...next, state: principalState.registering }), active];
  if (before.state !== principalState.free) {
    words.unshift(encodePrincipal({ state: principalState.free, incarnation: before.incarnation, ...none }));
  }
  yield* writeInTurn(offset, words);
  return { principal, incarnation: next.incarnation, word: active };
}

/** One after the other: a write whose answer is lost is done again, and must not undo a later one. */
function* writeInTurn(offset: number, words: readonly bigint[]): Protocol<void> {
  for (const word of words) yield* surely(write(offset, bytesOf([word])));
}

/** Everything of earlier incarnations of a principal becomes nobody's. There are no names here that could refer to it. */
function* takeBack(
  geometry: Geometry,
  principal: number,
  incarnation: number,
  correspondence: Correspondence,
): Protocol<void> {
  // What had been asked for in its name is granted before this, or never.
  yield* correspondence.exchange([], false);
  const words = new BigUint64Array(userGroups(geometry));
  yield* surely(read(groupWordOffset(geometry, 0), new Uint8Array(words.buffer)));
  const changes: WordExchange[] = [];
  for (const [group, expected] of words.entries()) {
    const owner = ownerOf(Number(expected >> 32n));
    if (owner.principal === principal && owner.incarnation <= incarnation)
      changes.push({ group, expected, desired: 0n });
  }
  yield* correspondence.exchangeMany(changes);
}

/** The last of a member: its principal holds nothing any more, and it is no member. Own words alone. */
export function* leaveConfigured(geometry: Geometry, { slot, word }: Member, identity: Identity): Protocol<void> {
  const free = {
    state: principalState.free,
    incarnation: identity.incarnation,
    member: 0,
    memberIncarnation: 0,
    policy: 0,
  };
  const fencedWord = encodeMember({ ...decodeMember(word), state: memberState.fenced });
  yield* surely(
    batch([
      write(principalWordOffset(geometry, identity.principal), bytesOf([encodePrincipal(free)])),
      write(memberLineOffset(geometry, slot) + memberFields.w0, bytesOf([fencedWord])),
    ]),
  );
}

/**
 * For a member whose number is configured: compareExchanges on words of its own line become a read, and a write if the word is
 * what was expected; nobody else writes them, but a second program with the same number. Others are refused.
 */
export class OwnLine implements Coordinator {
  readonly #from: number;
  readonly #to: number;

  constructor(geometry: Geometry, slot: number) {
    this.#from = memberLineOffset(geometry, slot);
    this.#to = this.#from + memberStride;
  }

  coordinate<T>(protocol: Protocol<T>): Protocol<T> {
    return interpose(protocol, (step) => this.step(step));
  }

  *step(step: Step): Protocol<StepResult> {
    if (step.op === 'compareExchange') return (yield* this.#exchange(step, []))[0] as bigint;
    if (step.op !== 'batch' || !step.steps.some(({ op }) => op === 'compareExchange')) return yield step;
    const [first, ...rest] = step.steps;
    const lone = first?.op === 'compareExchange' && !rest.some(({ op }) => op === 'compareExchange');
    return lone ? yield* this.#exchange(first, rest) : needsExchange('several words at once');
  }

  /** One exchange, and what follows it in the same batch. */
  *#exchange({ offset, expected, desired }: WordStep, rest: readonly MemoryStep[]): Protocol<BatchAnswer> {
    if (offset < this.#from || offset >= this.#to) return needsExchange('a word that others change too');
    const found = yield* loadSurely(load(offset));
    if (found !== expected) return [found, ...((yield batch(rest.filter(({ op }) => op === 'load'))) as BatchAnswer)];
    const [, ...answers] = (yield batch([write(offset, bytesOf([desired])), ...rest])) as BatchAnswer;
    return [expected, ...answers];
  }
}
