import { bitsOf, ownerOf, pageBits } from '../region/words.js';
import { looksGiven, type OwnedGroup } from './group-table.js';
import type { Usage, Violation } from './policy.js';
import { freePages } from './run-bits.js';

/** What one principal has: groups, and pages in them. */
interface OwnUsage {
  groups: number;
  room: number;
  held: number;
  withheld: number;
}

/** Counts a table of group words: `words` has two 32-bit halves a group, low first. */
export function countUsage(words: Uint32Array, groupPages: number): Usage {
  const groups = words.length / 2;
  let free = 0;
  let largestRun = 0;
  let run = 0;
  const principals = new Map<number, OwnUsage>();
  /** The principal of the word before: neighbours often have the same. */
  let last = 0;
  let own: OwnUsage | undefined;
  for (let group = 0; group < groups; group++) {
    const low = words[2 * group]!;
    const principal = words[2 * group + 1]! >>> 16;
    if (principal === 0) {
      free += groupPages;
      run += groupPages;
      if (run > largestRun) largestRun = run;
      continue;
    }
    run = 0;
    if (principal !== last || own === undefined) {
      last = principal;
      own = principals.get(principal);
      if (own === undefined) principals.set(principal, (own = { groups: 0, room: 0, held: 0, withheld: 0 }));
    }
    const room = freePages(low, groupPages);
    // 11 is 00 when all bits are turned over.
    const withheld = freePages(~low, groupPages);
    own.groups++;
    own.room += room;
    own.withheld += withheld;
    own.held += groupPages - room - withheld;
  }
  const usage = { total: groups * groupPages, free, room: 0, held: 0, withheld: 0, largestRun };
  for (const { room, held, withheld } of principals.values()) {
    usage.room += room;
    usage.held += held;
    usage.withheld += withheld;
  }
  return { ...usage, principals };
}

/** Holds a table of group words against the format, and the words of one owner against what it knows. */
export function checkTable(
  words: Uint32Array,
  groupPages: number,
  high: number,
  owned: ReadonlyMap<number, OwnedGroup>,
  settled: (group: number) => boolean,
): Violation[] {
  const found: Violation[] = [];
  const unused = groupPages === 16 ? 0 : 0xffff_ffff >>> (2 * groupPages);
  for (let at = 0; at < words.length; at += 2) {
    const group = at / 2;
    const low = words[at]!;
    const owner = ownerOf(words[at + 1]!);
    if (unused !== 0 && (low & unused) !== 0) {
      found.push({ law: 'format', what: `group ${group} has bits for pages that it does not have` });
    }
    if (owner.principal === 0) {
      if (owner.incarnation !== 0)
        found.push({ law: 'format', what: `group ${group} belongs to nobody, with an incarnation` });
      for (let index = 0; index < groupPages; index++) {
        if (bitsOf(low, index) > pageBits.clean) {
          found.push({
            law: 'format',
            what: `page ${index} of group ${group}, which nobody owns, is neither dirty nor clean`,
          });
        }
      }
    } else {
      for (let index = 1; index < groupPages; index++) {
        if (bitsOf(low, index) === pageBits.continuation && bitsOf(low, index - 1) === 0) {
          found.push({ law: 'format', what: `page ${index} of group ${group} continues a free page` });
        }
      }
    }
    if (!settled(group)) continue;
    const known = owned.get(group);
    if (words[at + 1] === high && known === undefined && !looksGiven(low, groupPages)) {
      // What looks given was given, and nobody has looked yet.
      found.push({ law: 'I3', what: `group ${group} shows this owner, who does not know it` });
    } else if (known !== undefined && (words[at + 1] !== high || low !== known.low)) {
      found.push({
        law: 'I2',
        what: `group ${group} shows 0x${low.toString(16)}, its owner knows 0x${known.low.toString(16)}`,
      });
    }
  }
  return found;
}
