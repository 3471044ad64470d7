import { gateOffset } from '../../region/data-region.js';
import { decodeMember, memberState } from '../../region/words.js';
import { hex } from '../finding.js';
import { overImage } from '../oracle.js';

export const gates = overImage(
  {
    id: 'gates',
    sentence:
      'A data region of its own has the header that belongs to the superblock, and no gate of an incarnation that its member has not reached.',
    decidedByBytes: true,
  },
  (found, { data, tables }) => {
    if (data === undefined) return;
    if (data.problem !== undefined) found.damage(data.problem.message, data.offset);
    for (const { slot, incarnation } of tables?.members ?? []) {
      const word = data.gates[slot]!;
      const gate = decodeMember(word);
      const { free, joining, fenced } = memberState;
      const where = data.offset + gateOffset + slot * 8;
      const known = gate.state === joining || gate.state === fenced || (gate.state === free && word === 0n);
      if (!known || gate.beat !== 0) {
        found.damage(`the gate of member ${slot} is ${hex(word)}, which none is`, where, { member: slot });
      } else if (gate.incarnation > incarnation) {
        const what = `the gate of member ${slot} is of incarnation ${gate.incarnation}, and the member in ${incarnation}`;
        found.damage(what, where, { member: slot });
      }
    }
  },
);
