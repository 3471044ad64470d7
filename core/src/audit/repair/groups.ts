import {
  bitsOf,
  decodePrincipal,
  encodePrincipal,
  joinWord,
  ownerHalf,
  pageBits,
  principalState,
  repeatBits,
  withBits,
} from '../../region/words.js';
import type { Finding } from '../finding.js';
import type { Tables } from '../image.js';
import { ownerName, type Standing } from '../standing.js';
import { type Change, type Mend, type Patient, placesOf } from './mend.js';

const { free, head, continuation, withheld } = pageBits;
/** Bits that only pages of an owned group show. */
const inUse = 0xaaaa_aaaa;

/**
 * Group words. A page of a file is withheld, whatever its word says, and nobody frees it then. Memory without a name stays with
 * its owner, if only one is possible; if none is, it becomes free where nobody is there who could be using it, and is left alone
 * where somebody is.
 */
export function cureGroups(patient: Patient): Mend[] {
  const ward = new Ward(patient);
  for (const group of placesOf(patient.damage, 'group', 'groups', 'runs', 'reserve', 'I6')) ward.treat(group);
  return ward.mends;
}

class Ward {
  readonly mends: Mend[] = [];
  readonly #patient: Patient;
  /** What groups are to show. */
  readonly #desired = new Map<number, { high: number; low: number }>();
  #custodian: Keeper | undefined;

  constructor(patient: Patient) {
    this.#patient = patient;
  }

