import { ExomemError, isExomemError } from '../errors.js';
import type { Identity } from '../policy/policy.js';
import { exchangeSurely, fenced, giveAway, interrupted, reloadWords, surely } from '../policy/resolve.js';
import { crc32c } from '../region/crc32c.js';
import type { Geometry } from '../region/geometry.js';
import {
  logSlotOffset,
  memberFields,
  memberLineOffset,
  memberStride,
  principalWordOffset,
} from '../region/geometry.js';
import {
  decodeApplied,
  decodeMember,
  decodePrincipal,
  decodeWanted,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  encodeWanted,
  type MemberWord,
  maxMemberIncarnation,
  maxPrincipalIncarnation,
  memberState,
  type PrincipalWord,
  principalState,
  type Wanted,
} from '../region/words.js';
import type { BatchAnswer } from '../transport/step.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import type { MemberBinding } from '../transport/transport.js';
import { type Exclusion, shutOut } from './exclusion.js';
import { batch, drain, type Protocol, pause, random, watch } from './protocol.js';

/** A member slot that is ours. */
export interface Member {
  readonly slot: number;
  readonly incarnation: number;
  /** The member word as we wrote it last. */
  word: bigint;
  readonly introduction: Introduction;
}

/** What a member says of itself in its line. */
export interface Introduction {
  readonly clientId: Uint8Array;
  /** It receives what leaving members hand over, and tidies up. */
  readonly steward: boolean;
  readonly pid: number;
  /** UTF-8, at most 32 bytes. */
  readonly label: string;
}

/** A line of the member table. */
export interface MemberLine extends Introduction {
  readonly slot: number;
  readonly word: bigint;
  readonly state: number;
  readonly incarnation: number;
  /** The next log index that the member has not applied; 0 if its line is not of this incarnation. */
  readonly applied: number;
  readonly wanted: Wanted | undefined;
  /** Whether the introduction is whole and of this incarnation. */
  readonly introduced: boolean;
}

const introductionBytes = 64;

const flags = { steward: 1 } as const;

/** The identity in a member line: 64 bytes. */
export function encodeIntroduction(introduction: Introduction, incarnation: number): Uint8Array {
  const bytes = new Uint8Array(introductionBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, incarnation, true);
  bytes.set(introduction.clientId.subarray(0, 16), 8);
  view.setUint32(24, introduction.steward ? flags.steward : 0, true);
  view.setUint32(28, introduction.pid, true);
  new TextEncoder().encodeInto(introduction.label, bytes.subarray(32));
  view.setUint32(4, crc32c(bytes), true);
  return bytes;
}

/** Decodes one line of {@link memberStride} bytes. */
export function decodeMemberLine(bytes: Uint8Array, slot: number): MemberLine {
  const view = new DataView(bytes.buffer, bytes.byteOffset, memberStride);
  const word = view.getBigUint64(memberFields.w0, true);
  const { state, incarnation } = decodeMember(word);
  const applied = decodeApplied(view.getBigUint64(memberFields.w1, true));
  // A copy, also of a Buffer, whose slice() is none.
  const identity = new Uint8Array(bytes.subarray(memberFields.identity, memberFields.identity + introductionBytes));
  const identityView = new DataView(identity.buffer);
  const checksum = identityView.getUint32(4, true);
  identityView.setUint32(4, 0, true);
  const introduced = identityView.getUint32(0, true) === incarnation && crc32c(identity) === checksum;
  const wanted = view.getBigUint64(memberFields.wanted, true);
  const end = identity.indexOf(0, 32);
  return {
    slot,
    word,
    state,
    incarnation,
    applied: applied.incarnation === incarnation ? applied.applied : 0,
    wanted: wanted === 0n ? undefined : decodeWanted(wanted),
    introduced,
    clientId: identity.slice(8, 24),
    steward: introduced && (identityView.getUint32(24, true) & flags.steward) !== 0,
    pid: introduced ? identityView.getUint32(28, true) : 0,
    label: introduced ? new TextDecoder().decode(identity.subarray(32, end < 0 ? 64 : end)) : '',
  };
}

/** The whole member table. */
export function* readMembers(geometry: Geometry): Protocol<MemberLine[]> {
  const bytes = new Uint8Array(geometry.memberSlots * memberStride);
  yield* surely(read(geometry.memberOffset, bytes));
  const lines: MemberLine[] = [];
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    lines.push(decodeMemberLine(bytes.subarray(slot * memberStride, (slot + 1) * memberStride), slot));
  }
  return lines;
}

