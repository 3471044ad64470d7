import { ExomemError, isExomemError } from '../errors.js';
import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { superblockBytes } from '../region/geometry.js';
import { decodeSuperblock, type Superblock, stateOffset, superblockState } from '../region/superblock.js';
import { read } from '../transport/step.js';

/** One of the two superblocks, as it was read. */
export interface BlockImage {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** The state word. */
  readonly state: bigint;
  readonly block: Superblock | undefined;
  /** Why there is no block. */
  readonly problem: ExomemError | undefined;
}

/** The superblock, and the copy of it. */
export interface SuperblockImage {
  readonly main: BlockImage;
  /** Undefined: there is no place where it could be. */
  readonly copy: BlockImage | undefined;
  /** What the tables are read by: the superblock, or its copy if that alone is whole. */
  readonly block: Superblock | undefined;
}

/** Where the superblock keeps the offset of its copy. */
const copyOffsetField = 192;

/** Reads both superblocks of a region of `size` bytes. */
export function* readSuperblocks(size: number): Protocol<SuperblockImage> {
  const main = yield* readBlock(0, size);
  let copy: BlockImage | undefined;
  for (const offset of copyPlaces(main, size)) {
    const candidate = yield* readBlock(offset, size);
    if (copy === undefined || (copy.block === undefined && candidate.block !== undefined)) copy = candidate;
  }
  // A format that was begun leaves nothing that the copy could still speak of.
  const usable = Number(main.state & 15n) !== superblockState.formatting || main.problem?.code !== 'NotFormatted';
  return { main, copy, block: main.block ?? (usable ? copy?.block : undefined) };
}

/** Where the copy is, or would be if the superblock were not damaged. */
function copyPlaces({ bytes, block }: BlockImage, size: number): number[] {
  if (block !== undefined) return [block.geometry.copyOffset];
  const said = Number(new DataView(bytes.buffer).getBigUint64(copyOffsetField, true));
  const last = Math.floor(size / 4096) * 4096 - superblockBytes;
  const places = [...new Set([said, last])];
  return places.filter((at) => at >= superblockBytes && at % 8 === 0 && at + superblockBytes <= size);
}

function* readBlock(offset: number, size: number): Protocol<BlockImage> {
  const bytes = new Uint8Array(superblockBytes);
  if (offset + superblockBytes > size) {
    const problem = new ExomemError('NotFormatted', `${size} bytes are too few for a region`);
    return { offset, bytes, state: 0n, block: undefined, problem };
  }
  yield* surely(read(offset, bytes));
  const state = new DataView(bytes.buffer).getBigUint64(stateOffset, true);
  const judged = bytes.slice();
  // The copy carries no state: it is judged as if it were ready.
  if (offset !== 0) new DataView(judged.buffer).setBigUint64(stateOffset, BigInt(superblockState.ready), true);
  try {
    return { offset, bytes, state, block: decodeSuperblock(judged, size).block, problem: undefined };
  } catch (error) {
    if (!isExomemError(error)) throw error;
    return { offset, bytes, state, block: undefined, problem: error };
  }
}
