import { controlFields, decodeLock, decodeRedo, type Geometry, lockState, redoPlace } from '@exomem/core';
import { type RegionImage, readWords } from '../image/region-image.js';
import { type Dump, hex, line, nameOf } from './line.js';

/** The lock of the table, and what its holder has committed; nothing in a region without one. */
export async function* dumpLock(image: RegionImage, geometry: Geometry): Dump {
  if (geometry.redoBytes === 0) return;
  const [word] = await readWords(image, geometry.controlOffset + controlFields.lock, 1);
  const { state, token, holder } = decodeLock(word!);
  const name = nameOf(lockState, state);
  const who = state === lockState.free ? '' : `, by member ${holder}`;
  yield line('lock', `lock: ${hex(word!)} ${name} with token ${token}${who}`, {
    word: hex(word!),
    state: name,
    token,
    holder: state === lockState.free ? undefined : holder,
  });
  if (state !== lockState.commit || holder >= geometry.memberSlots) return;
  const { offset, length } = redoPlace(geometry, holder, token);
  const record = decodeRedo(await image.read(offset, length), token, geometry.groupCount);
  if (record === undefined) {
    yield line('damage', `  redo slot of member ${holder}: no whole record of that token`);
    return;
  }
  for (const { group, before, after } of record.exchanges) {
    yield line('redo', `  committed: group ${group} ${hex(before)} -> ${hex(after)}`, {
      group,
      before: hex(before),
      after: hex(after),
    });
  }
}