/** A line of the principal table. */
export interface PrincipalLine extends PrincipalWord {
  readonly principal: number;
  readonly word: bigint;
}

/** The principal words that are not FREE, or all. */
export function* readPrincipals(geometry: Geometry): Protocol<PrincipalLine[]> {
  const words = new BigUint64Array(geometry.principalSlots);
  yield* surely(read(principalWordOffset(geometry, 1), new Uint8Array(words.buffer)));
  const lines: PrincipalLine[] = [];
  for (const [at, word] of words.entries()) lines.push({ principal: at + 1, word, ...decodePrincipal(word) });
  return lines;
}

export function bindingOf(geometry: Geometry, slot: number, incarnation: number): MemberBinding {
  return { slot, incarnation, offset: memberLineOffset(geometry, slot) + memberFields.w0 };
}

/**
 * Wins a member slot and ties the lane to it. The member is JOINING afterwards: others watch it, and it must beat.
 * @throws `Busy` if no slot can be had.
 */
export function* joinMember(geometry: Geometry, introduction: Introduction): Protocol<Member> {
  const start = ((yield random) as number) % geometry.memberSlots;
  const beat = ((yield random) as number) * 256 + (((yield random) as number) & 255);
  for (let round = 0; round < 6; round++) {
    if (round > 1) yield pause(20 * round);
    const lines = yield* readMembers(geometry);
    for (let at = 0; at < lines.length; at++) {
      const { slot, state, incarnation, word } = lines[(start + at) % lines.length]!;
      if (state !== memberState.free || incarnation >= maxMemberIncarnation) continue;
      const mine: MemberWord = { state: memberState.joining, incarnation: incarnation + 1, beat };
      const joining = encodeMember(mine);
      const binding = bindingOf(geometry, slot, incarnation + 1);
      if ((yield* exchangeSurely(binding.offset, word, joining)) !== word) continue;
      yield* surely({ op: 'bind', member: binding });
      const line = memberLineOffset(geometry, slot);
      yield* surely(write(line + memberFields.identity, encodeIntroduction(introduction, incarnation + 1)));
      yield* surely(write(line + memberFields.w1, wordBytes(encodeApplied(incarnation + 1, 0))));
      return { slot, incarnation: incarnation + 1, word: joining, introduction };
    }
    // Who left is FENCED until somebody has seen that it holds nothing any more: us, or the steward just now.
    yield* collectLeavers(geometry);
  }
  throw new ExomemError('Busy', `all ${geometry.memberSlots} member slots of the region are taken`, {
    advice: '`exomem members` shows who has them; end one, or format the region with more',
  });
}

/** Every FENCED member that is shut out and to which no principal refers becomes FREE. How many. */
export function* collectLeavers(geometry: Geometry): Protocol<number> {
  const lines: MemberLine[] = [];
  for (const line of yield* readMembers(geometry)) {
    if (line.state !== memberState.fenced) continue;
    if (yield* shutOut(bindingOf(geometry, line.slot, line.incarnation))) lines.push(line);
  }
  if (lines.length === 0) return 0;
  const principals = yield* readPrincipals(geometry);
  let freed = 0;
  for (const { slot, incarnation, word } of lines) {
    const held = principals.some(
      (line) => line.state !== principalState.free && line.member === slot && line.memberIncarnation === incarnation,
    );
    if (held) continue;
    const offset = memberLineOffset(geometry, slot) + memberFields.w0;
    if ((yield* exchangeSurely(offset, word, encodeMember({ state: memberState.free, incarnation, beat: 0 }))) === word)
      freed++;
  }
  return freed;
}

/** A member that has read the log becomes ACTIVE. @throws `Fenced`. */
export function* activate(geometry: Geometry, member: Member): Protocol<void> {
  const offset = memberLineOffset(geometry, member.slot) + memberFields.w0;
  const next = encodeMember({ ...decodeMember(member.word), state: memberState.active });
  if ((yield* exchangeSurely(offset, member.word, next)) !== member.word)
    throw fenced('another client declared this one dead');
  member.word = next;
}

