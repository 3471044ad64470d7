import { extentAt } from '../namespace/inode.js';
import type { FileExtent } from '../namespace/operation.js';
import type { NamespaceReplica } from '../namespace/replica.js';
import type { NamespaceState } from '../namespace/state.js';
import type { Allocator, Identity } from '../policy/policy.js';
import type { Geometry } from '../region/geometry.js';
import { memberState, principalState } from '../region/words.js';
import { shutOut } from './exclusion.js';
import { bindingOf, dropPrincipal, handOver, type Member, readMembers, readPrincipals } from './membership.js';
import type { Protocol } from './protocol.js';

/** Who has pages of named files in its words: their custodian, who frees them when their time has come. */
export interface Custodian {
  readonly geometry: Geometry;
  readonly replica: NamespaceReplica;
  /** Of its own principal and of its applications. */
  readonly allocators: readonly Allocator[];
}

/** A custodian that is a member. */
export interface MemberCustodian extends Custodian {
  readonly member: Pick<Member, 'slot' | 'incarnation'>;
  /** The lowest index that anything of its own that is in flight has looked up at. */
  lowest(): number;
}

/** Pages that came from others and that no name refers to are let go: they wait for {@link sweepDismissed}. How many. */
export function* judgeSuspects({ geometry, replica, allocators }: Custodian): Protocol<number> {
  const all = allocators.map((allocator) => ({ allocator, suspects: allocator.suspects() }));
  if (all.every(({ suspects }) => suspects.length === 0)) return 0;
  // The words are known, then the log to its end: what it does not name now, nobody can name any more.
  yield* replica.catchUp();
  const { state } = replica;
  const named = new Uint8Array(Math.ceil((geometry.groupCount * geometry.groupPages) / 8));
  for (const { extents } of [...state.inodes.values(), ...state.kept.values()]) {
    for (const { page, pages } of extents) {
      for (let at = page; at < page + pages; at++) named[at >>> 3]! |= 1 << (at & 7);
    }
  }
  const isNamed = (page: number) => (named[page >>> 3]! & (1 << (page & 7))) !== 0;
  let found = 0;
  for (const { allocator, suspects } of all) found += allocator.judge(suspects, isNamed, state.index - 1);
  return found;
}

/**
 * Frees dismissed pages that no member can look at any more, in this order: what every member has published, then the log
 * to its end, then the words. How many pages.
 */
export function* sweepDismissed(custodian: MemberCustodian): Protocol<number> {
  const { geometry, replica, allocators, member } = custodian;
  let applied = Number.MAX_SAFE_INTEGER;
  for (const line of yield* readMembers(geometry)) {
    const { slot, incarnation, state } = line;
    if (slot === member.slot) applied = Math.min(applied, custodian.lowest());
    else if (state === memberState.free) continue;
    else if (state === memberState.fenced && (yield* shutOut(bindingOf(geometry, slot, incarnation)))) continue;
    else applied = Math.min(applied, line.applied);
  }
  // Whoever has a file open that lost its name says so in the log before it publishes that.
  yield* replica.catchUp();
  let freed = 0;
  for (const allocator of allocators) freed += yield* allocator.sweep(applied);
  return freed;
}

/**
 * These pages, which we made, were named by a record of ours. Somebody may have removed that name since: what no file
 * has any more is let go, for the allocator passed over it as long as it was under construction.
 */
export function settleNames(
  allocator: Allocator,
  state: NamespaceState,
  inode: number,
  extents: readonly FileExtent[],
): void {
  const named = state.inodes.get(inode)?.extents ?? [];
  for (const { at, page, pages } of extents) {
    allocator.settle(page, pages);
    for (let step = 0; step < pages; ) {
      const found = named[extentAt(named, at + step)];
      const there = found !== undefined && found.at <= at + step && found.page - found.at === page - at;
      const count = there ? Math.min(pages, found.at + found.pages - at) - step : 1;
      if (!there) allocator.dismiss(page + step, count, state.index - 1);
      step += count;
    }
  }
}

/** Principals that were handed to this member and are nobody's application. */
export function* handedTo(
  geometry: Geometry,
  { slot, incarnation }: Pick<Member, 'slot' | 'incarnation'>,
  own: Identity,
): Protocol<Identity[]> {
  return (yield* readPrincipals(geometry)).filter(
    (line) =>
      line.state === principalState.active &&
      line.member === slot &&
      line.memberIncarnation === incarnation &&
      line.policy === 0 &&
      line.principal !== own.principal,
  );
}

/** Takes a principal in that was handed over: its words and its part of the reserve become the own one's, and it ends. */
export function* takeIn(
  { replica, allocator }: { readonly replica: NamespaceReplica; readonly allocator: Allocator },
  { principal, incarnation, word }: Identity,
): Protocol<void> {
  const from = { principal, incarnation, word };
  yield* allocator.merge(from);
  yield* replica.takeReserve(principal, incarnation);
  yield* dropPrincipal(replica.geometry, from);
}

/**
 * What is left of a principal whose client leaves, when its anonymous memory is free: nothing, and it ends; or words that
 * somebody else has to take care of, best a steward. Where nobody is there it stays as it is, for whoever comes next to recover.
 * Files that end with it end first: whoever has its words then is another.
 */
export function* bequeath(
  { replica, allocator }: { readonly replica: NamespaceReplica; readonly allocator: Allocator },
  { slot }: Pick<Member, 'slot'>,
  identity: Identity,
): Protocol<void> {
  const { geometry } = replica;
  yield* replica.disown(identity);
  yield* replica.judgeReserve();
  if (allocator.empty && !(yield* replica.ownsReserve())) {
    yield* dropPrincipal(geometry, identity);
    return;
  }
  const lines = yield* readMembers(geometry);
  const living = lines.filter((line) => line.state === memberState.active && line.slot !== slot);
  living.sort((a, b) => Number(b.steward) - Number(a.steward));
  for (const line of living) if (yield* handOver(geometry, identity, line)) return;
}
