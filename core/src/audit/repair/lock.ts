import { ExomemError } from '../../errors.js';
import { exchangeSurely } from '../../policy/resolve.js';
import { type Protocol, watch } from '../../protocol/protocol.js';
import { controlFields, type Geometry, groupWordOffset } from '../../region/geometry.js';
import { encodeLock, lockState, maxLockToken } from '../../region/words.js';
import { mender, readLock } from '../lock-image.js';
import { type Mend, mendWord, type Patient } from './mend.js';

/** A lock that nobody can go on from is free, with a token that nobody has. */
export function cureLock({ tables, damage }: Patient): Mend[] {
  const { lock, lockAt } = tables;
  if (!damage.some(({ oracle, where }) => oracle === 'I15' && where === lockAt)) return [];
  const token = lock.token < maxLockToken ? lock.token + 1 : 1;
  const free = encodeLock({ token, state: lockState.free, holder: 0 });
  return mendWord('I15', 'the lock of the table is free', lockAt, lock.word, free);
}

/** How often somebody else may have the lock when it is wanted. */
const attempts = 20;

/**
 * Mends of the table where a lock rules: whoever is at it has ended before they begin, and nobody is at it until they are
 * done. @throws `Busy` if somebody has committed and does not end.
 */
export function* underLock<T>(
  geometry: Geometry,
  { wait, deserted }: { readonly wait: number; readonly deserted: boolean },
  work: () => Protocol<T>,
): Protocol<T> {
  const offset = geometry.controlOffset + controlFields.lock;
  let passed: bigint | undefined;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { word, state, token, record } = yield* readLock(geometry);
    if (state === lockState.commit && !deserted) {
      yield watch(offset, word, wait);
      continue;
    }
    if (state === lockState.commit && record !== undefined) {
      // Nobody is there who could: what was committed is done first.
      for (const { group, before, after } of record.exchanges)
        yield* exchangeSurely(groupWordOffset(geometry, group), before, after);
      yield* exchangeSurely(offset, word, encodeLock({ token, state: lockState.free, holder: 0 }));
      continue;
    }
    if (state === lockState.held && word !== passed && !deserted) {
      if (yield watch(offset, word, wait)) passed = word;
      continue;
    }
    const held = encodeLock({ token: token + 1, state: lockState.held, holder: mender });
    if ((yield* exchangeSurely(offset, word, held)) !== word) continue;
    try {
      return yield* work();
    } finally {
      yield* exchangeSurely(offset, held, encodeLock({ token: token + 1, state: lockState.free, holder: 0 }));
    }
  }
  throw new ExomemError('Busy', 'others have the lock of the table, and do not let it go', {
    advice: 'try again; a member that stands still with it is passed over by those who wait',
  });
}