/** The last step of leaving: others may take the slot back from now on. */
export function* fenceSelf(geometry: Geometry, member: Member): Protocol<void> {
  yield drain;
  const offset = memberLineOffset(geometry, member.slot) + memberFields.w0;
  const next = encodeMember({ ...decodeMember(member.word), state: memberState.fenced });
  if (!(yield* giveAway(offset, member.word, next))) throw fenced('another client declared this one dead');
  member.word = next;
}

export interface BeatResult {
  /** The log has records that the member has not applied. */
  readonly behind: boolean;
  readonly wanted: Wanted | undefined;
}

/**
 * One heartbeat: moves the member word, publishes what was applied, and looks at the log's end and at `wanted`. On
 * success the lease runs from the moment the caller *issued* it.
 * @param applied the next log index that nothing in flight here has looked up at
 * @throws `Fenced`.
 */
export function* beat(geometry: Geometry, member: Member, applied: number, index: number): Protocol<BeatResult> {
  const line = memberLineOffset(geometry, member.slot);
  const offset = line + memberFields.w0;
  const now = decodeMember(member.word);
  const next = encodeMember({ ...now, beat: now.beat + 1 });
  let answer: BatchAnswer;
  try {
    answer = (yield batch([
      compareExchange(offset, member.word, next),
      write(line + memberFields.w1, wordBytes(encodeApplied(member.incarnation, applied))),
      load(logSlotOffset(geometry, index)),
      load(line + memberFields.wanted),
    ])) as BatchAnswer;
  } catch (error) {
    if (!interrupted(error)) throw error;
    const [word] = yield* reloadWords([offset]);
    if (word === next || word === member.word) {
      // Alive; but whether that beat counted from its issue nobody knows: the next one does.
      member.word = word;
      throw error;
    }
    throw fenced('another client declared this one dead');
  }
  if (answer[0] !== member.word) throw fenced('another client declared this one dead');
  member.word = next;
  const slot = answer[2] as bigint;
  const wanted = answer[3] as bigint;
  if (wanted !== 0n) {
    // Taken note of: the next one who wants something finds the word empty.
    yield* exchangeSurely(line + memberFields.wanted, wanted, 0n);
  }
  return {
    behind: (slot & 0x3ff_ffff_ffffn) !== 0n || Number(slot >> 42n) !== Math.floor(index / geometry.logSlots),
    wanted: wanted === 0n ? undefined : decodeWanted(wanted),
  };
}

/**
 * Whoever is to beat from now on, over a new epoch of the lane of heartbeats, takes the word as it is: nothing that another
 * agent of this member sent over that lane lands any more.
 * @throws `Fenced`.
 */
export function* resumeBeats(geometry: Geometry, member: Member): Protocol<void> {
  const binding = bindingOf(geometry, member.slot, member.incarnation);
  yield* surely({ op: 'bind', member: binding });
  const word = (yield* surely(load(binding.offset))) as bigint;
  const { state, incarnation } = decodeMember(word);
  const alive = state === memberState.joining || state === memberState.active;
  if (!alive || incarnation !== member.incarnation) throw fenced('another client declared this one dead');
  member.word = word;
}

/** Tells a member that a principal looks for pages (or, with 0 pages, that it was handed something). Advisory. */
export function* ask(geometry: Geometry, slot: number, wanted: Wanted): Protocol<boolean> {
  const offset = memberLineOffset(geometry, slot) + memberFields.wanted;
  return (yield* exchangeSurely(offset, 0n, encodeWanted(wanted))) === 0n;
}

/**
 * Registers an application: a principal that this member acts for.
 * @param policy what the member's death means for it, see `encodeKeep`
 * @throws `Busy` if all principals are taken.
 */
export function* registerPrincipal(geometry: Geometry, member: Member, policy = 0): Protocol<Identity> {
  const start = ((yield random) as number) % geometry.principalSlots;
  const lines = yield* readPrincipals(geometry);
  for (let at = 0; at < lines.length; at++) {
    const line = lines[(start + at) % lines.length]!;
    if (line.state !== principalState.free || line.incarnation >= maxPrincipalIncarnation) continue;
    const mine = {
      state: principalState.registering,
      incarnation: line.incarnation + 1,
      member: member.slot,
      memberIncarnation: member.incarnation,
      policy,
    };
    const offset = principalWordOffset(geometry, line.principal);
    const registering = encodePrincipal(mine);
    if ((yield* exchangeSurely(offset, line.word, registering)) !== line.word) continue;
    const active = encodePrincipal({ ...mine, state: principalState.active });
    if ((yield* exchangeSurely(offset, registering, active)) !== registering)
      throw fenced('another client declared this one dead');
    return { principal: line.principal, incarnation: mine.incarnation, word: active };
  }
  throw new ExomemError('Busy', `all ${geometry.principalSlots} principals of the region are taken`, {
    advice: '`exomem members` shows who has them',
  });
}

