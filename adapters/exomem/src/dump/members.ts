import {
  decodeMember,
  decodeMemberLine,
  decodePrincipal,
  decodeWanted,
  type Geometry,
  memberFields,
  memberLineOffset,
  memberState,
  memberStride,
  principalState,
  principalWordOffset,
} from '@exomem/core';
import { printable } from '../command/output.js';
import { type RegionImage, readWords } from '../image/region-image.js';
import { type Dump, type DumpLine, hex, line, nameOf, runsOf, span } from './line.js';

/** The member table: each slot that was ever used, the others as runs. */
export async function* dumpMembers(image: RegionImage, geometry: Geometry): Dump {
  const lines: (DumpLine | undefined)[] = [];
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    const bytes = await image.read(memberLineOffset(geometry, slot), memberStride);
    lines.push(bytes.length < memberStride || bytes.every((byte) => byte === 0) ? undefined : memberLine(bytes, slot));
  }
  for (const [at, count, found] of runsOf(lines, (a, b) => a === undefined && b === undefined)) {
    if (found === undefined) yield line('members', `member ${span(at, count)}: never used`, { slot: at, count });
    else yield found;
  }
}

export function memberLine(bytes: Uint8Array, slot: number): DumpLine {
  const found = decodeMemberLine(bytes, slot);
  const { state, incarnation, beat } = decodeMember(found.word);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const w1 = view.getBigUint64(memberFields.w1, true);
  const wanted = view.getBigUint64(memberFields.wanted, true);
  const who = found.introduced
    ? `${printable(found.label) || 'no name'}, process ${found.pid}${found.steward ? ', steward' : ''}`
    : 'not introduced in this incarnation';
  const fields = {
    slot,
    word: hex(found.word),
    state: nameOf(memberState, state),
    incarnation,
    beat,
    w1: hex(w1),
    applied: found.applied,
    introduced: found.introduced,
    label: found.label,
    pid: found.pid,
    steward: found.steward,
    clientId: Buffer.from(found.clientId).toString('hex'),
    wanted: wanted === 0n ? undefined : { word: hex(wanted), ...decodeWanted(wanted) },
  };
  const asks = wanted === 0n ? '' : `; wanted ${hex(wanted)}: ${JSON.stringify(decodeWanted(wanted))}`;
  return line(
    'member',
    `member ${slot}: ${hex(found.word)} ${fields.state} incarnation ${incarnation} beat ${beat}; applied ${found.applied}; ${who}${asks}`,
    fields,
  );
}

/** The principal table, likewise. */
export async function* dumpPrincipals(image: RegionImage, geometry: Geometry): Dump {
  const words = await readWords(image, principalWordOffset(geometry, 1), geometry.principalSlots);
  for (const [at, count, word] of runsOf(words, (a, b) => a === 0n && b === 0n)) {
    const principal = at + 1;
    if (word === 0n) {
      yield line('principals', `principal ${span(principal, count)}: never used`, { principal, count });
    } else yield principalLine(principal, word);
  }
}

export function principalLine(principal: number, word: bigint): DumpLine {
  const found = decodePrincipal(word);
  const state = nameOf(principalState, found.state);
  const whose =
    found.state === principalState.free ? '' : ` of member ${found.member} incarnation ${found.memberIncarnation}`;
  return line(
    'principal',
    `principal ${principal}: ${hex(word)} ${state} incarnation ${found.incarnation}${whose}, policy ${found.policy}`,
    { principal, word: hex(word), ...found, state },
  );
}
