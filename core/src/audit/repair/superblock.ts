import { crc32c } from '../../region/crc32c.js';
import { stateOffset, superblockState } from '../../region/superblock.js';
import type { RegionImage } from '../image.js';
import { changesOf, type Mend } from './mend.js';

const crcOffset = 4092;

/** The superblock from its copy, or the copy from the superblock. Where both are gone nothing says what the region is. */
export function cureSuperblock({ superblock: { main, copy } }: RegionImage): Mend[] {
  if (copy === undefined) return [];
  if (main.block !== undefined) {
    const wanted = main.bytes.slice();
    new DataView(wanted.buffer).setBigUint64(stateOffset, 0n, true);
    const changes = changesOf(copy.offset, copy.bytes, wanted);
    if (changes.length === 0) return [];
    return [{ oracle: 'superblock', what: 'the copy is made anew of the superblock', where: copy.offset, changes }];
  }
  // One that is whole and says something that this version does not know is no damage. Nor is a format that was begun.
  const begun = Number(main.state & 15n) === superblockState.formatting;
  if (copy.block === undefined || begun || (isWhole(main.bytes) && main.problem?.code === 'Incompatible')) return [];
  const wanted = copy.bytes.slice();
  new DataView(wanted.buffer).setBigUint64(stateOffset, BigInt(superblockState.ready), true);
  // The state comes last: until then nobody opens the region.
  const changes = changesOf(0, main.bytes, wanted).sort(
    (a, b) => Number(a.offset === stateOffset) - Number(b.offset === stateOffset),
  );
  return [{ oracle: 'superblock', what: 'the superblock is brought back from its copy', where: 0, changes }];
}

function isWhole(bytes: Uint8Array): boolean {
  const before = crc32c(bytes.subarray(0, stateOffset));
  const sum = crc32c(bytes.subarray(stateOffset + 8, crcOffset), before);
  return sum === new DataView(bytes.buffer, bytes.byteOffset).getUint32(crcOffset, true);
}
