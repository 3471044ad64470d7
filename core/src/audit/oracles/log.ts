import { logSlotOffset, recordUnit } from '../../region/geometry.js';
import { decodeSlot } from '../../region/words.js';
import { count } from '../finding.js';
import type { Tables } from '../image.js';
import { appliedBeyond } from '../log-end.js';
import { overTables } from '../oracle.js';

export const log = overTables(
  {
    id: 'log',
    sentence:
      'From the snapshot on each slot has the lap of its index; those in use lie in a row, point into record arenas, and have authors that were registered.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { geometry, log } = tables;
    const { logSlots } = geometry;
    if (log.begin === undefined) return;
    const lost = appliedBeyond(tables.members, log.end, logSlots, 2);
    if (lost !== undefined) {
      found.damage(
        `members have applied all below index ${lost}, and the log ends at ${log.end}: its last slots are damaged`,
        logSlotOffset(geometry, log.end),
        { slot: log.end % logSlots, index: log.end },
      );
    }
    for (const { index, offset, author, incarnation } of log.entries) {
      const registered = tables.standings.principal(author)?.incarnation ?? 0;
      if (author === 0 || incarnation === 0 || incarnation > registered) {
        const who = `principal ${author} (incarnation ${incarnation})`;
        found.damage(`the record of index ${index} is by ${who}, who was never registered`, offset, {
          index,
          principal: author,
        });
      }
    }
    /** Slots that some snapshot has passed, and nobody has made ready for the next lap. */
    let behind = 0;
    for (let index = log.begin; index < log.begin + logSlots; index++) {
      const slot = index % logSlots;
      const expected = Math.floor(index / logSlots);
      const { lap, address } = decodeSlot(log.slots[slot]!);
      const where = logSlotOffset(geometry, index);
      const place = { slot, index };
      if (address !== 0 && !inArena(tables, address * recordUnit))
        found.damage(
          `slot ${slot} of the log points at offset ${address * recordUnit}, where no record arena is`,
          where,
          place,
        );
      if (lap === expected) {
        if (address !== 0 && index > log.end)
          found.damage(`slot ${slot} has a record of index ${index}, and the log ends at ${log.end}`, where, place);
      } else if (lap === expected - 1 && (address !== 0 || index === logSlots)) {
        // Index 0 there has never been: its slot is empty in the first lap.
        if (address !== 0) behind++;
      } else {
        found.damage(`slot ${slot} has lap ${lap}, and index ${index} is of lap ${expected}`, where, place);
      }
    }
    if (behind > 0)
      found.note(
        `the log holds ${count(behind, 'slot')} whose records the snapshot has passed: the next one who needs room truncates them`,
        geometry.logOffset,
      );
    for (const { index, offset, author, incarnation, sequence, counts } of log.entries) {
      if (!counts)
        found.note(
          `the record of index ${index} does not count: principal ${author} (incarnation ${incarnation}, sequence ${sequence}) was fenced, or had appended it before`,
          offset,
          { index, principal: author },
        );
    }
  },
);

function inArena({ geometry }: Tables, offset: number): boolean {
  const { arenaOffset, arenaBytes, memberSlots } = geometry;
  return offset >= arenaOffset && offset < arenaOffset + arenaBytes * memberSlots;
}
