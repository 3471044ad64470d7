import { encodeState } from '../../namespace/snapshot.js';
import { decodePrincipal, decodeRoot, decodeSlot, memberState } from '../../region/words.js';
import type { Findings } from '../finding.js';
import type { Tables } from '../image.js';
import { overTables } from '../oracle.js';

export const I10 = overTables(
  { id: 'I10', sentence: 'To recover twice, or by many at once, is to recover once.', decidedByBytes: false },
  (found, { tables, told }) => {
    const before = told.recovered?.tables;
    if (before === undefined) return;
    for (const [at, word] of before.words.entries()) {
      if (tables.words[at] === word) continue;
      const group = at >>> 1;
      found.damage(`a recovery that had been done changed the word of group ${group}`, tables.wordAt(group), { group });
    }
    for (const [principal, word] of before.principals.entries()) {
      if (tables.principals[principal] !== word)
        found.damage(`a recovery that had been done changed principal ${principal}`, tables.principalAt(principal), {
          principal,
        });
    }
    if (!before.log.complete || !tables.log.complete) return;
    if (!sameBytes(encodeState(before.log.state).slice(), encodeState(tables.log.state)))
      found.damage('a recovery that had been done changed the namespace', tables.rootAt);
  },
);

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export const I11 = overTables(
  {
    id: 'I11',
    sentence: 'Incarnations, laps, versions of the root and what members have applied only grow.',
    decidedByBytes: false,
  },
  (found, { tables, told }) => {
    const before = told.earlier?.tables;
    if (before !== undefined) checkGrowth(found, before, tables);
  },
);

function checkGrowth(found: Findings, before: Tables, now: Tables): void {
  for (const then of before.members) {
    const line = now.members[then.slot]!;
    const place = { member: then.slot };
    const step = `member ${then.slot} went from incarnation ${then.incarnation}, state ${then.state}`;
    const back =
      line.incarnation === then.incarnation
        ? order(line.state) - order(then.state)
        : line.incarnation - then.incarnation;
    if (back < 0)
      found.damage(`${step} back to incarnation ${line.incarnation}, state ${line.state}`, line.offset, place);
    const { incarnation, applied } = then.w1;
    if (line.w1.incarnation < incarnation || (line.w1.incarnation === incarnation && line.w1.applied < applied))
      found.damage(`member ${then.slot} went back from index ${applied} to ${line.w1.applied}`, now.w1At(line), place);
  }
  for (const [principal, word] of before.principals.entries()) {
    const [then, later] = [decodePrincipal(word).incarnation, decodePrincipal(now.principals[principal]!).incarnation];
    if (later < then) {
      const what = `principal ${principal} went back from incarnation ${then} to ${later}`;
      found.damage(what, now.principalAt(principal), { principal });
    }
  }
  const [version, later] = [decodeRoot(before.log.root).version, decodeRoot(now.log.root).version];
  if (later < version) found.damage(`the root went back from version ${version} to ${later}`, now.rootAt);
  for (const [slot, word] of before.log.slots.entries()) {
    const [then, is] = [decodeSlot(word), decodeSlot(now.log.slots[slot]!)];
    const where = now.geometry.logOffset + slot * 8;
    if (is.lap < then.lap) found.damage(`slot ${slot} went back from lap ${then.lap} to ${is.lap}`, where, { slot });
    else if (is.lap === then.lap && then.address !== 0 && is.address !== then.address)
      found.damage(`slot ${slot} had a record, and has another in the same lap`, where, { slot });
  }
}

/** Where a state comes in the life of an incarnation: FREE is its end. */
function order(state: number): number {
  return state === memberState.free ? memberState.fenced + 1 : state;
}
