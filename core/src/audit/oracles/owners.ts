import { overTables } from '../oracle.js';
import { nameOf } from '../standing.js';

export const owners = overTables(
  {
    id: 'owners',
    sentence: 'A file that ends with its owner has the owner that the log gave it, and that one has not ended.',
    decidedByBytes: true,
  },
  (found, { tables }) => {
    const { log, standings, rootAt } = tables;
    if (!log.complete) return;
    const { state, count } = log;
    for (const { inode, owner } of state.inodes.values()) {
      const place = { inode, principal: owner?.principal };
      const counted = count.owners.get(inode);
      if (counted?.principal !== owner?.principal || counted?.incarnation !== owner?.incarnation) {
        const [should, is] = [counted, owner].map((one) => (one === undefined ? 'nobody' : nameOf(one)));
        found.damage(`inode ${inode} ends with ${is}, and by the log with ${should}`, rootAt, place);
      }
      if (owner === undefined) continue;
      const standing = standings.of(((owner.principal << 16) | owner.incarnation) >>> 0);
      if (standing === 'never' || standing === 'gone')
        found.damage(
          `inode ${inode} ends with ${nameOf(owner)}, who ${standing === 'gone' ? 'is no more' : 'was never registered'}`,
          rootAt,
          place,
        );
    }
  },
);
