import { stateOffset } from '../../region/superblock.js';
import { overImage } from '../oracle.js';
import type { BlockImage } from '../superblock-image.js';

export const superblock = overImage(
  {
    id: 'superblock',
    sentence: 'The superblock is whole and ready, and its copy at the end of the region says the same.',
    decidedByBytes: true,
  },
  (found, { superblock: { main, copy, block } }) => {
    if (main.problem !== undefined) {
      const advice = block === undefined ? '' : '; the tables are read by its copy';
      found.damage(`${main.problem.message}${advice}`, 0);
    }
    if (block !== undefined) {
      const { lease, delay, drift, wait } = block;
      if (wait < ((lease + delay) * (1_000_000 + drift)) / 1_000_000)
        found.note(
          `observers wait for ${wait} ms, which is less than the lease and the delay of a step: the living may be declared dead`,
          0,
        );
    }
    if (copy === undefined) return;
    if (copy.problem !== undefined) found.damage(`of the copy: ${copy.problem.message}`, copy.offset);
    else if (copy.state !== 0n)
      found.damage('the copy carries a state word, which is the superblock’s alone', copy.offset);
    if (main.block !== undefined && copy.block !== undefined && !same(main, copy))
      found.damage('the copy says something else than the superblock', copy.offset);
  },
);

/** Whether both have the same bytes, but for the state word. */
function same(main: BlockImage, copy: BlockImage): boolean {
  return main.bytes.every((byte, at) => byte === copy.bytes[at] || (at >= stateOffset && at < stateOffset + 8));
}