/** A principal that owns nothing any more becomes FREE. */
export function* dropPrincipal(geometry: Geometry, identity: Identity): Protocol<void> {
  const offset = principalWordOffset(geometry, identity.principal);
  const free = encodePrincipal({
    state: principalState.free,
    incarnation: identity.incarnation,
    member: 0,
    memberIncarnation: 0,
    policy: 0,
  });
  if (!(yield* giveAway(offset, identity.word, free))) throw fenced('another client took over this principal');
}

/**
 * Hands a principal to a living member, willingly: one compareExchange, no data moves. Everything of ours is resolved
 * and drained before. False: that member died meanwhile, and the principal is ours still (or its recoverers').
 */
export function* handOver(geometry: Geometry, identity: Identity, to: MemberLine): Protocol<boolean> {
  yield drain;
  const memberOffset = memberLineOffset(geometry, to.slot) + memberFields.w0;
  const offset = principalWordOffset(geometry, identity.principal);
  const theirs = encodePrincipal({
    ...decodePrincipal(identity.word),
    member: to.slot,
    memberIncarnation: to.incarnation,
  });
  const alive = (word: bigint) => {
    const { state, incarnation } = decodeMember(word);
    return state === memberState.active && incarnation === to.incarnation;
  };
  if (!alive((yield* surely(load(memberOffset))) as bigint)) return false;
  if (!(yield* giveAway(offset, identity.word, theirs))) throw fenced('another client took over this principal');
  // Had it died in between, it is as if it had died right after: its recoverers find the principal.
  if (alive((yield* surely(load(memberOffset))) as bigint)) {
    yield* ask(geometry, to.slot, { principal: identity.principal, incarnation: identity.incarnation, pages: 0 });
  }
  return true;
}

/**
 * Declares a member dead whose word is still `word`. Whether that was so. Where nobody can be shut out, `exclusion` says what
 * makes it right: `wait` that the caller has seen that word for the wait of the region.
 * @throws `Unproven` where it takes a proof of its end, and there is none: nothing has happened then.
 */
export function* fenceMember(
  geometry: Geometry,
  line: Pick<MemberLine, 'slot' | 'incarnation' | 'word'>,
  exclusion: Exclusion = 'revoke',
): Protocol<boolean> {
  const binding = bindingOf(geometry, line.slot, line.incarnation);
  const fencedWord = encodeMember({ ...decodeMember(line.word), state: memberState.fenced });
  // A proof stays one; but who is shut out before it is declared dead could have moved in between.
  if (exclusion === 'proof') yield* surely({ op: 'revoke', member: binding });
  if ((yield* exchangeSurely(binding.offset, line.word, fencedWord)) !== line.word) return false;
  if (exclusion === 'revoke') yield* surely({ op: 'revoke', member: binding });
  return true;
}

/**
 * Declares a member dead that others wait for and that does not go on, although its heart may beat. Where it cannot be shut out
 * it must not be: then its word has to stand still for the wait, too. Whether it is dead now.
 */
export function* declareDead(
  geometry: Geometry,
  { slot, incarnation, offset }: MemberBinding,
  { exclusion, wait, attempts }: { exclusion: Exclusion; wait: number; attempts: number },
): Protocol<boolean> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const word = (yield* surely(load(offset))) as bigint;
    const now = decodeMember(word);
    const alive = now.state === memberState.joining || now.state === memberState.active;
    if (!alive || now.incarnation !== incarnation) return true;
    if (exclusion === 'wait' && !(yield watch(offset, word, wait))) return false;
    try {
      if (yield* fenceMember(geometry, { slot, incarnation, word }, exclusion)) return true;
    } catch (error) {
      if (!isExomemError(error, 'Unproven')) throw error;
      return false;
    }
  }
  return false;
}

function wordBytes(word: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([word]).buffer);
}
