/**
 * The 64-bit words that clients coordinate through, fields most significant first. All but w1 and the advisory
 * `wanted` word change by compareExchange alone.
 */

export const memberState = { free: 0, joining: 1, active: 2, fenced: 3 } as const;
export const principalState = { free: 0, registering: 1, active: 2, adopting: 3, dying: 4 } as const;

/** Member word w0: `{state:4 | incarnation:20 | beat:40}`. */
export interface MemberWord {
  readonly state: number;
  readonly incarnation: number;
  /** 40 bits; wraps. */
  readonly beat: number;
}
export const maxMemberIncarnation = 0xfffff;
const beatLimit = 2 ** 40;

export function encodeMember({ state, incarnation, beat }: MemberWord): bigint {
  return (BigInt(state) << 60n) | (BigInt(incarnation) << 40n) | BigInt(beat % beatLimit);
}
export function decodeMember(word: bigint): MemberWord {
  return {
    state: Number(word >> 60n),
    incarnation: Number((word >> 40n) & 0xfffffn),
    beat: Number(word & 0xff_ffff_ffffn),
  };
}

/** Member word w1: `{incarnation:20 | applied:44}`: the log index up to which the member has applied everything. */
export function encodeApplied(incarnation: number, applied: number): bigint {
  return (BigInt(incarnation) << 44n) | BigInt(applied);
}
export function decodeApplied(word: bigint): { incarnation: number; applied: number } {
  return { incarnation: Number(word >> 44n), applied: Number(word & 0xfff_ffff_ffffn) };
}

/** Principal word: `{state:4 | incarnation:16 | member:16 | member incarnation:20 | policy:8}`. */
export interface PrincipalWord {
  readonly state: number;
  readonly incarnation: number;
  readonly member: number;
  readonly memberIncarnation: number;
  /** What the death of its member means: 0 frees what it holds. */
  readonly policy: number;
}
/** Principals register up to here only: adoption needs one incarnation more. */
export const maxPrincipalIncarnation = 65_279;

export function encodePrincipal(word: PrincipalWord): bigint {
  return (
    (BigInt(word.state) << 60n) |
    (BigInt(word.incarnation) << 44n) |
    (BigInt(word.member) << 28n) |
    (BigInt(word.memberIncarnation) << 8n) |
    BigInt(word.policy)
  );
}
export function decodePrincipal(word: bigint): PrincipalWord {
  return {
    state: Number(word >> 60n),
    incarnation: Number((word >> 44n) & 0xffffn),
    member: Number((word >> 28n) & 0xffffn),
    memberIncarnation: Number((word >> 8n) & 0xfffffn),
    policy: Number(word & 0xffn),
  };
}

/** Log slot: `{lap:22 | address:42}`; the address counts 64-byte units, 0 is empty. */
export function encodeSlot(lap: number, address: number): bigint {
  return (BigInt(lap) << 42n) | BigInt(address);
}
export function decodeSlot(word: bigint): { lap: number; address: number } {
  return { lap: Number(word >> 42n), address: Number(word & 0x3ff_ffff_ffffn) };
}
export const maxLap = 2 ** 22 - 1;

/** Root: `{version:28 | page:36}`; the page counts 4-KiB pages from the start of the region, 0 is no snapshot. */
export function encodeRoot(version: number, page: number): bigint {
  return (BigInt(version) << 36n) | BigInt(page);
}
export function decodeRoot(word: bigint): { version: number; page: number } {
  return { version: Number(word >> 36n), page: Number(word & 0xf_ffff_ffffn) };
}
/** Users cut snapshots up to here; the versions beyond are kept for seals. */
export const maxRootVersion = 2 ** 28 - 1;
export const maxUserRootVersion = maxRootVersion - 65_536;

/** Lock of the lock variant: `{token:46 | state:2 | holder:16}`; the holder is a member slot, 0 while the lock is free. */
export const lockState = { free: 0, held: 1, commit: 2 } as const;
export interface LockWord {
  /** Raised by whoever takes the lock; so no word of it is ever seen again once it has gone. */
  readonly token: number;
  readonly state: number;
  readonly holder: number;
}
export const maxLockToken = 2 ** 46 - 1;

export function encodeLock({ token, state, holder }: LockWord): bigint {
  return (BigInt(token) << 18n) | (BigInt(state) << 16n) | BigInt(holder);
}
export function decodeLock(word: bigint): LockWord {
  return {
    token: Number(word >> 18n),
    state: Number((word >> 16n) & 3n),
    holder: Number(word & 0xffffn),
  };
}

/** What somebody wants of a member: room or (with 0 pages) a look at the principal table; or that an application moves. */
export const wantedKind = { room: 0, migrate: 1 } as const;

/** `wanted`, an advisory word in each member's line: `{principal:16 | incarnation:16 | kind:4 | pages:28}`, 0 is nothing. */
export interface Wanted {
  readonly principal: number;
  readonly incarnation: number;
  /** One of {@link wantedKind}; room unless given. */
  readonly kind?: number;
  /** Pages that principal looks for; 0 says that something was handed over. For a migration, the slot to move to. */
  readonly pages: number;
}
export function encodeWanted({ principal, incarnation, kind, pages }: Wanted): bigint {
  const most = Math.min(pages, 0xfff_ffff);
  return (BigInt(principal) << 48n) | (BigInt(incarnation) << 32n) | (BigInt(kind ?? 0) << 28n) | BigInt(most);
}
export function decodeWanted(word: bigint): Wanted {
  return {
    principal: Number(word >> 48n),
    incarnation: Number((word >> 32n) & 0xffffn),
    kind: Number((word >> 28n) & 0xfn),
    pages: Number(word & 0xfff_ffffn),
  };
}

/**
 * Group word: `{principal:16 | incarnation:16 | 16 x 2 bits}`, page 0 in the highest two of the low 32 bits. It is
 * handled as two 32-bit halves, so that the allocator's arithmetic needs no bigint.
 */
export const pageBits = { free: 0, head: 1, continuation: 2, withheld: 3, dirty: 0, clean: 1 } as const;

const pun = new BigUint64Array(1);
const punHalves = new Uint32Array(pun.buffer);

/** The word of two halves. */
export function joinWord(high: number, low: number): bigint {
  punHalves[0] = low;
  punHalves[1] = high;
  return pun[0]!;
}
export function highHalf(word: bigint): number {
  pun[0] = word;
  return punHalves[1]!;
}
export function lowHalf(word: bigint): number {
  pun[0] = word;
  return punHalves[0]!;
}
/** The high half of a group word. */
export function ownerHalf(principal: number, incarnation: number): number {
  return ((principal << 16) | incarnation) >>> 0;
}
export function ownerOf(high: number): { principal: number; incarnation: number } {
  return { principal: high >>> 16, incarnation: high & 0xffff };
}
/** The two bits of page `index` (0 to 15) in the low half of a group word. */
export function bitsOf(low: number, index: number): number {
  return (low >>> (30 - 2 * index)) & 3;
}
/** `low` with the two bits of page `index` replaced. */
export function withBits(low: number, index: number, bits: number): number {
  const shift = 30 - 2 * index;
  return ((low & ~(3 << shift)) | (bits << shift)) >>> 0;
}
/** A low half in which the first `pages` pages have those bits and the others 00. */
export function repeatBits(pages: number, bits: number): number {
  let low = 0;
  for (let index = 0; index < pages; index++) low = withBits(low, index, bits);
  return low;
}