  get #tables() {
    return this.#patient.tables;
  }
  #now(group: number): { high: number; low: number } {
    return this.#desired.get(group) ?? { high: this.#tables.high(group), low: this.#tables.low(group) };
  }

  /** The log says which pages are files': it is read to its end, and does not contradict itself. */
  get #namesKnown(): boolean {
    const { damage } = this.#patient;
    const { log } = this.#tables;
    const wrong = ({ oracle, index }: Finding) =>
      oracle === 'tree' || oracle === 'files' || (oracle === 'log' && index === log.end);
    return log.complete && !damage.some(wrong);
  }

  treat(group: number): void {
    const { groupCount, groupPages } = this.#tables.geometry;
    if (group >= groupCount || this.#desired.has(group)) return;
    const unused = groupPages === 16 ? 0 : 0xffff_ffff >>> (2 * groupPages);
    const { high, low } = this.#now(group);
    const used = (low & ~unused) >>> 0;
    if (group * groupPages >= this.#tables.userPages) this.#treatReserve(group, high, used);
    else this.#treatUser(group, high, used);
  }

  #set(group: number, high: number, low: number, what: string, more: readonly Change[] = []): void {
    const tables = this.#tables;
    const offset = tables.wordAt(group);
    const expected = joinWord(tables.high(group), tables.low(group));
    const desired = joinWord(high, low);
    if (expected === desired) return;
    this.#desired.set(group, { high, low });
    this.mends.push({ oracle: 'groups', what, where: offset, changes: [...more, { offset, expected, desired }] });
  }

  // ---- groups of the reserve

  #treatReserve(group: number, high: number, low: number): void {
    const { log, standings, geometry } = this.#tables;
    if (log.begin === undefined) return;
    const whole = repeatBits(geometry.groupPages, withheld);
    const standing = high >>> 16 === 0 ? undefined : standings.of(high);
    const lost = standing === undefined || standing === 'never';
    if (log.snapshot?.groups.includes(group)) {
      const keeper = lost ? snapshotKeeper(this.#tables) : { high, changes: [] };
      if (keeper === undefined) return;
      this.#set(group, keeper.high, whole, `group ${group} has the snapshot, and is withheld for it`, keeper.changes);
    } else if (standing === undefined) {
      this.#set(group, 0, 0, `group ${group} of the reserve is free`);
    } else if (standing === 'never') {
      if (this.#patient.deserted) this.#set(group, 0, 0, `group ${group} of the reserve is free`);
    } else if (low !== whole) {
      this.#set(group, high, whole, `group ${group} of the reserve is withheld as a whole`);
    }
  }

  // ---- groups of users

  #treatUser(group: number, high: number, low: number): void {
    const { standings, geometry, named } = this.#tables;
    const { groupPages } = geometry;
    const first = group * groupPages;
    const known = this.#namesKnown;
    const isNamed = (index: number): boolean => known && named.has(first + index);
    const names = Array.from({ length: groupPages }, (_, index) => isNamed(index));
    const files = names.includes(true);
    const standing = high >>> 16 === 0 ? undefined : standings.of(high);
    if (standing === undefined) {
      const owner = (low & inUse) === 0 ? undefined : this.#ownerOf(group, high, low);
      if (owner !== undefined) {
        this.#set(group, owner, low, `group ${group} is given back to ${ownerName(owner)}`);
        return;
      }
      // Anybody may claim it as it is. Whose pages are the log's alone to say; of the bytes of the others nothing is known.
      if (!known) return;
      if (!files) this.#set(group, 0, 0, `group ${group} is free`);
      else this.#toCustodian(group, names);
      return;
    }
    if (standing === 'never') {
      const owner = this.#ownerOf(group, high, low);
      if (owner !== undefined) {
        this.#set(group, owner, low, `group ${group} is given back to ${ownerName(owner)}`);
      } else if (known && (this.#patient.deserted || onlyNamed(low, names))) {
        if (files) this.#toCustodian(group, names);
        else this.#set(group, 0, 0, `group ${group}, which is nobody’s, is free`);
      }
      return;
    }
    if (standing === 'gone' && !files) {
      this.#strip(high);
      return;
    }
    let desired = low;
    for (let index = 0; index < groupPages; index++) {
      if (names[index]) desired = withBits(desired, index, withheld);
    }
    for (let index = 0; index < groupPages; index++) {
      if (bitsOf(desired, index) !== continuation) continue;
      if (index > 0) desired = this.#continued(group, high, desired, index, names);
      else if (!this.#reached(group, high)) desired = this.#begun(group, high, desired);
    }
    const what = files
      ? `pages of files in group ${group} are withheld, runs beside them begin where they can`
      : `runs in group ${group} are whole again`;
    this.#set(group, high, desired, what);
  }

  /** Memory without a name of one who is no more becomes free, in all groups; what is withheld the log must tell of. */
  #strip(owner: number): void {
    const { geometry, userPages } = this.#tables;
    for (let group = 0; group * geometry.groupPages < userPages; group++) {
      const { high, low } = this.#now(group);
      if (high !== owner || this.#desired.has(group)) continue;
      let left = 0;
      for (let index = 0; index < geometry.groupPages; index++) {
        if (bitsOf(low, index) === withheld) left = withBits(left, index, withheld);
      }
      const what = `what ${ownerName(owner)}, who is no more, held in group ${group} is free`;
      this.#set(group, left === 0 ? 0 : high, left, what);
    }
  }

  /** A page that continues what is not there: the page before it was a part of its run, or it is the first. */
  #continued(group: number, high: number, low: number, index: number, names: readonly boolean[]): number {
    const before = bitsOf(low, index - 1);
    if (names[index - 1]) return withBits(low, index, head);
    if (before !== free) return low;
    const hole = index >= 2 && !names[index - 2] && [head, continuation].includes(bitsOf(low, index - 2) as 1 | 2);
    if (hole) return withBits(low, index - 1, continuation);
    // A run that goes on in the next group has its head on the first page of this one.
    const first = withBits(low, 0, head);
    if (index === 1 && this.#fillsToItsEnd(first) && this.#goesOn(group, high)) return first;
    return withBits(low, index, head);
  }
  #goesOn(group: number, high: number): boolean {
    if (group + 1 >= this.#tables.geometry.groupCount) return false;
    const after = this.#now(group + 1);
    return after.high === high && bitsOf(after.low, 0) === continuation;
  }

  /** Whether a run of that owner may come from the group before. */
  #reached(group: number, high: number): boolean {
    if (group === 0) return false;
    const before = this.#now(group - 1);
    if (!this.#tables.standings.oneAgent(high, before.high)) return false;
    return this.#fillsToItsEnd(before.low);
  }
  #fillsToItsEnd(low: number): boolean {
    const { groupPages } = this.#tables.geometry;
    const rest = (low & 0x3fff_ffff) >>> 0;
    const continued = (repeatBits(groupPages, continuation) & 0x3fff_ffff) >>> 0;
    return rest === continued ? bitsOf(low, 0) !== free : low === repeatBits(groupPages, withheld);
  }

  /** The first page of a group continues a run: of the group before, if that is nobody's now, or else it begins here. */
  #begun(group: number, high: number, low: number): number {
    const { groupPages } = this.#tables.geometry;
    const before = group - 1;
    const found = before < 0 ? undefined : this.#now(before);
    if (found !== undefined && this.#tables.standings.of(found.high) === 'gone' && this.#fillsToItsEnd(found.low)) {
      // Its owner is no more, and its pages lead into a run of one who is there.
      const what = `group ${before} is given back to ${ownerName(high)}, whose run leads through it`;
      if (!this.#desired.has(before)) this.#set(before, high, found.low, what);
      return low;
    }
    const long = groupPages > 1 && bitsOf(low, 1) === continuation;
    if (before >= 0 && long && this.#now(before).high === 0 && !this.#hasNames(before) && !this.#desired.has(before)) {
      const whole = repeatBits(groupPages, continuation);
      const isHead =
        before === 0 || this.#now(before - 1).high !== high || !this.#fillsToItsEnd(this.#now(before - 1).low);
      const bits = isHead ? withBits(whole, 0, head) : whole;
      this.#set(before, high, bits, `group ${before} is given back to ${ownerName(high)}, whose run goes on behind it`);
      return low;
    }
    return withBits(low, 0, head);
  }
  #hasNames(group: number): boolean {
    const { named, geometry } = this.#tables;
    if (!this.#namesKnown) return true;
    const first = group * geometry.groupPages;
    for (let page = first; page < first + geometry.groupPages; page++) if (named.has(page)) return true;
    return false;
  }

  /** Whose a group is whose owner never was: the neighbour's whose run leads through it, or the only one who is a bit away. */
  #ownerOf(group: number, high: number, low: number): number | undefined {
    const { geometry, principals, standings } = this.#tables;
    if (group > 0 && bitsOf(low, 0) === continuation) {
      const before = this.#now(group - 1);
      if (isOwner(standings.of(before.high)) && this.#fillsToItsEnd(before.low)) return before.high;
    }
    if (group + 1 < geometry.groupCount && this.#fillsToItsEnd(low)) {
      const after = this.#now(group + 1);
      if (isOwner(standings.of(after.high)) && bitsOf(after.low, 0) === continuation) return after.high;
    }
    const near: number[] = [];
    for (let principal = 1; principal < principals.length; principal++) {
      const owner = ownerHalf(principal, decodePrincipal(principals[principal]!).incarnation);
      const difference = owner ^ high;
      if (isOwner(standings.of(owner)) && (difference & (difference - 1)) === 0) near.push(owner);
    }
    return near.length === 1 ? near[0] : undefined;
  }

  // ---- pages of files that have lost their custodian

  #toCustodian(group: number, names: readonly boolean[]): void {
    const keeper = this.#keeper();
    if (keeper === undefined) return;
    let low = 0;
    for (const [index, is] of names.entries()) if (is) low = withBits(low, index, withheld);
    const what = `the pages of files in group ${group} are withheld, for whoever takes over what belongs to nobody`;
    this.#set(group, keeper.high, low, what, keeper.changes);
  }

  #keeper(): Keeper | undefined {
    this.#custodian ??= keeperFor(this.#tables);
    return this.#custodian;
  }
}

