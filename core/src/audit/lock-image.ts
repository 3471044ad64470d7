import { decodeRedo, type RedoRecord } from '../coordination/redo-record.js';
import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { controlFields, type Geometry, groupWordOffset, redoPlace } from '../region/geometry.js';
import { decodeLock, type LockWord, lockState } from '../region/words.js';
import { load, read } from '../transport/step.js';

/** Who holds the lock while it mends the table: nobody has a member slot of that number. */
export const mender = 0xffff;

/** The lock of a region, and what its holder has committed. */
export interface LockImage extends LockWord {
  readonly word: bigint;
  /** Where a lock rules; elsewhere the word is 0. */
  readonly rules: boolean;
  /** The holder has committed, and all of it may not be done yet. Undefined if it has not, or if its redo slot has no whole record. */
  readonly record: RedoRecord | undefined;
  /** What the words of that record showed while the lock was as it is. */
  readonly words: ReadonlyMap<number, bigint>;
}

/** How often a lock is looked at that others take and let go meanwhile. */
const looks = 8;

export function* readLock(geometry: Geometry): Protocol<LockImage> {
  const at = geometry.controlOffset + controlFields.lock;
  const rules = geometry.redoBytes > 0;
  let word = (yield* surely(load(at))) as bigint;
  for (let look = 0; ; look++) {
    const lock = decodeLock(word);
    const words = new Map<number, bigint>();
    let record: RedoRecord | undefined;
    if (rules && lock.state === lockState.commit && lock.holder < geometry.memberSlots) {
      const { offset, length } = redoPlace(geometry, lock.holder, lock.token);
      const bytes = new Uint8Array(length);
      yield* surely(read(offset, bytes));
      record = decodeRedo(bytes, lock.token, geometry.groupCount);
      for (const { group } of record?.exchanges ?? [])
        words.set(group, (yield* surely(load(groupWordOffset(geometry, group)))) as bigint);
    }
    const after = (yield* surely(load(at))) as bigint;
    if (after === word || look === looks)
      return { ...lock, word, rules, record, words: after === word ? words : new Map() };
    word = after;
  }
}
