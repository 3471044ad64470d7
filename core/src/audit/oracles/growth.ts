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
  for (const { slot, incarnation, state, w1 } of before.members) {
    const line = now.members[slot]!;
    const place = { member: slot };
    if (line.incarnation < incarnation)
      found.damage(`member ${slot} went from incarnation ${incarnation} to ${line.incarnation}`, line.offset, place);
    if (
      line.incarnation === incarnation &&
      line.state !== state &&
      !(state !== memberState.free && (line.state > state || line.state === memberState.free))
    )
      found.damage(`member ${slot} went from state ${state} to ${line.state} in one incarnation`, line.offset, place);
    const back =
      line.w1.incarnation < w1.incarnation || (line.w1.incarnation === w1.incarnation && line.w1.applied < w1.applied);
    if (back)
      found.damage(`member ${slot} went back from index ${w1.applied} to ${line.w1.applied}`, now.w1At(line), place);
  }
  for (const [principal, word] of before.principals.entries()) {
    const [then, later] = [decodePrincipal(word).incarnation, decodePrincipal(now.principals[principal]!).incarnation];
    if (later < then)
      found.damage(`principal ${principal} went from incarnation ${then} to ${later}`, now.principalAt(principal), {
        principal,
      });
  }
  const [version, later] = [decodeRoot(before.log.root).version, decodeRoot(now.log.root).version];
  if (later < version) found.damage(`the root went from version ${version} to ${later}`, now.rootAt);
  for (const [slot, word] of before.log.slots.entries()) {
    const [then, lap] = [decodeSlot(word), decodeSlot(now.log.slots[slot]!)];
    if (lap.lap < then.lap)
      found.damage(`slot ${slot} went from lap ${then.lap} to ${lap.lap}`, now.geometry.logOffset + slot * 8, { slot });
    else if (lap.lap === then.lap && then.address !== 0 && lap.address !== then.address)
      found.damage(`slot ${slot} had a record, and has another in the same lap`, now.geometry.logOffset + slot * 8, {
        slot,
      });
  }
}