/** In whose name something is kept: the high half of its words, and what has to be changed that there is one. */
export interface Keeper {
  readonly high: number;
  readonly changes: readonly Change[];
}

/** An owner that is no more: a scrub takes over what it has, and asks the log what of it is named. */
function keeperFor(tables: Tables): Keeper | undefined {
  const { principals } = tables;
  const state = principalState.free;
  for (let principal = 1; principal < principals.length; principal++) {
    const line = decodePrincipal(principals[principal]!);
    if (line.state === state && line.incarnation > 0)
      return { high: ownerHalf(principal, line.incarnation), changes: [] };
  }
  // There has been none yet: one that nobody has had is taken to have been there once.
  const fresh = principals.findIndex((word, principal) => principal > 0 && word === 0n);
  if (fresh < 0) return undefined;
  const desired = encodePrincipal({ state, incarnation: 1, member: 0, memberIncarnation: 0, policy: 0 });
  return { high: ownerHalf(fresh, 1), changes: [{ offset: tables.principalAt(fresh), expected: 0n, desired }] };
}

/** Who has the snapshot: somebody who gives it back when the next one is cut, or who is recovered. */
export function snapshotKeeper(tables: Tables): Keeper | undefined {
  const { principals, standings } = tables;
  const order: readonly Standing[] = ['alive', 'left', 'stranded', 'dying', 'kept'];
  const owners: { high: number; rank: number }[] = [];
  for (let principal = 1; principal < principals.length; principal++) {
    const high = ownerHalf(principal, decodePrincipal(principals[principal]!).incarnation);
    const rank = order.indexOf(standings.of(high));
    if (rank >= 0) owners.push({ high, rank });
  }
  const best = owners.sort((a, b) => a.rank - b.rank)[0];
  return best === undefined ? keeperFor(tables) : { high: best.high, changes: [] };
}

function isOwner(standing: Standing): boolean {
  return standing !== 'never' && standing !== 'gone';
}
/** Whether nothing in use is anything but a page of a file. */
function onlyNamed(low: number, names: readonly boolean[]): boolean {
  return names.every((is, index) => is || bitsOf(low, index) === free);
}
