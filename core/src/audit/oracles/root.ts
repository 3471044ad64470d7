import { decodeRoot } from '../../region/words.js';
import { hex } from '../finding.js';
import { overTables } from '../oracle.js';

export const root = overTables(
  {
    id: 'root',
    sentence:
      'The root points at nothing, or at a whole snapshot in groups of the reserve; the lock word is used where a lock rules alone.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { log } = tables;
    const { version, page } = decodeRoot(log.root);
    if (page !== 0 && version === 0)
      found.damage(`the root is ${hex(log.root)}: it points at a snapshot, and was never swung`, tables.rootAt);
    const problem = log.snapshot?.problem;
    if (problem !== undefined) found.damage(problem.what, problem.where);
    if (tables.lock.word !== 0n && !tables.lock.rules)
      found.damage(`the lock word is ${hex(tables.lock.word)}, and nothing in this region is locked`, tables.lockAt);
  },
);
